//! Texts out of the content of chat messages, in every shape that upstreams send.

use serde_json::Value;
use serde_json::value::RawValue;

use super::loss_kind::LossKind;
use crate::json::raw::{Literal, array_of, fields_of};

/// How deep lists of parts are followed.
const MAX_DEPTH: u8 = 4;

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContentPiece<'a> {
    Text(Literal<'a>),
    Reasoning(Literal<'a>),
    Refusal(Literal<'a>),
    /// Something that the other wire has no place for.
    Lost(LossKind),
}

/// What a text without a type of its own is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextKind {
    Text,
    Reasoning,
    Refusal,
}

impl TextKind {
    fn piece(self, text: Literal<'_>) -> ContentPiece<'_> {
        match self {
            Self::Text => ContentPiece::Text(text),
            Self::Reasoning => ContentPiece::Reasoning(text),
            Self::Refusal => ContentPiece::Refusal(text),
        }
    }
}

/// The pieces of content: a string, a part, or a list of these. `None` when something in it may be
/// a text and cannot be read as one.
pub(crate) fn pieces_of(content: &RawValue, kind: TextKind) -> Option<Vec<ContentPiece<'_>>> {
    let mut pieces = Vec::new();
    collect(content, kind, MAX_DEPTH, &mut pieces)?;
    Some(pieces)
}

fn collect<'a>(
    raw: &'a RawValue,
    kind: TextKind,
    depth: u8,
    pieces: &mut Vec<ContentPiece<'a>>,
) -> Option<()> {
    if let Some(text) = Literal::of(raw) {
        if !text.is_empty() {
            pieces.push(kind.piece(text));
        }
        return Some(());
    }
    let depth = depth.checked_sub(1)?;
    if let Some(elements) = array_of(raw) {
        return elements
            .into_iter()
            .try_for_each(|element| collect(element, kind, depth, pieces));
    }
    if raw.get().starts_with('{') {
        return collect_part(raw, kind, depth, pieces);
    }
    // A number or a flag stands for its text.
    if raw.get() != "null" {
        pieces.push(kind.piece(Literal::plain(raw.get())));
    }
    Some(())
}

/// Members of a part that hold its text, and what a text in them is.
const TEXTS: [(&str, Option<TextKind>); 8] = [
    ("text", None),
    ("thinking", Some(TextKind::Reasoning)),
    ("reasoning", Some(TextKind::Reasoning)),
    ("reasoning_content", Some(TextKind::Reasoning)),
    ("summary", Some(TextKind::Reasoning)),
    ("refusal", Some(TextKind::Refusal)),
    ("content", None),
    ("value", None),
];

fn collect_part<'a>(
    raw: &'a RawValue,
    kind: TextKind,
    depth: u8,
    pieces: &mut Vec<ContentPiece<'a>>,
) -> Option<()> {
    let part = fields_of(raw)?;
    let name = part.text("type").unwrap_or_default();
    let kind = match &*name {
        "" | "text" | "output_text" | "input_text" => kind,
        "thinking" | "reasoning" | "reasoning_text" | "summary_text" | "reasoning_content" => {
            TextKind::Reasoning
        }
        "refusal" => TextKind::Refusal,
        // A call in place of a text: to leave it out would change what the model did.
        "tool_use" | "tool_call" | "function_call" => return None,
        other => {
            pieces.push(ContentPiece::Lost(loss_of(other)));
            kind
        }
    };
    let text = TEXTS
        .iter()
        .find_map(|(name, own)| Some((part.get(name)?, own.unwrap_or(kind))));
    match text {
        Some((text, kind)) => collect(text, kind, depth, pieces),
        // A part of a kind may be empty; one without a kind and without a text says something else.
        None => (!name.is_empty() || part.0.is_empty()).then_some(()),
    }
}

fn loss_of(kind: &str) -> LossKind {
    match kind {
        "redacted_thinking" => LossKind::Reasoning,
        "reference" | "citation" | "citations" => LossKind::Annotation,
        _ if kind.contains("image") => LossKind::Image,
        _ if kind.contains("audio") => LossKind::Audio,
        _ if kind.contains("file") => LossKind::File,
        _ => LossKind::UnknownContent,
    }
}

