//! Puts the pieces of tool calls together, however an upstream numbers them.
//!
//! Upstreams leave `index` out, give all calls the same one, repeat ids and names, send whole calls
//! at once, and send the arguments as an object. Each piece still belongs to exactly one call.

use std::borrow::Cow;

use crate::chat::ToolCall;
use crate::json::raw::{Literal, is_json_object, text_of};

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
}

/// The calls of one answer, in the order of their beginnings.
#[derive(Debug, Default)]
pub(crate) struct CallAssembler {
    pub(crate) list: Vec<AssembledCall>,
}

impl CallAssembler {
    /// Adds a piece. Returns which call it belongs to and the arguments it adds.
    pub(crate) fn add<'p>(&mut self, piece: &'p ToolCall<'_>) -> (usize, Cow<'p, str>) {
        let id = piece.id.and_then(text_of).filter(|id| !id.is_empty());
        let function = piece.function.as_ref();
        let custom = piece.custom.as_ref();
        let name = function
            .and_then(|function| function.name.as_ref())
            .or_else(|| custom.and_then(|custom| custom.name.as_ref()))
            .map(|name| &*name.0)
            .filter(|name| !name.is_empty());
        let at = self
            .find(piece.index, id.as_deref(), name)
            .unwrap_or_else(|| {
                self.list.push(AssembledCall {
                    index: piece.index,
                    ..AssembledCall::default()
                });
                self.list.len() - 1
            });
        let raw = function
            .and_then(|function| function.arguments)
            .or_else(|| custom.and_then(|custom| custom.input));
        let fragment = match raw {
            None => Cow::Borrowed(""),
            Some(raw) => Literal::of(raw).map_or(Cow::Borrowed(raw.get()), Literal::decode),
        };
        let fragment = if fragment == "null" {
            Cow::Borrowed("")
        } else {
            fragment
        };
        let Some(call) = self.list.get_mut(at) else {
            return (at, Cow::Borrowed(""));
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
        // The whole arguments once more: some upstreams end a call so.
        if fragment.len() > 1 && fragment == call.arguments && is_json_object(&call.arguments) {
            return (at, Cow::Borrowed(""));
        }
        call.arguments.push_str(&fragment);
        (at, fragment)
    }

    /// The call that a piece continues.
    fn find(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let is_other = |call: &AssembledCall| {
            name.is_some()
                && matches!((id, call.id.as_deref()), (Some(new), Some(known)) if new != known)
        };
        if let Some(index) = index {
            let at = self
                .list
                .iter()
                .rposition(|call| call.index == Some(index))?;
            return self.list.get(at).filter(|call| !is_other(call)).map(|_| at);
        }
        if id.is_some() {
            return self.list.iter().rposition(|call| call.id.as_deref() == id);
        }
        let last = self.list.last()?;
        let is_new = match name {
            None => false,
            Some(name) => last.name != name || is_json_object(&last.arguments),
        };
        (!is_new || last.name.is_empty()).then(|| self.list.len() - 1)
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
}
