//! Reads JSON text that is not quite JSON, where only one reading is possible: raw control
//! characters inside strings, numbers that are not finite, several values in one text.
//!
//! Refuses everything else. A guess here could run a wrong command.

use serde_json::value::RawValue;

use super::raw::array_of;

/// Stands for minus infinity, as the protocol's owner writes it in log probabilities.
const LOWEST: &[u8] = b"-9999.0";

/// Words for numbers that are not finite, and what stands for them.
const NOT_FINITE: [(&[u8], &[u8]); 6] = [
    (b"-Infinity", LOWEST),
    (b"-inf", LOWEST),
    (b"Infinity", b"null"),
    (b"+Infinity", b"null"),
    (b"NaN", b"null"),
    (b"nan", b"null"),
];

/// The objects that a text holds, one after the other or in an array, each as valid JSON. `null` is
/// none. `None` for a text that can be read in no way or in several.
pub(crate) fn objects(text: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8(repaired(text)?).ok()?;
    let mut found = Vec::new();
    for value in serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>() {
        let value = value.ok()?;
        let elements = array_of(value);
        for element in elements.unwrap_or_else(|| vec![value]) {
            match element.get() {
                "null" => {}
                object if object.starts_with('{') => found.push(object.to_owned()),
                _ => return None,
            }
        }
    }
    Some(found)
}

/// The text with control characters in strings escaped and non-finite numbers replaced. `None` when
/// it ends inside a string.
fn repaired(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut strings = StringState::default();
    while let [byte, tail @ ..] = rest {
        if !strings.is_inside() {
            let word = NOT_FINITE
                .iter()
                .find(|(word, _)| rest.starts_with(word) && is_value_end(rest.get(word.len())));
            if let Some((word, value)) = word.filter(|_| !ends_in_letter(&out)) {
                out.extend_from_slice(value);
                rest = rest.get(word.len()..).unwrap_or_default();
                continue;
            }
        }
        strings.push(&mut out, *byte);
        rest = tail;
    }
    (!strings.is_inside()).then_some(out)
}

fn is_value_end(next: Option<&u8>) -> bool {
    !next.is_some_and(u8::is_ascii_alphanumeric)
}

fn ends_in_letter(out: &[u8]) -> bool {
    out.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// Follows JSON text byte by byte and knows what is inside of a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum StringState {
    #[default]
    Outside,
    Inside,
    /// After a backslash.
    Escape,
}

impl StringState {
    const fn is_inside(self) -> bool {
        matches!(self, Self::Inside | Self::Escape)
    }

    /// The next part of the text with control characters inside strings escaped.
    pub(crate) fn escaped(&mut self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            self.push(&mut out, byte);
        }
        String::from_utf8(out).unwrap_or_default()
    }

    /// Appends a byte; a control character inside a string is escaped.
    fn push(&mut self, out: &mut Vec<u8>, byte: u8) {
        *self = match (*self, byte) {
            (Self::Outside, b'"') | (Self::Escape, 0x20..) => Self::Inside,
            (Self::Inside, b'"') => Self::Outside,
            (Self::Inside, b'\\') => Self::Escape,
            (Self::Inside, 0..0x20) => {
                push_escape(out, byte);
                return;
            }
            // `\` and a line break: the backslash stands for itself.
            (Self::Escape, 0..0x20) => {
                out.push(b'\\');
                push_escape(out, byte);
                *self = Self::Inside;
                return;
            }
            (state, _) => state,
        };
        out.push(byte);
    }
}

fn push_escape(out: &mut Vec<u8>, control: u8) {
    match control {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Option<Vec<Value>> {
        let read = objects(text.as_bytes())?;
        let parse = |object: &String| serde_json::from_str(object).unwrap();
        Some(read.iter().map(parse).collect())
    }

    #[test]
    fn what_has_one_reading_is_read() {
        for (text, expected) in [
            ("{\"a\":\"x\ty\nz\u{1b}\"}", json!([{"a": "x\ty\nz\u{1b}"}])),
            ("{\"a\":\"\\\"\t\"}", json!([{"a": "\"\t"}])),
            (
                r#"{"a":NaN,"b":[-Infinity,Infinity]}"#,
                json!([{"a": null, "b": [-9999.0, null]}]),
            ),
            (
                r#"{"a":"NaN","b":-inf}"#,
                json!([{"a": "NaN", "b": -9999.0}]),
            ),
            (r#"{"a":1}{"a":2}"#, json!([{"a": 1}, {"a": 2}])),
            ("{\"a\":1}\n{\"a\":2}\n", json!([{"a": 1}, {"a": 2}])),
            (r#"[{"a":1},null,{"a":2}]"#, json!([{"a": 1}, {"a": 2}])),
            ("null", json!([])),
            ("[]", json!([])),
            ("", json!([])),
        ] {
            assert_eq!(read(text).map(Value::from), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_has_none_or_several_is_refused() {
        for text in [
            r#"{"a":"x"#,
            r#"{"a":"x","b":"#,
            r#"{"a":1"#,
            r#"{"a":1}{"b"#,
            r#"{"a":1}]"#,
            r#"{"a":'x'}"#,
            "{a:1}",
            r#"{"a":1,}"#,
            r#"{"a":xNaN}"#,
            r#"{"a":NaNs}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":None}"#,
            "<html>",
            "ping",
            "7",
            "true",
            r#""text""#,
            "[1]",
            r#"[[{"a":1}]]"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn valid_objects_are_read_as_they_are(texts in prop::collection::vec(any::<String>(), 0..4)) {
            let values: Vec<Value> = texts.iter().map(|text| json!({"a": text, "b": [1.5, null]})).collect();
            let text: String = values.iter().map(Value::to_string).collect();
            prop_assert_eq!(read(&text), Some(values));
        }

        #[test]
        fn raw_control_characters_are_read_as_themselves(text in "[a-z\\t\\n\\x01\\x1f]{0,12}") {
            prop_assert_eq!(read(&format!("{{\"a\":\"{text}\"}}")), Some(vec![json!({"a": text})]));
        }
    }
}
