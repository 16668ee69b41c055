//! Errors of an upstream, in whatever envelope, and the same errors in the envelope that every
//! OpenAI client reads.
//!
//! Keeps message, type, code and param; never invents a cause. Both wires have the same envelope.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::dialect::known_code;
use crate::json::raw::{Fields, array_of, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::stream::StreamFailure;

/// Longest message that is passed on, in characters.
const MAX_MESSAGE: usize = 4096;

/// Longest piece of an unreadable body that stands in for a message, in characters.
const MAX_EXCERPT: usize = 400;

/// How deep wrappers are followed: `[{"data":{"error":{…}}}]`.
const MAX_DEPTH: u8 = 4;

/// Reads an error body. `status` is the HTTP status it came with.
pub(crate) fn read_error(body: &[u8], status: Option<u16>) -> StreamFailure {
    let mut failure = StreamFailure {
        status,
        raw: Bytes::copy_from_slice(body),
        ..StreamFailure::default()
    };
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    // Some upstreams frame the error of a refused stream as an event.
    let text = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("data:"))
        .unwrap_or(text)
        .trim();
    if let Ok(raw) = serde_json::from_str::<&RawValue>(text) {
        read_value(&mut failure, raw, MAX_DEPTH);
    }
    if failure.message.is_none() {
        failure.message = Some(excerpt(text, status));
    }
    failure
}

/// Reads the `error` member of a chunk or an event.
pub(crate) fn read_member(raw: &RawValue, data: &[u8]) -> StreamFailure {
    let mut failure = StreamFailure {
        raw: Bytes::copy_from_slice(data),
        ..StreamFailure::default()
    };
    read_value(&mut failure, raw, MAX_DEPTH);
    failure
}

fn excerpt(text: &str, status: Option<u16>) -> String {
    let status = status.map_or(String::new(), |status| format!(" with status {status}"));
    if text.is_empty() || text.starts_with('<') || text.starts_with('{') || text.starts_with('[') {
        return format!("the upstream refused the request{status} without a readable message");
    }
    text.chars().take(MAX_EXCERPT).collect()
}

fn read_value(failure: &mut StreamFailure, raw: &RawValue, depth: u8) {
    if let Some(text) = text_of(raw) {
        keep(&mut failure.message, &text);
        return;
    }
    if depth == 0 {
        return;
    }
    if let Some(first) = array_of(raw).and_then(|items| items.first().copied()) {
        read_value(failure, first, depth - 1);
        return;
    }
    let Some(fields) = fields_of(raw) else { return };
    for (name, field) in [
        ("message", 0),
        ("msg", 0),
        ("title", 1),
        ("code", 2),
        ("type", 3),
        ("param", 4),
    ] {
        let Some(text) = fields.get(name).and_then(word_of) else {
            continue;
        };
        match field {
            0 | 1 => keep(&mut failure.message, &text),
            2 => keep(&mut failure.code, &text),
            // An event names itself where an error names its kind.
            3 if text != "error" && !text.starts_with("response.") => {
                keep(&mut failure.kind, &text);
            }
            4 => keep(&mut failure.param, &text),
            _ => {}
        }
    }
    if failure.status.is_none() {
        failure.status = ["status", "status_code"]
            .into_iter()
            .find_map(|name| fields.get(name)?.get().parse().ok());
    }
    for name in ["error", "detail", "errors", "data", "response"] {
        if let Some(inner) = fields.get(name) {
            read_value(failure, inner, depth - 1);
        }
    }
}

fn word_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    text_of(raw).or_else(|| {
        raw.get()
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| Cow::Borrowed(raw.get()))
    })
}

fn keep(field: &mut Option<String>, text: &str) {
    if field.is_none() && !text.is_empty() {
        *field = Some(text.chars().take(MAX_MESSAGE).collect());
    }
}

/// The code that a client acts on: the upstream's own word, or what its message or status means.
pub(crate) fn public_code(failure: &StreamFailure) -> &str {
    let own = failure
        .code
        .as_deref()
        .filter(|code| code.parse::<f64>().is_err());
    let message = failure.message.as_deref().and_then(known_code);
    if let (Some(message), None) = (message, own) {
        return message;
    }
    let number = failure
        .code
        .as_deref()
        .and_then(|code| code.parse::<u16>().ok())
        .filter(|code| (400..600).contains(code))
        .or(failure.status);
    own.unwrap_or(match number {
        Some(429) => "rate_limit_exceeded",
        Some(402) => "insufficient_quota",
        Some(400 | 422) => "invalid_request_error",
        Some(503 | 529) => "server_is_overloaded",
        _ => "server_error",
    })
}

