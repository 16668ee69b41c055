//! Freeform tool calls inside function arguments: `{"input": "<raw text>"}` and what models make of
//! it.
//!
//! Decodes live while the arguments arrive, so that a client can show a patch as it is written.
//! Bare text, code fences and wrong JSON are taken for what was meant. Never changes a text that
//! was already passed on.

use std::borrow::Cow;

use serde_json::Value;

/// Decodes the text of one freeform call from pieces of its arguments.
#[derive(Debug, Default)]
pub(crate) struct FreeformDecoder {
    raw: String,
    state: DecoderState,
    /// Where in `raw` undecoded text starts.
    at: usize,
    text: String,
    /// How much of `text` was passed on.
    passed: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    /// The start `{"input":"` is not complete.
    #[default]
    Opening,
    /// Inside the text.
    Text,
    /// The text is complete.
    Closed,
    /// Not the shape that was asked for; decided at the end.
    Odd,
}

impl FreeformDecoder {
    /// Takes more of the arguments; returns the text that can be passed on now, often empty.
    pub(crate) fn push(&mut self, fragment: &str) -> &str {
        self.raw.push_str(fragment);
        if self.state == DecoderState::Opening {
            self.open();
        }
        if self.state == DecoderState::Text {
            self.decode();
        }
        if !matches!(self.state, DecoderState::Text | DecoderState::Closed)
            || may_be_wrapped(&self.text)
        {
            return "";
        }
        let from = std::mem::replace(&mut self.passed, self.text.len());
        self.text.get(from..).unwrap_or_default()
    }

    /// Whether the arguments were complete.
    pub(crate) fn is_complete(&self) -> bool {
        match self.state {
            DecoderState::Closed => true,
            DecoderState::Opening | DecoderState::Text => false,
            DecoderState::Odd => {
                !self.raw.trim_start().starts_with('{')
                    || serde_json::from_str::<Value>(&self.raw).is_ok()
            }
        }
    }

    /// The whole text, and the part of it that was not passed on yet.
    pub(crate) fn finish(&mut self) -> (&str, &str) {
        if self.passed == 0 {
            self.text = match self.state {
                DecoderState::Opening | DecoderState::Odd => unwrapped(&self.raw).into_owned(),
                DecoderState::Text | DecoderState::Closed => unwrapped(&self.text).into_owned(),
            };
        }
        let from = std::mem::replace(&mut self.passed, self.text.len());
        (&self.text, self.text.get(from..).unwrap_or_default())
    }

    /// Looks for the start of the text.
    fn open(&mut self) {
        let mut rest = self.raw.trim_start();
        for token in ["{", "\"input\"", ":", "\""] {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix(token) {
                rest = after;
            } else {
                // An incomplete token waits for more; another one is odd.
                if !token.starts_with(rest) {
                    self.state = DecoderState::Odd;
                }
                return;
            }
        }
        self.at = self.raw.len() - rest.len();
        self.state = DecoderState::Text;
    }

    /// Decodes as far as escapes are complete.
    fn decode(&mut self) {
        loop {
            let rest = self.raw.get(self.at..).unwrap_or_default();
            let Some(stop) = memchr::memchr2(b'"', b'\\', rest.as_bytes()) else {
                self.text.push_str(rest);
                self.at = self.raw.len();
                return;
            };
            let (clean, special) = rest.split_at_checked(stop).unwrap_or((rest, ""));
            self.text.push_str(clean);
            self.at += clean.len();
            if special.starts_with('"') {
                self.state = DecoderState::Closed;
                return;
            }
            let Some((decoded, length)) = unescape(special) else {
                return;
            };
            match decoded {
                Some(character) => self.text.push(character),
                // No escape of JSON: what the model wrote stands.
                None => self
                    .text
                    .push_str(special.get(..length).unwrap_or_default()),
            }
            self.at += length;
        }
    }
}

/// The character of the escape that `text` starts with and the escape's length; `None` while it is
/// incomplete.
fn unescape(text: &str) -> Option<(Option<char>, usize)> {
    let letter = text.chars().nth(1)?;
    let simple = match letter {
        '"' | '\\' | '/' => Some(letter),
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'u' => return unescape_unicode(text),
        _ => None,
    };
    Some((simple, 1 + letter.len_utf8()))
}

fn unescape_unicode(text: &str) -> Option<(Option<char>, usize)> {
    let unit = |from: usize| {
        text.get(from..from + 4)
            .map(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let Some(first) = unit(2) else {
        // Fewer than four bytes so far, or a wide character among them.
        return if text.len() < 6 {
            None
        } else {
            Some((None, 2))
        };
    };
    let Some(first) = first else {
        return Some((None, 2));
    };
    if !(0xD800..0xDC00).contains(&first) {
        return Some((
            Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)),
            6,
        ));
    }
    let tail = text.get(6..).unwrap_or_default();
    if tail.len() < 2 && "\\u".starts_with(tail) {
        return None;
    }
    if !tail.starts_with("\\u") {
        return Some((Some(char::REPLACEMENT_CHARACTER), 6));
    }
    match unit(8) {
        None if text.len() < 12 => None,
        Some(Some(second)) if (0xDC00..0xE000).contains(&second) => {
            let joined = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            Some((char::from_u32(joined), 12))
        }
        None | Some(_) => Some((Some(char::REPLACEMENT_CHARACTER), 6)),
    }
}

