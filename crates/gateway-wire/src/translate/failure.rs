//! Errors of an upstream, in whatever envelope, and the same errors in the envelope that every
//! OpenAI client reads.
//!
//! Keeps message, type, code and param; never invents a cause. Both wires have the same envelope.

use bytes::Bytes;

use crate::dialect::known_code;
use crate::json::write::JsonWriter;
use crate::stream::StreamFailure;

/// Longest piece of an unreadable body that stands in for a message, in characters.
const MAX_EXCERPT: usize = 400;

/// Longest piece of an unreadable event that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Reads an error body. `status` is the HTTP status it came with.
pub(crate) fn read_error(body: &[u8], status: Option<u16>) -> StreamFailure {
    let mut failure = StreamFailure::read(body);
    failure.status = status.or(failure.status);
    if failure.message.is_none() {
        let text = String::from_utf8_lossy(body);
        failure.message = Some(excerpt(text.trim(), status));
    }
    failure
}

fn excerpt(text: &str, status: Option<u16>) -> String {
    let status = status.map_or(String::new(), |status| format!(" with status {status}"));
    if text.is_empty() || text.starts_with('<') || text.starts_with('{') || text.starts_with('[') {
        return format!(
            "the upstream refused the request{status} without a readable error message"
        );
    }
    text.chars().take(MAX_EXCERPT).collect()
}

/// The error that an event is or holds, by its data and its `event:` field.
pub(crate) fn error_event(data: &[u8], event_name: Option<&str>) -> Option<StreamFailure> {
    let mut failure = StreamFailure::in_event(data, event_name)?;
    if failure.message.is_none() {
        failure.message = read_error(data, None).message;
    }
    Some(failure)
}

/// Names of events that say nothing, whatever their data.
const KEEPALIVES: [&str; 5] = ["ping", "keepalive", "keep-alive", "heartbeat", "comment"];

/// The failure of an answer one of whose events cannot be read; `None` where nothing can be missing
/// for it.
pub(crate) fn unreadable(data: &[u8], event_name: Option<&str>) -> Option<StreamFailure> {
    let is_nothing = data.trim_ascii().is_empty();
    if is_nothing || event_name.is_some_and(|name| KEEPALIVES.contains(&name)) {
        return None;
    }
    let text = String::from_utf8_lossy(data);
    let shown: String = text.trim().chars().take(MAX_SHOWN).collect();
    Some(StreamFailure {
        raw: Bytes::copy_from_slice(data),
        ..own_failure(
            "server_error",
            format!("the upstream sent an event that cannot be read: {shown}"),
        )
    })
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
        Some(401) => "authentication_error",
        Some(403) => "permission_error",
        Some(404) => "not_found_error",
        Some(408) => "request_timeout",
        Some(409) => "conflict_error",
        Some(413) => "request_too_large",
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
            .unwrap_or("the upstream failed without an error message"),
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

/// The upstream closed the connection too early.
pub(crate) fn truncated() -> StreamFailure {
    own_failure(
        "upstream_truncated",
        "the upstream closed the stream before the response was complete",
    )
}

/// A call that must not be made: what is missing of its arguments may matter most.
pub(crate) fn broken_call() -> StreamFailure {
    own_failure(
        "server_error",
        "the upstream sent a tool call whose arguments are not a JSON object",
    )
}

/// An error that the gateway itself found in a stream.
pub(crate) fn own_failure(code: &str, message: impl Into<String>) -> StreamFailure {
    StreamFailure {
        code: Some(code.to_owned()),
        message: Some(message.into()),
        ..StreamFailure::default()
    }
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
                "the upstream refused the request with status 502 without a readable error message",
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