/// Writes `{"message","type","code","param"}`.
pub(crate) fn write_error(json: &mut JsonWriter, failure: &StreamFailure) {
    json.begin_object();
    json.field_str(
        "message",
        failure
            .message
            .as_deref()
            .unwrap_or("the upstream gave up without a message"),
    );
    json.field_str("type", failure.kind.as_deref().unwrap_or("upstream_error"));
    json.field_str("code", public_code(failure));
    json.key("param");
    match &failure.param {
        Some(param) => json.string(param),
        None => json.raw("null"),
    };
    json.end_object();
}

/// An upstream's error body in the envelope of the client's wire (both wires have the same one).
pub fn error_body(status: u16, body: &[u8]) -> Vec<u8> {
    let failure = read_error(body, Some(status));
    let mut json = JsonWriter::default();
    json.begin_object().key("error");
    write_error(&mut json, &failure);
    json.end_object();
    json.out
}

/// An error that the gateway itself found in a stream.
pub(crate) fn own_failure(code: &str, message: impl Into<String>) -> StreamFailure {
    StreamFailure {
        code: Some(code.to_owned()),
        message: Some(message.into()),
        ..StreamFailure::default()
    }
}

/// Reads `code` and `message` beside an event's type (the `error` event of Responses).
pub(crate) fn read_event(fields: &Fields<'_>, data: &[u8]) -> StreamFailure {
    let mut failure = StreamFailure {
        raw: Bytes::copy_from_slice(data),
        ..StreamFailure::default()
    };
    if let Some(inner) = fields.get("error") {
        read_value(&mut failure, inner, MAX_DEPTH);
    }
    for (name, field) in [
        ("message", &mut failure.message),
        ("code", &mut failure.code),
        ("param", &mut failure.param),
    ] {
        if let Some(text) = fields.get(name).and_then(word_of) {
            keep(field, &text);
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_envelope_keeps_its_message() {
        let rows: [(&str, u16, &str, &str); 13] = [
            (
                r#"{"error":{"message":"no","type":"t","code":"c","param":"p"}}"#,
                400,
                "no",
                "c",
            ),
            (r#"{"error":"no"}"#, 500, "no", "server_error"),
            (r#"{"detail":"no"}"#, 429, "no", "rate_limit_exceeded"),
            (
                r#"{"detail":[{"loc":["body"],"msg":"no"}]}"#,
                422,
                "no",
                "invalid_request_error",
            ),
            (r#"{"message":"no"}"#, 402, "no", "insufficient_quota"),
            (
                r#"{"title":"no","status":503}"#,
                503,
                "no",
                "server_is_overloaded",
            ),
            (
                r#"{"object":"error","message":"no","code":40}"#,
                418,
                "no",
                "server_error",
            ),
            (
                r#"[{"error":{"code":429,"message":"no","status":"X"}}]"#,
                429,
                "no",
                "rate_limit_exceeded",
            ),
            (
                r#"{"data":{"error":{"message":"no","code":"1211"}}}"#,
                400,
                "no",
                "invalid_request_error",
            ),
            (
                "data: {\"error\":{\"message\":\"no\"}}\n\n",
                500,
                "no",
                "server_error",
            ),
            ("plain words", 500, "plain words", "server_error"),
            (
                "",
                502,
                "the upstream refused the request with status 502 without a readable message",
                "server_error",
            ),
            (
                r#"{"error":{"message":"This model's maximum context length is 1 token"}}"#,
                400,
                "This model's maximum context length is 1 token",
                "context_length_exceeded",
            ),
        ];
        for (body, status, message, code) in rows {
            let failure = read_error(body.as_bytes(), Some(status));
            assert_eq!(
                (failure.message.as_deref(), public_code(&failure)),
                (Some(message), code),
                "{body}"
            );
        }
        assert_eq!(
            String::from_utf8(error_body(400, br#"{"error":{"message":"no","code":"c"}}"#))
                .unwrap(),
            r#"{"error":{"message":"no","type":"upstream_error","code":"c","param":null}}"#
        );
    }

    #[test]
    fn an_event_of_a_failed_response_tells_its_error() {
        let event = br#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"sorry"}}}"#;
        let told: serde_json::Value = serde_json::from_slice(&error_body(502, event)).unwrap();
        assert_eq!(
            (&told["error"]["message"], &told["error"]["code"]),
            (&"sorry".into(), &"server_error".into())
        );
        assert_ne!(told["error"]["type"], "response.failed");
    }
}
