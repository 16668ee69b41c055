//! Reads TOML into a type and goes on after each mistake, so that a person sees all of them at
//! once. Decides nothing about values.

use std::ops::Range;

use gateway_policy::problem::{Problem, Severity, did_you_mean};
use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

/// Mistakes after which reading gives up; a file with more is no configuration.
const MAX_PROBLEMS: usize = 100;

/// Reads `text`, completed by `fill` with what it leaves out; what cannot be read is reported and
/// left out. `None` only when nothing sensible remains.
pub(super) fn read<'t, T: DeserializeOwned>(
    text: &'t str,
    fill: impl FnOnce(&mut DeTable<'t>),
) -> (Option<T>, Vec<Problem>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors.iter().map(problem).collect();
    let span = root.span();
    let mut table = root.into_inner();
    fill(&mut table);
    while problems.len() < MAX_PROBLEMS {
        match T::deserialize(Deserializer::from(Spanned::new(
            span.clone(),
            table.clone(),
        ))) {
            Ok(value) => return (Some(value), problems),
            Err(error) => {
                problems.push(problem(&error));
                let is_removed = error
                    .span()
                    .is_some_and(|span| remove_in_table(&mut table, &span));
                if !is_removed {
                    return (None, problems);
                }
            }
        }
    }
    (None, problems)
}

/// Removes the innermost entry that the span lies in. `false` when there is none.
///
/// The span of a table is that of its header alone, so the search goes into every table.
fn remove_in_table(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let named = table
        .iter()
        .find(|(key, _)| covers(&key.span(), span))
        .map(|(key, _)| key.clone());
    if let Some(key) = named {
        return table.remove(&key).is_some();
    }
    if table
        .iter_mut()
        .any(|(_, value)| remove_in_value(value.get_mut(), span))
    {
        return true;
    }
    let holder = table
        .iter()
        .find(|(_, value)| covers(&value.span(), span))
        .map(|(key, _)| key.clone());
    holder.is_some_and(|key| table.remove(&key).is_some())
}

fn remove_in_value(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => remove_in_table(table, span),
        DeValue::Array(array) => {
            if array
                .iter_mut()
                .any(|item| remove_in_value(item.get_mut(), span))
            {
                return true;
            }
            let before = array.len();
            let kept = std::mem::replace(array, DeArray::new());
            *array = kept
                .into_iter()
                .filter(|item| !covers(&item.span(), span))
                .collect();
            array.len() < before
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn problem(error: &Error) -> Problem {
    let message = error.message().to_owned();
    let hint = unknown_name(&message).map(|(wrong, known)| {
        did_you_mean(wrong, known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", known.join(", ")))
    });
    Problem {
        severity: Severity::Error,
        span: error.span(),
        message,
        hint,
    }
}

/// serde's sentence for a misspelt key or word: what was written, and what is known.
fn unknown_name(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let mut quoted = rest.split('`');
    let wrong = quoted.next()?;
    // After the wrong name every second piece is a known one.
    let known = quoted.skip(1).step_by(2).collect();
    Some((wrong, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, PartialEq, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        listen: String,
        port: u16,
        inner: Inner,
        list: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize, PartialEq, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        name: String,
    }

    #[test]
    fn every_mistake_is_reported_and_the_rest_is_kept() {
        let text = "lisen = \"a\"\nport = \"x\"\n[inner]\nnaem = \"b\"\n[[list]]\nname = \"kept\"\n[[list]]\nname = 3\n";
        let (value, problems) = read::<Sample>(text, |_| ());
        let value = value.unwrap();
        assert_eq!(
            value.list,
            [
                Inner {
                    name: "kept".to_owned()
                },
                Inner::default()
            ]
        );
        let mut lines: Vec<_> = problems
            .iter()
            .map(|problem| {
                text.get(..problem.span.clone().unwrap().start)
                    .unwrap()
                    .matches('\n')
                    .count()
                    + 1
            })
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [1, 2, 4, 8]);
        assert!(
            problems
                .iter()
                .any(|problem| problem.hint.as_deref() == Some("did you mean `listen`?")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_syntax_error_does_not_hide_the_others() {
        let (_, problems) = read::<Sample>("port = = 3\nlisen = \"a\"\n", |_| ());
        assert!(problems.len() >= 2, "{problems:?}");
    }
}
