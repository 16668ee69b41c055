//! Puts the pieces of tool calls together, however an upstream numbers them.
//!
//! Upstreams leave `index` out, give all calls the same one, repeat ids and names, send whole calls
//! at once, and send the arguments as an object. Each piece still belongs to exactly one call.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::chat::ToolCall;
use crate::json::raw::{Literal, is_json_object, text_of};
use crate::json::surrogates::SurrogateDecoder;

/// One call as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct AssembledCall {
    index: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) extra_content: Option<String>,
    /// A freeform call of the upstream's own: the arguments are the raw text.
    pub(crate) is_custom: bool,
    decoder: SurrogateDecoder,
}

/// The calls of one answer, in the order of their beginnings.
#[derive(Debug, Default)]
pub(crate) struct CallAssembler {
    pub(crate) list: Vec<AssembledCall>,
}

impl CallAssembler {
    /// Adds a piece. Returns which call it belongs to and how many bytes of arguments it had.
    pub(crate) fn add(&mut self, piece: &ToolCall<'_>) -> (usize, usize) {
        let id = piece.id.and_then(text_of).filter(|id| !id.is_empty());
        let function = piece.function.as_ref();
        let custom = piece.custom.as_ref();
        let name = function
            .and_then(|function| function.name.as_ref())
            .or_else(|| custom.and_then(|custom| custom.name.as_ref()))
            .map(|name| &*name.0)
            .filter(|name| !name.is_empty());
        let raw = function
            .and_then(|function| function.arguments)
            .or_else(|| custom.and_then(|custom| custom.input));
        let at = self.find(piece.index, id.as_deref(), name, raw);
        let at = at.unwrap_or_else(|| {
            self.list.push(AssembledCall {
                index: piece.index,
                ..AssembledCall::default()
            });
            self.list.len() - 1
        });
        let Some(call) = self.list.get_mut(at) else {
            return (at, 0);
        };
        if call.id.is_none() {
            call.id = id.map(Cow::into_owned);
        }
        if call.name.is_empty() {
            name.unwrap_or_default().clone_into(&mut call.name);
        }
        call.is_custom |= custom.is_some();
        if let Some(extra) = piece.extra_content {
            call.extra_content = Some(extra.get().to_owned());
        }
        (at, raw.map_or(0, |raw| call.extend(raw)))
    }

    /// The answer ended: nothing follows the pieces that came.
    pub(crate) fn finish(&mut self) {
        for call in &mut self.list {
            call.arguments.push_str(call.decoder.finish());
        }
    }

    /// The call that a piece continues.
    fn find(
        &self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        arguments: Option<&RawValue>,
    ) -> Option<usize> {
        if let Some(index) = index {
            let at = self
                .list
                .iter()
                .rposition(|call| call.index == Some(index))?;
            let call = self.list.get(at)?;
            return (!call.is_followed_by(id, name, arguments)).then_some(at);
        }
        if id.is_some() {
            return self.list.iter().rposition(|call| call.id.as_deref() == id);
        }
        let last = self.list.last()?;
        (!last.is_followed_by(None, name, arguments)).then(|| self.list.len() - 1)
    }
}

impl AssembledCall {
    /// Whether a piece with this id and name begins another call, although it has the same index or
    /// none.
    fn is_followed_by(
        &self,
        id: Option<&str>,
        name: Option<&str>,
        arguments: Option<&RawValue>,
    ) -> bool {
        let Some(name) = name.filter(|_| !self.name.is_empty()) else {
            return false;
        };
        match (id, self.id.as_deref()) {
            (Some(new), Some(known)) => new != known,
            // Without ids: another name, or the same one with more arguments after a whole call.
            (_, _) if self.name != name => true,
            (_, _) => {
                let more = arguments.map(|raw| text_of(raw).unwrap_or(Cow::Borrowed(raw.get())));
                more.is_some_and(|more| !more.is_empty() && more != self.arguments)
                    && self.is_whole()
            }
        }
    }

    /// Adds to the arguments; returns how many bytes.
    fn extend(&mut self, raw: &RawValue) -> usize {
        let fragment = match Literal::of(raw) {
            Some(text) => text.decode_piece(&mut self.decoder),
            // An object in place of its text.
            None => Cow::Borrowed(raw.get()),
        };
        if fragment.len() > 1 && is_json_object(&self.arguments) {
            // The whole arguments once more: some upstreams end a call so.
            if fragment == self.arguments {
                return 0;
            }
            // Some begin a call with an empty object and then write the real one.
            if self.arguments == "{}" && fragment.trim_start().starts_with('{') {
                self.arguments.clear();
            }
        }
        self.arguments.push_str(&fragment);
        fragment.len()
    }

    /// Whether the arguments are what stands for none: nothing, `null`, or an empty object, so that
    /// nothing of them may be passed on while more can come.
    pub(crate) fn has_no_arguments_yet(&self) -> bool {
        let text = self.arguments.trim();
        "null".starts_with(text) || text == "{}"
    }

