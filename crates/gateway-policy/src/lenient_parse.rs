//! Reads TOML into a type and continues after each mistake, so that a person sees all of them at
//! once. Decides nothing about values.

mod removal;
mod syntax;
#[cfg(test)]
mod tests;
mod wording;

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeTable, Deserializer};

use crate::problem::Problem;
use removal::Removals;

/// Mistakes after which reading gives up; a file with more is not a configuration.
const MAX_PROBLEMS: usize = 100;

/// Mistakes that are found in the untyped text, before it is read into a type.
#[derive(Debug, Default)]
pub struct Mistakes {
    problems: Vec<Problem>,
    rejected: Vec<Rejected>,
}

/// An entry that is left out because of a problem.
#[derive(Debug)]
struct Rejected {
    span: Range<usize>,
    /// The key that was meant, whose absence is then not another mistake.
    meant: Option<String>,
}

impl Mistakes {
    /// Reports a problem; what it is about stays.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports a problem and leaves the entry at `span` out. `meant` is the key that was probably
    /// meant.
    pub fn reject(&mut self, span: Range<usize>, problem: Problem, meant: Option<&str>) {
        self.problems.push(problem);
        self.rejected.push(Rejected {
            span,
            meant: meant.map(str::to_owned),
        });
    }

    /// Leaves the entry at `span` out, about which enough has been said.
    fn reject_silently(&mut self, span: Range<usize>) {
        self.rejected.push(Rejected { span, meant: None });
    }
}

/// Reads `text`; what cannot be read is reported and left out. `prepare` may look at the untyped
/// text first, reject entries and complete it. `None` only when nothing sensible remains.
///
/// One mistake is one problem: a key that is missing because it was rejected or misspelt is not
/// reported again.
pub fn parse<'t, T: DeserializeOwned>(
    text: &'t str,
    prepare: impl FnOnce(&mut DeTable<'t>, &mut Mistakes),
) -> (Option<T>, Vec<Problem>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let span = root.span();
    let mut table = root.into_inner();
    let mut mistakes = Mistakes::default();
    let mut removals = Removals::new(span.clone());
    syntax::report(text, &errors, &mut mistakes);
    remove_rejected(&mut mistakes, &mut removals, &mut table);
    prepare(&mut table, &mut mistakes);
    remove_rejected(&mut mistakes, &mut removals, &mut table);
    let mut problems = mistakes.problems;
    while problems.len() < MAX_PROBLEMS {
        let typed = T::deserialize(Deserializer::from(Spanned::new(
            span.clone(),
            table.clone(),
        )));
        let error = match typed {
            Ok(value) => return (Some(value), problems),
            Err(error) => error,
        };
        let at = error.span();
        let missing = wording::missing_key(error.message());
        let is_consequence = at
            .as_ref()
            .zip(missing)
            .is_some_and(|(table, key)| removals.explain(table, key));
        if !is_consequence {
            problems.push(wording::problem(&error));
        }
        let meant = wording::unknown_name(error.message()).and_then(|name| name.meant());
        let is_removed = at.is_some_and(|at| removals.remove(&mut table, &at, meant));
        if !is_removed {
            return (None, problems);
        }
    }
    (None, problems)
}

fn remove_rejected(mistakes: &mut Mistakes, removals: &mut Removals, table: &mut DeTable<'_>) {
    for rejected in mistakes.rejected.drain(..) {
        removals.remove(table, &rejected.span, rejected.meant.as_deref());
    }
}
