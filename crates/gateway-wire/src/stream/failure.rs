//! Reads an error object, wherever an upstream put it. Does not judge it.

use bytes::Bytes;
use serde_json::Value;

use crate::json::span;
use crate::stream::StreamFailure;

/// Longest text kept of one field, in bytes.
const MAX_TEXT: usize = 8 * 1024;

impl StreamFailure {
    /// Reads the error of an event or a body: its `error` member, else that of its `response`, else
    /// its own members.
    pub fn read(data: &[u8]) -> Self {
        let response = if span::is_set(data, 0, "error") {
            None
        } else {
            span::find(data, 0, "response")
        };
        read_at(data, response.unwrap_or(0))
    }
}

/// `at` is where the object stands that has an `error` member, or is the error.
fn read_at(data: &[u8], at: usize) -> StreamFailure {
    let outer = span::Cursor::new(data, at).value().unwrap_or_default();
    let inner = span::member(data, at, "error").filter(|span| data.get(span.start) != Some(&b'n'));
    let mut failure = StreamFailure {
        raw: Bytes::copy_from_slice(data),
        ..StreamFailure::default()
    };
    for span in [inner.clone(), Some(outer)].into_iter().flatten() {
        let text = data.get(span.clone()).unwrap_or_default();
        if let Some(message) = span::unquote(text) {
            // `"error": "some words"`
            failure.message.get_or_insert_with(|| bounded(&message));
            continue;
        }
        let is_inner = Some(&span) == inner.as_ref();
        for member in span::Members::new(data, span.start) {
            let Some(key) = span::string_at(data, &member.key) else {
                continue;
            };
            let value = data.get(member.value).unwrap_or_default();
            match key.as_ref() {
                "code" => keep(&mut failure.code, value),
                // An event's own type says that it is an error, not which.
                "type" if is_inner || (inner.is_none() && value != br#""error""#) => {
                    keep(&mut failure.kind, value);
                }
                "message" => keep(&mut failure.message, value),
                "param" => keep(&mut failure.param, value),
                "status" | "status_code" if failure.status.is_none() => {
                    failure.status = serde_json::from_slice(value).ok();
                }
                _ => {}
            }
        }
    }
    failure
}

fn keep(field: &mut Option<String>, value: &[u8]) {
    if field.is_some() {
        return;
    }
    *field = match serde_json::from_slice(value) {
        Ok(Value::String(text)) => Some(bounded(&text)),
        Ok(Value::Number(number)) => Some(number.to_string()),
        Ok(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | Err(_) => None,
    };
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text).to_owned()
}