    /// Whether the arguments are a whole JSON object.
    pub(crate) fn is_whole(&self) -> bool {
        is_json_object(&self.arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&str], expected: &[(&str, &str, &str)]) {
        let mut calls = CallAssembler::default();
        for piece in pieces {
            let piece: ToolCall<'_> = serde_json::from_str(piece).unwrap();
            calls.add(&piece);
        }
        calls.finish();
        let found: Vec<_> = calls
            .list
            .iter()
            .map(|call| {
                (
                    call.id.as_deref().unwrap_or(""),
                    call.name.as_str(),
                    call.arguments.as_str(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{pieces:?}");
    }

    #[test]
    fn pieces_find_their_calls() {
        let two: &[(&str, &str, &str)] = &[("a", "f", r#"{"x":1}"#), ("b", "g", "{}")];
        // As documented.
        check(
            &[
                r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#,
                r#"{"index":0,"function":{"arguments":"{\"x\""}}"#,
                r#"{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}"#,
                r#"{"index":0,"function":{"arguments":":1}"}}"#,
                r#"{"index":1,"function":{"arguments":"{}"}}"#,
            ],
            two,
        );
        // No index, ids repeated.
        check(
            &[
                r#"{"id":"a","function":{"name":"f","arguments":"{\"x\""}}"#,
                r#"{"id":"b","function":{"name":"g","arguments":"{"}}"#,
                r#"{"id":"a","function":{"name":"f","arguments":":1}"}}"#,
                r#"{"id":"b","function":{"name":null,"arguments":"}"}}"#,
            ],
            two,
        );
        // One index for all, whole calls, arguments as objects.
        check(
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}"#,
                r#"{"index":0,"id":"b","function":{"name":"g","arguments":{}}}"#,
            ],
            two,
        );
        // Neither index nor id; the end repeats the whole.
        check(
            &[
                r#"{"function":{"name":"f","arguments":"{\"x\":"}}"#,
                r#"{"function":{"arguments":"1}"}}"#,
                r#"{"function":{"arguments":"{\"x\":1}"}}"#,
                r#"{"function":{"name":"g","arguments":null}}"#,
                r#"{"function":{"name":"g","arguments":"{}"}}"#,
            ],
            &[("", "f", r#"{"x":1}"#), ("", "g", "{}")],
        );
        // Freeform.
        check(
            &[
                r#"{"index":0,"id":"a","custom":{"name":"f","input":"te"}}"#,
                r#"{"index":0,"custom":{"input":"xt"}}"#,
            ],
            &[("a", "f", "text")],
        );
    }

    #[test]
    fn calls_without_ids_are_told_apart() {
        let two: &[(&str, &str, &str)] = &[("", "f", r#"{"x":1}"#), ("", "g", r#"{"y":2}"#)];
        for (index, id) in [
            ("\"index\":0,", "\"id\":\"\","),
            ("\"index\":0,", ""),
            ("", "\"id\":\"\","),
            ("\"index\":\"0\",", "\"id\":null,"),
        ] {
            // Whole calls.
            check(
                &[
                    &format!(
                        r#"{{{index}{id}"function":{{"name":"f","arguments":"{{\"x\":1}}"}}}}"#
                    ),
                    &format!(
                        r#"{{{index}{id}"function":{{"name":"g","arguments":"{{\"y\":2}}"}}}}"#
                    ),
                ],
                two,
            );
            // In pieces.
            check(
                &[
                    &format!(r#"{{{index}{id}"function":{{"name":"f","arguments":""}}}}"#),
                    &format!(r#"{{{index}"function":{{"arguments":"{{\"x\":1}}"}}}}"#),
                    &format!(r#"{{{index}{id}"function":{{"name":"g","arguments":""}}}}"#),
                    &format!(r#"{{{index}"function":{{"arguments":"{{\"y\":2}}"}}}}"#),
                ],
                two,
            );
            // The same function twice.
            check(
                &[
                    &format!(
                        r#"{{{index}{id}"function":{{"name":"f","arguments":"{{\"x\":1}}"}}}}"#
                    ),
                    &format!(
                        r#"{{{index}{id}"function":{{"name":"f","arguments":"{{\"x\":2}}"}}}}"#
                    ),
                ],
                &[("", "f", r#"{"x":1}"#), ("", "f", r#"{"x":2}"#)],
            );
        }
        // Three calls, the second without arguments.
        check(
            &[
                r#"{"index":0,"id":"","function":{"name":"f","arguments":"{}"}}"#,
                r#"{"index":0,"id":"","function":{"name":"g"}}"#,
                r#"{"index":0,"id":"","function":{"name":"h","arguments":"{}"}}"#,
            ],
            &[("", "f", "{}"), ("", "g", ""), ("", "h", "{}")],
        );
        // The name in every piece of one call.
        check(
            &[
                r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":"}}"#,
                r#"{"index":0,"function":{"name":"f","arguments":"1}"}}"#,
                r#"{"index":0,"function":{"name":"f","arguments":""}}"#,
                r#"{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}}"#,
            ],
            &[("", "f", r#"{"x":1}"#)],
        );
        // A new id in every piece of one call.
        check(
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}"#,
                r#"{"index":0,"id":"b","function":{"arguments":"1}"}}"#,
            ],
            &[("a", "f", r#"{"x":1}"#)],
        );
    }

    #[test]
    fn every_byte_of_the_arguments_counts() {
        // `null` is a part of them as any other word.
        check(
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}"#,
                r#"{"index":0,"function":{"arguments":"null"}}"#,
                r#"{"index":0,"function":{"arguments":null}}"#,
                r#"{"index":0,"function":{"arguments":"}"}}"#,
            ],
            &[("a", "f", r#"{"x":null}"#)],
        );
        // An empty object first, the real one after it.
        check(
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
                r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
                r#"{"index":0,"function":{"arguments":"1}"}}"#,
            ],
            &[("a", "f", r#"{"x":1}"#)],
        );
        // A character cut in two.
        check(
            &[
                r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\"\ud83d"}}"#,
                r#"{"index":0,"function":{"arguments":"\ude00\"}"}}"#,
            ],
            &[("a", "f", r#"{"x":"😀"}"#)],
        );
        check(
            &[r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}\ud83d"}}"#],
            &[("a", "f", "{}\u{fffd}")],
        );
    }
}
