//! What the deserialiser says, in the words of a person who edits the file. Values are not
//! repeated: a misplaced one may be a secret.

use toml::de::Error;

use crate::problem::{Problem, nearest};

/// A name that is not known at its place.
pub(super) struct UnknownName<'m> {
    wrong: &'m str,
    /// Whether it is a value, not a key.
    is_value: bool,
    known: Vec<&'m str>,
}

impl<'m> UnknownName<'m> {
    /// The known name that it is probably a misspelling of.
    pub(super) fn meant(&self) -> Option<&'m str> {
        nearest(self.wrong, self.known.iter().copied())
    }

    fn hint(&self) -> String {
        if let Some(name) = self.meant() {
            return format!("did you mean `{name}`?");
        }
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let what = if self.is_value {
            "valid values"
        } else {
            "known keys"
        };
        format!("{what}: {}", known.join(", "))
    }
}

/// The deserialiser's error as a problem.
pub(super) fn problem(error: &Error) -> Problem {
    let message = error.message();
    let (message, hint) = if let Some(name) = unknown_name(message) {
        let said = if name.is_value {
            format!("`{}` is not a valid value", name.wrong)
        } else {
            format!("unknown key `{}`", name.wrong)
        };
        (said, Some(name.hint()))
    } else if let Some(key) = missing_key(message) {
        (format!("the key `{key}` is missing"), None)
    } else if let Some((found, expected)) = mismatch(message, "invalid type: ") {
        let hint = type_hint(found, expected).map(str::to_owned);
        (format!("expected {expected}, found {found}"), hint)
    } else if let Some((_, expected)) = mismatch(message, "invalid value: ") {
        (format!("expected {expected}"), None)
    } else {
        match message {
            "wanted string or table" => ("expected a string or a table".to_owned(), None),
            _ if message.starts_with("wanted exactly 1 element") => {
                ("expected exactly one key in this table".to_owned(), None)
            }
            _ => (message.to_owned(), None),
        }
    };
    Problem::error(error.span(), message).with_hint(hint)
}

/// The key that the deserialiser misses.
pub(super) fn missing_key(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// What was written and what is known, of a misspelt key or word.
pub(super) fn unknown_name(message: &str) -> Option<UnknownName<'_>> {
    let (rest, is_value) = match message.strip_prefix("unknown field `") {
        Some(rest) => (rest, false),
        None => (message.strip_prefix("unknown variant `")?, true),
    };
    let mut quoted = rest.split('`');
    let wrong = quoted.next()?;
    // After the wrong name every second piece is a known one.
    let known = quoted.skip(1).step_by(2).collect();
    Some(UnknownName {
        wrong,
        is_value,
        known,
    })
}

/// The two sides of `{prefix}string "x", expected u32`.
fn mismatch<'m>(message: &'m str, prefix: &str) -> Option<(&'m str, &'m str)> {
    let (found, expected) = message.strip_prefix(prefix)?.rsplit_once(", expected ")?;
    Some((found_words(found), expected_words(expected)))
}

fn found_words(found: &str) -> &str {
    let kinds = [
        ("string", "a string"),
        ("integer", "a number"),
        ("floating point", "a number"),
        ("boolean", "true or false"),
        ("map", "a table"),
        ("sequence", "a list"),
    ];
    kinds
        .into_iter()
        .find(|(kind, _)| found.starts_with(kind))
        .map_or("something else", |(_, words)| words)
}

fn expected_words(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    }
}

fn type_hint(found: &str, expected: &str) -> Option<&'static str> {
    match (found, expected) {
        ("a number", "a string") => Some(
            "write it in quotes; durations and sizes need a unit, such as `\"120s\"` or `\"64MiB\"`",
        ),
        ("true or false", "a string") => Some("write it in quotes"),
        ("a string", "a list") => Some("write it in brackets, such as `[\"one\", \"two\"]`"),
        ("a string", "true or false" | "a whole number that is not negative") => {
            Some("write it without quotes")
        }
        _ => None,
    }
}
