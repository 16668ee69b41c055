//! What is wrong with the TOML itself: one problem per line, in the words of a person who edits the
//! file.

use std::ops::Range;

use toml::de::Error;

use super::mistakes::Mistakes;
use crate::problem::Problem;

/// Reports the parser's errors. The first one of a line tells; the others follow from it.
pub(super) fn report(text: &str, errors: &[Error], mistakes: &mut Mistakes) {
    if text.trim_start().starts_with('{') && !errors.is_empty() {
        let start = text.len() - text.trim_start().len();
        let problem = Problem::error(
            start..start + 1,
            "this file must be TOML; it looks like JSON",
        )
        .with_hint("such as `[server]` and below it `listen = \"127.0.0.1:8787\"`".to_owned());
        return mistakes.report(problem);
    }
    if let Some(problem) = errors.iter().find_map(|error| yaml(text, error)) {
        return mistakes.report(problem);
    }
    let mut lines: Vec<usize> = Vec::new();
    for error in errors {
        let Some(span) = error.span() else {
            mistakes.report(Problem::error(None, error.message()));
            continue;
        };
        let line = line_start(text, span.start);
        if lines.contains(&line) {
            mistakes.reject_silently(span);
        } else {
            lines.push(line);
            mistakes.reject(span.clone(), problem(text, span, error.message()), None);
        }
    }
}

fn problem(text: &str, span: Range<usize>, message: &str) -> Problem {
    let line = line_at(text, span.start);
    let start = line_start(text, span.start);
    if message == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        return if line.trim_start().starts_with('[') {
            Problem::error(span, format!("the table `{key}` is defined twice"))
                .with_hint("put all of its keys under one header".to_owned())
        } else {
            Problem::error(span, format!("the key `{key}` is set twice"))
        };
    }
    if let Some((key, value)) = unquoted(line) {
        let at = start + line.len() - line.trim_start().len();
        let place = text
            .get(start..)
            .and_then(|rest| rest.find(value))
            .map_or(at..at + key.len(), |found| {
                start + found..start + found + value.len()
            });
        let plain = value.trim_matches(['“', '”', '‘', '’', '„', '«', '»']);
        let message = if plain.len() < value.len() {
            "quotes must be straight (`\"`), not typographic"
        } else if matches!(value.to_ascii_lowercase().as_str(), "true" | "false") {
            let hint = format!("write `{key} = {}`", value.to_ascii_lowercase());
            return Problem::error(place, "`true` and `false` are written in lower case")
                .with_hint(hint);
        } else {
            "a string must be in quotes"
        };
        return Problem::error(place, message).with_hint(format!("write `{key} = \"{plain}\"`"));
    }
    if message.starts_with("invalid basic string") || message.starts_with("invalid literal string")
    {
        return Problem::error(span, "the quoted string is not closed on this line");
    }
    if message.starts_with("string values must be quoted") {
        return Problem::error(span, "a string must be in quotes");
    }
    Problem::error(span, format!("not valid TOML: {message}"))
}

fn yaml(text: &str, error: &Error) -> Option<Problem> {
    let span = error.span()?;
    is_yaml(line_at(text, span.start)).then(|| {
        Problem::error(span, "this file must be TOML; this line looks like YAML")
            .with_hint("tables are written `[name]`, values `key = value`".to_owned())
    })
}

/// The key and the value of a line whose value is a text without its quotes.
fn unquoted(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next()?.trim());
    let is_number = value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b" _+-".contains(&byte));
    let is_plain = !is_number && !value.starts_with(['"', '\'', '[', '{', '=']);
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.\"".contains(&byte));
    (is_plain && is_key).then_some((key, value))
}

/// `key: value` or `key:`.
fn is_yaml(line: &str) -> bool {
    let Some((key, value)) = line.trim_start_matches([' ', '-']).split_once(':') else {
        return false;
    };
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    is_key && !key.is_empty() && (value.is_empty() || value.starts_with(' '))
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |end| end + 1)
}

fn line_at(text: &str, at: usize) -> &str {
    text.get(line_start(text, at)..)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default()
}
