//! Decodes strings whose characters outside the basic plane are cut in two: some upstreams send
//! each half of a surrogate pair in a chunk of its own.

use std::borrow::Cow;

/// What stands for a half without its other half.
const LONE: char = char::REPLACEMENT_CHARACTER;

/// Decodes the pieces of one text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SurrogateDecoder {
    /// The first half of a pair, at the end of the last piece.
    high: Option<u16>,
}

impl SurrogateDecoder {
    /// Whether the next piece, the inside of a JSON string, needs this decoder.
    pub(crate) fn is_needed(self, piece: &str) -> bool {
        self.high.is_some() || has_surrogate(piece)
    }

    /// The text of the next piece, the inside of a JSON string, without a first half at its end.
    pub(crate) fn decode(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        let mut rest = piece;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.push_str(&mut out, plain);
            let length = match escape.as_bytes() {
                [_, b'u', ..] => 6,
                _ => 2,
            };
            let (this, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
            match this
                .get(2..)
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            {
                Some(unit) => self.push_unit(&mut out, unit),
                None => self.push_str(&mut out, &simple_escape(this)),
            }
            rest = after;
        }
        self.push_str(&mut out, rest);
        out
    }

    /// The text ended: stands for a first half that no second one followed.
    pub(crate) fn finish(&mut self) -> &'static str {
        match self.high.take() {
            Some(_) => "\u{fffd}",
            None => "",
        }
    }

    fn push_str(&mut self, out: &mut String, text: &str) {
        if !text.is_empty() {
            out.push_str(self.finish());
            out.push_str(text);
        }
    }

    fn push_unit(&mut self, out: &mut String, unit: u16) {
        let high = self.high.take();
        match (high, unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                out.extend(char::decode_utf16([high, unit]).map(|char| char.unwrap_or(LONE)));
                return;
            }
            (Some(_), _) => out.push(LONE),
            (None, _) => {}
        }
        match unit {
            0xD800..=0xDBFF => self.high = Some(unit),
            0xDC00..=0xDFFF => out.push(LONE),
            _ => out.extend(char::from_u32(u32::from(unit))),
        }
    }
}

/// Whether an escape of a surrogate may be in the text.
fn has_surrogate(json: &str) -> bool {
    memchr::memmem::find_iter(json.as_bytes(), b"\\u")
        .any(|at| matches!(json.as_bytes().get(at + 2), Some(b'd' | b'D')))
}

/// The character of an escape other than `\u`.
fn simple_escape(escape: &str) -> Cow<'_, str> {
    serde_json::from_str(&format!("\"{escape}\"")).map_or(Cow::Borrowed(escape), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(pieces: &[&str]) -> String {
        let mut decoder = SurrogateDecoder::default();
        let mut out = String::new();
        for piece in pieces {
            out.push_str(&decoder.decode(piece));
        }
        out.push_str(decoder.finish());
        out
    }

    #[test]
    fn halves_find_each_other_and_lone_ones_are_replaced() {
        for (pieces, expected) in [
            (&[r"a \ud83d", r#"\ude00 \"q\"\n"#][..], "a 😀 \"q\"\n"),
            (&[r"\ud83d\ude00"], "😀"),
            (&[r"\uD83D", "", r"\uDE00"], "😀"),
            (&[r"\ud83d", "x"], "\u{fffd}x"),
            (&[r"\ud83d", r"\n"], "\u{fffd}\n"),
            (&[r"\ud83d\ud83d\ude00"], "\u{fffd}😀"),
            (&[r"\ude00\t"], "\u{fffd}\t"),
            (&[r"a\ud83d"], "a\u{fffd}"),
            (&[r"\\ud83d"], r"\ud83d"),
            (&[r"\u0041\/\u00e9"], "A/é"),
        ] {
            assert_eq!(decoded(pieces), expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_cut_anywhere_between_escapes_decodes_to_itself(text in "\\PC{0,6}", size in 1usize..4) {
            let escapes: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let pieces: Vec<String> = escapes.chunks(size).map(<[String]>::concat).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(decoded(&pieces), text);
        }
    }
}
