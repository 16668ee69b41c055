//! What was passed on of a text that arrives in pieces and then once more as a whole.

use crate::json::raw::Literal;
use crate::json::surrogates::SurrogateDecoder;

/// A text as far as it was passed on.
#[derive(Debug, Default)]
pub(super) struct SentText {
    text: String,
    decoder: SurrogateDecoder,
}

/// What the whole text has that was not passed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest<'w> {
    Nothing,
    More(&'w str),
    /// A piece in the middle of it.
    Hole,
}

impl SentText {
    /// Takes the next piece; gives it as it is to be passed on.
    pub(super) fn piece<'a>(&mut self, piece: Literal<'a>) -> Literal<'a> {
        let piece = piece.join_piece(&mut self.decoder);
        self.text.push_str(&piece.clone().decode());
        piece
    }

    /// Takes the whole text; gives what of it was not passed on.
    pub(super) fn whole<'w>(&mut self, whole: &'w str) -> Rest<'w> {
        self.text.push_str(self.decoder.finish());
        if let Some(more) = whole.strip_prefix(self.text.as_str()) {
            self.text.push_str(more);
            return if more.is_empty() {
                Rest::Nothing
            } else {
                Rest::More(more)
            };
        }
        // Some upstreams trim the whole text.
        let words = |text: &str| text.chars().filter(|char| !char.is_whitespace()).count();
        if words(whole) > words(&self.text) {
            Rest::Hole
        } else {
            Rest::Nothing
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_shows_what_is_missing() {
        for (pieces, whole, rest) in [
            (&["A", "B"][..], "AB", Rest::Nothing),
            (&["A"], "ABC", Rest::More("BC")),
            (&[], "ABC", Rest::More("ABC")),
            (&["A", "C"], "ABC", Rest::Hole),
            (&["\n\nA ", "B\n"], "A B", Rest::Nothing),
            (&["AB"], "", Rest::Nothing),
        ] {
            let mut sent = SentText::default();
            for piece in pieces {
                sent.piece(Literal::plain(piece));
            }
            assert_eq!(sent.whole(whole), rest, "{pieces:?} {whole}");
        }
    }
}
