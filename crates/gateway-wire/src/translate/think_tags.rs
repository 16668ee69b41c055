//! Takes reasoning out of a text that begins with `<think>…</think>`, however the text is cut into
//! pieces.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where in the text the splitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TagState {
    /// Nothing but white space or a part of the opening tag so far.
    Start,
    Inside,
    /// After the closing tag, where white space is no part of the text.
    Gap,
    Text,
}

/// A piece of reasoning and a piece of text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SplitText {
    pub(crate) reasoning: String,
    pub(crate) text: String,
}

/// Splits one text.
#[derive(Debug)]
pub(crate) struct ThinkTagSplitter {
    at: TagState,
    held: String,
}

impl ThinkTagSplitter {
    pub(crate) fn new(is_enabled: bool) -> Self {
        Self {
            at: if is_enabled {
                TagState::Start
            } else {
                TagState::Text
            },
            held: String::new(),
        }
    }

    /// Whether texts pass untouched.
    pub(crate) fn is_passive(&self) -> bool {
        self.at == TagState::Text
    }

    pub(crate) fn push(&mut self, text: &str) -> SplitText {
        self.held.push_str(text);
        let mut pieces = SplitText::default();
        if self.at == TagState::Start {
            let start = self.held.trim_start();
            if let Some(rest) = start.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.at = TagState::Inside;
            } else if !OPEN.starts_with(start) {
                self.at = TagState::Text;
            }
        }
        if self.at == TagState::Inside {
            if let Some((inside, rest)) = self.held.split_once(CLOSE) {
                pieces.reasoning.push_str(inside);
                self.held = rest.to_owned();
                self.at = TagState::Gap;
            } else {
                let held = (1..CLOSE.len())
                    .rev()
                    .find(|n| CLOSE.get(..*n).is_some_and(|tag| self.held.ends_with(tag)));
                let rest = self.held.split_off(self.held.len() - held.unwrap_or(0));
                pieces.reasoning = std::mem::replace(&mut self.held, rest);
            }
        }
        if self.at == TagState::Gap {
            self.held = self.held.trim_start().to_owned();
            if !self.held.is_empty() {
                self.at = TagState::Text;
            }
        }
        if self.at == TagState::Text {
            pieces.text = std::mem::take(&mut self.held);
        }
        pieces
    }

    /// The text ended: what was held back.
    pub(crate) fn finish(&mut self) -> SplitText {
        let held = std::mem::take(&mut self.held);
        match self.at {
            TagState::Inside => SplitText {
                reasoning: held,
                text: String::new(),
            },
            TagState::Start | TagState::Gap | TagState::Text => SplitText {
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

    fn split(pieces: &[&str]) -> SplitText {
        let mut splitter = ThinkTagSplitter::new(true);
        let mut all = SplitText::default();
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
                SplitText {
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
