//! Counts the characters of generated text in deltas, for estimates. Approximate by design: a wrong
//! count is a worse estimate, nothing else.

use std::sync::LazyLock;

use memchr::{memchr2, memmem::Finder};

use crate::json::span::Members;

/// A quote inside a string is escaped, so these bytes are always a whole key.
static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""delta":"#));

/// The place right after the first `"delta":`.
fn find(data: &[u8]) -> Option<usize> {
    DELTA.find(data).map(|at| at + DELTA.needle().len())
}

/// Characters of a Responses delta, whose `delta` is a string.
pub(super) fn string_chars(data: &[u8]) -> u64 {
    find(data).and_then(|at| data.get(at..)).map_or(0, chars)
}

/// What the delta object of a Chat chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Delta {
    /// Characters of all text, tool arguments included.
    pub(super) chars: u64,
    /// Whether it begins or continues a call of a tool.
    pub(super) has_call: bool,
}

/// Looks into the first delta object of a Chat chunk.
pub(super) fn read_delta(data: &[u8]) -> Delta {
    find(data).map_or_else(Delta::default, |at| read_members(data, at))
}

fn read_members(data: &[u8], at: usize) -> Delta {
    /// Names whose strings are labels, not text.
    const LABELS: [&[u8]; 4] = [br#""role""#, br#""id""#, br#""type""#, br#""name""#];
    let mut delta = Delta::default();
    for member in Members::new(data, at) {
        let (Some(key), Some(value)) = (data.get(member.key), data.get(member.value.clone()))
        else {
            continue;
        };
        if value.starts_with(b"\"") {
            delta.chars += if LABELS.contains(&key) {
                0
            } else {
                chars(value)
            };
        } else if (key == br#""tool_calls""# || key == br#""function_call""#) && value.len() > 4 {
            // More than `[]`, `{}` or `null`. A call may begin with a name and no arguments.
            delta.has_call = true;
            delta.chars += argument_chars(value);
        }
    }
    delta
}

fn argument_chars(value: &[u8]) -> u64 {
    memchr::memmem::find_iter(value, br#""arguments":"#)
        .filter_map(|at| value.get(at + br#""arguments":"#.len()..))
        .map(chars)
        .sum()
}

/// Characters of the JSON string `text` begins with; an escape is one.
fn chars(text: &[u8]) -> u64 {
    let text = text.trim_ascii_start();
    let Some(mut rest) = text.strip_prefix(b"\"") else {
        return 0;
    };
    let mut count = 0;
    loop {
        let Some(hit) = memchr2(b'"', b'\\', rest) else {
            return count;
        };
        let (plain, tail) = rest.split_at_checked(hit).unwrap_or_default();
        // Bytes that continue a character do not count.
        count += plain.iter().filter(|byte| (**byte & 0xC0) != 0x80).count() as u64;
        let skip = match tail {
            [b'\\', b'u', ..] => 6,
            [b'\\', ..] => 2,
            _ => return count,
        };
        count += 1;
        rest = tail.get(skip..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_counted_in_characters() {
        assert_eq!(
            string_chars(r#"{"x":1,"delta":"añ\n\u00e9\"b","y":"zz"}"#.as_bytes()),
            6
        );
        assert_eq!(string_chars(br#"{"delta": "ab"}"#), 2);
        assert_eq!(string_chars(br#"{"delta":"ab"#), 0);
        assert_eq!(string_chars(br#"{"a":"\"delta\":\"xyz\""}"#), 0);
    }

    #[test]
    fn text_and_calls_of_a_chunk_are_seen() {
        for (delta, chars, has_call) in [
            (r#"{"role":"assistant","content":""}"#, 0, false),
            (r#"{"content":"abc","reasoning_content":"de"}"#, 5, false),
            (r#"{"content":null,"tool_calls":null}"#, 0, false),
            (r#"{"tool_calls":[]}"#, 0, false),
            (
                r#"{"tool_calls":[{"index":0,"id":"call_1","function":{"name":"f","arguments":""}}]}"#,
                0,
                true,
            ),
            (
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#,
                2,
                true,
            ),
        ] {
            let data = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
            assert_eq!(
                read_delta(data.as_bytes()),
                Delta { chars, has_call },
                "{delta}"
            );
        }
    }
}