/// Whether a text that starts so may turn out to be fenced or wrapped once more, so that nothing of
/// it may be passed on yet.
fn may_be_wrapped(text: &str) -> bool {
    let start = text.trim_start();
    start.starts_with("```") || "```".starts_with(start) || start.starts_with('{')
}

/// The text that was meant by a whole argument text.
pub(crate) fn unwrapped(raw: &str) -> Cow<'_, str> {
    let text = match serde_json::from_str::<Value>(raw) {
        Ok(Value::String(text)) => Cow::Owned(text),
        Ok(Value::Object(mut map)) => {
            let only = map.len() == 1;
            let key = if map.get("input").is_some_and(Value::is_string) {
                Some("input".to_owned())
            } else {
                map.iter()
                    .next()
                    .filter(|(_, value)| only && value.is_string())
                    .map(|(key, _)| key.clone())
            };
            match key.and_then(|key| map.remove(&key)) {
                Some(Value::String(text)) => Cow::Owned(text),
                None | Some(_) => Cow::Borrowed(raw),
            }
        }
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => {
            Cow::Borrowed(raw)
        }
    };
    match without_fences(&text) {
        Some(inside) => Cow::Owned(inside.to_owned()),
        None => text,
    }
}

/// The inside of a text that is one code fence.
fn without_fences(text: &str) -> Option<&str> {
    let (_, inside) = text.trim().strip_prefix("```")?.split_once('\n')?;
    let inside = inside.strip_suffix("```").unwrap_or(inside);
    Some(inside.strip_suffix('\n').unwrap_or(inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `pieces`; checks that the parts add up to the whole.
    fn decode(pieces: &[&str]) -> String {
        let mut decoder = FreeformDecoder::default();
        let mut parts = String::new();
        for piece in pieces {
            parts.push_str(decoder.push(piece));
        }
        let (whole, rest) = decoder.finish();
        parts.push_str(rest);
        assert_eq!(parts, whole);
        parts
    }

    #[test]
    fn what_was_meant_is_found() {
        let patch = "*** Begin Patch\n*** End Patch";
        let rows = [
            r#"{"input":"*** Begin Patch\n*** End Patch"}"#,
            r#" { "input" : "*** Begin Patch\n*** End Patch", "more": 1}"#,
            r#"{"patch":"*** Begin Patch\n*** End Patch"}"#,
            r#""*** Begin Patch\n*** End Patch""#,
            "*** Begin Patch\n*** End Patch",
            "```patch\n*** Begin Patch\n*** End Patch\n```",
            r#"{"input":"```diff\n*** Begin Patch\n*** End Patch\n```"}"#,
            r#"{"input":"{\"input\":\"*** Begin Patch\\n*** End Patch\"}"}"#,
        ];
        for row in rows {
            assert_eq!(decode(&[row]), patch, "{row}");
        }
        assert_eq!(decode(&[]), "");
        assert_eq!(
            decode(&[r#"{"input":"a\$b\ud83d\ude00\ud83dx"#]),
            "a\\$b😀\u{fffd}x"
        );
        assert_eq!(decode(&[r#"{"a":1,"b":"x"}"#]), r#"{"a":1,"b":"x"}"#);
    }

    #[test]
    fn text_is_passed_on_while_it_arrives() {
        let mut decoder = FreeformDecoder::default();
        assert_eq!(decoder.push("{\"inp"), "");
        assert_eq!(decoder.push("ut\": \"cons"), "cons");
        assert_eq!(decoder.push("t a\\"), "t a");
        assert_eq!(decoder.push("n1"), "\n1");
        assert!(!decoder.is_complete());
        assert_eq!(decoder.push("\"}"), "");
        assert!(decoder.is_complete());
        assert_eq!(decoder.finish(), ("const a\n1", ""));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_text(text in any::<String>(), cuts in prop::collection::vec(0usize..400, 0..8)) {
            prop_assume!(!may_be_wrapped(&text));
            let arguments = serde_json::json!({ "input": text }).to_string();
            prop_assert_eq!(decode(&split(&arguments, &cuts)), text);
        }

        #[test]
        fn any_split_of_anything_gives_the_same(text in "[{}\"\\\\:a`inputu0-9 \n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..8)) {
            let source = format!("{{\"input\":\"{text}");
            prop_assert_eq!(decode(&split(&source, &cuts)), decode(&[&source]));
            prop_assert_eq!(decode(&split(&text, &cuts)), decode(&[&text]));
        }
    }

    fn split<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
        let mut cuts: Vec<usize> = cuts
            .iter()
            .copied()
            .filter(|cut| text.is_char_boundary(*cut))
            .collect();
        cuts.sort_unstable();
        let mut pieces = vec![];
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            pieces.push(text.get(from..cut).unwrap());
            from = cut;
        }
        pieces
    }
}
