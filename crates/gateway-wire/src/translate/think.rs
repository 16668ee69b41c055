//! Takes reasoning out of a text that begins with `<think>…</think>`, however the text is cut into
//! pieces.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where in the text the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing but white space or a part of the opening tag so far.
    Start,
    Inside,
    /// After the closing tag, where white space is no part of the text.
    Gap,
    Text,
}

/// A piece of reasoning and a piece of text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) reasoning: String,
    pub(crate) text: String,
}

/// Splits one text.
#[derive(Debug)]
pub(crate) struct ThinkSplitter {
    at: At,
    held: String,
}

impl ThinkSplitter {
    pub(crate) fn new(is_enabled: bool) -> Self {
        Self {
            at: if is_enabled { At::Start } else { At::Text },
            held: String::new(),
        }
    }

    /// Whether texts pass untouched.
    pub(crate) fn is_passive(&self) -> bool {
        self.at == At::Text
    }

    pub(crate) fn push(&mut self, text: &str) -> Pieces {
        self.held.push_str(text);
        let mut pieces = Pieces::default();
        if self.at == At::Start {
            let start = self.held.trim_start();
            if let Some(rest) = start.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.at = At::Inside;
            } else if !OPEN.starts_with(start) {
                self.at = At::Text;
            }
        }
        if self.at == At::Inside {
            if let Some((inside, rest)) = self.held.split_once(CLOSE) {
                pieces.reasoning.push_str(inside);
                self.held = rest.to_owned();
                self.at = At::Gap;
            } else {
                let held = (1..CLOSE.len())
                    .rev()
                    .find(|n| CLOSE.get(..*n).is_some_and(|tag| self.held.ends_with(tag)));
                let rest = self.held.split_off(self.held.len() - held.unwrap_or(0));
                pieces.reasoning = std::mem::replace(&mut self.held, rest);
            }
        }
        if self.at == At::Gap {
            self.held = self.held.trim_start().to_owned();
            if !self.held.is_empty() {
                self.at = At::Text;
            }
        }
        if self.at == At::Text {
            pieces.text = std::mem::take(&mut self.held);
        }
        pieces
    }

    /// The text ended: what was held back.
    pub(crate) fn finish(&mut self) -> Pieces {
        let held = std::mem::take(&mut self.held);
        match self.at {
            At::Inside => Pieces {
                reasoning: held,
                text: String::new(),
            },
            At::Start | At::Gap | At::Text => Pieces {
                reasoning: String::new(),
                text: held,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&str]) -> Pieces {
        let mut splitter = ThinkSplitter::new(true);
        let mut all = Pieces::default();
        for piece in pieces
            .iter()
            .map(|piece| splitter.push(piece))
            .collect::<Vec<_>>()
            .into_iter()
            .chain([splitter.finish()])
        {
            all.reasoning.push_str(&piece.reasoning);
            all.text.push_str(&piece.text);
        }
        all
    }

    #[test]
    fn only_leading_thoughts_are_taken_out() {
        let rows = [
            ("<think>a</think>\n\nb", "a", "b"),
            (
                " \n<think>a < b </th </think>b</think>",
                "a < b </th ",
                "b</think>",
            ),
            ("b <think>a</think>", "", "b <think>a</think>"),
            ("<think>a", "a", ""),
            ("<thin", "", "<thin"),
            ("", "", ""),
        ];
        for (source, reasoning, text) in rows {
            assert_eq!(
                split(&[source]),
                Pieces {
                    reasoning: reasoning.to_owned(),
                    text: text.to_owned()
                },
                "{source}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(source in "(<think>)?[ab<>/think]{0,20}(</think>)?[ab\n<]{0,9}", cuts in prop::collection::vec(0usize..45, 0..9)) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= source.len()).collect();
            cuts.sort_unstable();
            let mut pieces = vec![];
            let mut from = 0;
            for cut in cuts.into_iter().chain([source.len()]) {
                pieces.push(source.get(from..cut).unwrap());
                from = cut;
            }
            prop_assert_eq!(split(&pieces), split(&[&source]));
        }
    }
}
