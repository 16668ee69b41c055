//! The one list of what differs between two runs of the same Codex turn: ids, times, places.
//! Everything else that differs is the gateway's doing.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Which characters vary.
type Varies = fn(char) -> bool;

/// Text after these marks varies, as long as its characters are of this kind.
const VARYING: [(&str, Varies); 7] = [
    ("turn_started_at_unix_ms\":", |char| char.is_ascii_digit()),
    ("Chunk ID: ", |char| char.is_ascii_hexdigit()),
    ("Wall time: ", |char| char.is_ascii_digit() || char == '.'),
    ("Wall time ", |char| char.is_ascii_digit() || char == '.'),
    ("<current_date>", |char| char != '<'),
    // Codex numbers its cells of JavaScript and its processes at random.
    ("session ID ", |char| char.is_ascii_digit()),
    ("cell ID ", |char| char.is_ascii_alphanumeric()),
];

/// Numbers in these fields vary.
const VARYING_FIELDS: [&str; 1] = ["create_time"];

/// A value with every varying part replaced by a name, in strings at any depth, JSON inside strings
/// included. `places` are texts of this run (directories, addresses) and the names to put there.
pub fn normalise(value: &Value, places: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => Value::String(normalise_text(text, places)),
        Value::Array(items) => items.iter().map(|item| normalise(item, places)).collect(),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let varies = value.is_number() && VARYING_FIELDS.contains(&name.as_str());
                (
                    name.clone(),
                    if varies {
                        Value::from("<varies>")
                    } else {
                        normalise(value, places)
                    },
                )
            };
            fields.iter().map(field).collect()
        }
        other => other.clone(),
    }
}

pub fn normalise_text(text: &str, places: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (place, name) in places {
        text = text.replace(place, name);
    }
    for (mark, varies) in VARYING {
        text = blank_after(&text, mark, varies);
    }
    blank_uuids(&text)
}

fn blank_after(text: &str, mark: &str, varies: Varies) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(varies);
        out.push_str(mark);
        if rest.len() < part.len() {
            out.push_str("<varies>");
        }
        out.push_str(rest);
    }
    out
}

fn blank_uuids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if is_uuid(rest.as_bytes()) {
            out.push_str("<uuid>");
            rest = &rest[36..];
        } else {
            out.push(char);
            rest = &rest[char.len_utf8()..];
        }
    }
    out
}

fn is_uuid(bytes: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..36) else {
        return false;
    };
    bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Where two values differ, a line each, long texts shown from their first difference on.
pub fn differences(left: &Value, right: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", left, right, &mut found);
    found
}

fn compare(path: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let of = |fields: &Map<String, Value>| {
                    fields.get(name).cloned().unwrap_or(Value::from("<absent>"))
                };
                compare(&format!("{path}/{name}"), &of(a), &of(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (left, right)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}/{index}"), left, right, found);
            }
        }
        (left, right) if left != right => {
            let (left, right) = (left.to_string(), right.to_string());
            let same = left
                .chars()
                .zip(right.chars())
                .take_while(|(a, b)| a == b)
                .count();
            let shown = |text: &str| {
                text.chars()
                    .skip(same.saturating_sub(30))
                    .take(150)
                    .collect::<String>()
            };
            found.push(format!(
                "{path}:\n    {}\n    {}",
                shown(&left),
                shown(&right)
            ));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ids_times_and_places_go() {
        let body = json!({"id": "msg_01a1fae9-b3bd-7ac3-8ae3-b8f70db5b13a", "cwd": "/tmp/x1/work",
            "meta": "{\"turn_started_at_unix_ms\":1795210982276,\"n\":1}", "out": "Chunk ID: b55273\nWall time: 0.01 s", "n": 7});
        let blank = normalise(&body, &[("/tmp/x1", "<home>")]);
        assert_eq!(
            blank,
            json!({"id": "msg_<uuid>", "cwd": "<home>/work", "meta": "{\"turn_started_at_unix_ms\":<varies>,\"n\":1}",
                "out": "Chunk ID: <varies>\nWall time: <varies> s", "n": 7})
        );
    }

    #[test]
    fn differences_are_named_by_their_path() {
        let left = json!({"a": [1, {"b": "same text, then this"}], "c": 1});
        let right = json!({"a": [1, {"b": "same text, then that"}], "d": 1});
        let found = differences(&left, &right);
        let paths: Vec<&str> = found
            .iter()
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(paths, ["/a/1/b", "/c", "/d"]);
        assert_eq!(differences(&left, &left), Vec::<String>::new());
    }
}
