//! Reads TOML into a type and continues after each mistake, so that a person sees all of them at
//! once. Decides nothing about values.

mod mistakes;
mod removal;
mod syntax;
#[cfg(test)]
mod tests;
mod wording;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeTable, Deserializer};

use crate::problem::Problem;
use removal::Removals;

pub use mistakes::Mistakes;

/// Mistakes after which reading gives up; a file with more is not a configuration.
const MAX_PROBLEMS: usize = 100;

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
