//! Texts out of the pieces of chat messages, in every shape that upstreams send.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::ContentPart;
use crate::json::raw::{Literal, array_of, fields_of, text_of};

/// Text of a string, or of an array of text parts.
pub(crate) fn content_text(content: &RawValue) -> std::borrow::Cow<'_, str> {
    if let Some(text) = Literal::of(content) {
        return text.decode();
    }
    let parts: Vec<ContentPart<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    parts
        .into_iter()
        .filter_map(|part| part.text.or(part.refusal).and_then(text_of))
        .collect::<String>()
        .into()
}

/// The elements of `logprobs.content`, as they stand between the brackets.
pub(crate) fn elements_of(logprobs: &RawValue) -> Option<&str> {
    let content = fields_of(logprobs)?.get("content")?.get();
    content.strip_prefix('[')?.strip_suffix(']').map(str::trim)
}

/// The texts in `reasoning_details`.
pub(crate) fn details_text(details: &RawValue) -> String {
    array_of(details)
        .unwrap_or_default()
        .into_iter()
        .filter_map(fields_of)
        .filter_map(|detail| detail.text("text").or_else(|| detail.text("summary")))
        .collect()
}

/// Adds pieces of `reasoning_details`: texts of one detail are joined, since the whole must be
/// given back as if it had come at once.
pub(crate) fn merge_details(all: &mut Vec<serde_json::Value>, details: &RawValue) {
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