/// The elements of `logprobs.content`, as they stand between the brackets.
pub(crate) fn elements_of(logprobs: &RawValue) -> Option<&str> {
    let content = fields_of(logprobs)?.get("content")?.get();
    content.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// Adds pieces of `reasoning_details`: texts of one detail are joined, since the whole must be
/// given back as if it had come at once.
pub(crate) fn merge_details(all: &mut Vec<Value>, details: &RawValue) {
    let Ok(Value::Array(pieces)) = serde_json::from_str::<Value>(details.get()) else {
        return;
    };
    for piece in pieces {
        let same = |a: &Value, b: &Value| {
            a.get("type") == b.get("type") && a.get("index") == b.get("index")
        };
        let (Some(Value::Object(last)), Value::Object(new)) =
            (all.last_mut().filter(|last| same(last, &piece)), &piece)
        else {
            all.push(piece);
            continue;
        };
        for (key, value) in new {
            match (last.get_mut(key), value) {
                (Some(Value::String(text)), Value::String(more))
                    if matches!(key.as_str(), "text" | "summary" | "data") =>
                {
                    text.push_str(more);
                }
                (_, Value::Null) => {}
                _ => {
                    last.insert(key.clone(), value.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `t:`, `r:` and `f:` are text, reasoning and refusal; the rest are losses.
    fn shown(content: &str) -> Option<Vec<String>> {
        let raw: &RawValue = serde_json::from_str(content).unwrap();
        let pieces = pieces_of(raw, TextKind::Text)?;
        let show = |piece| match piece {
            ContentPiece::Text(text) => format!("t:{}", text.decode()),
            ContentPiece::Reasoning(text) => format!("r:{}", text.decode()),
            ContentPiece::Refusal(text) => format!("f:{}", text.decode()),
            ContentPiece::Lost(kind) => kind.as_str().to_owned(),
        };
        Some(pieces.into_iter().map(show).collect())
    }

    #[test]
    fn content_is_read_in_every_shape() {
        for (content, expected) in [
            (r#""a\n""#, &["t:a\n"][..]),
            (r#""""#, &[]),
            ("null", &[]),
            ("7", &["t:7"]),
            ("true", &["t:true"]),
            (r#"["a",{"text":"b"},null]"#, &["t:a", "t:b"]),
            (r#"{"type":"text","text":"a"}"#, &["t:a"]),
            (
                r#"[{"type":"text","text":{"value":"a","annotations":[]}}]"#,
                &["t:a"],
            ),
            (
                r#"[{"type":"output_text","text":"a","annotations":[]}]"#,
                &["t:a"],
            ),
            (
                r#"[{"type":"thinking","thinking":[{"type":"text","text":"hm"},{"type":"text","text":"!"}]},{"type":"text","text":"a"}]"#,
                &["r:hm", "r:!", "t:a"],
            ),
            (
                r#"[{"type":"thinking","thinking":"hm","signature":"s"}]"#,
                &["r:hm"],
            ),
            (
                r#"[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]}]"#,
                &["r:hm"],
            ),
            (r#"[{"type":"refusal","refusal":"no"}]"#, &["f:no"]),
            (r#"[{"refusal":"no"}]"#, &["f:no"]),
            (
                r#"[{"type":"image_url","image_url":{"url":"u"}}]"#,
                &["image"],
            ),
            (
                r#"[{"type":"reference","reference_ids":[1]}]"#,
                &["annotation"],
            ),
            (
                r#"[{"type":"redacted_thinking","data":"x"}]"#,
                &["reasoning"],
            ),
            (
                r#"[{"type":"hologram","text":"a"}]"#,
                &["unknown_content", "t:a"],
            ),
            (r#"[{"type":"text","text":""}]"#, &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|piece| (*piece).to_owned()).collect();
            assert_eq!(shown(content), Some(expected), "{content}");
        }
    }

    #[test]
    fn content_that_hides_a_call_or_never_ends_is_refused() {
        assert_eq!(
            shown(r#"[{"type":"tool_use","id":"a","name":"f","input":{}}]"#),
            None
        );
        assert_eq!(shown(r#"[[[[["deep"]]]]]"#), None);
    }
}
