//! Events and bodies that the gateway says itself. Knows the shapes clients take for failure;
//! decides nothing.

use bytes::Bytes;
use serde_json::json;

use crate::stream::ReplySummary;
use crate::wire_api::WireApi;

/// Stands in for a response id that the upstream never gave. Codex needs one to accept an event;
/// over HTTP it never sends it back.
pub(crate) const UNNAMED_RESPONSE: &str = "resp_unnamed";

/// Ends a Chat stream.
pub(crate) const CHAT_DONE: &[u8] = b"data: [DONE]\n\n";

/// A whole `response.failed` event. The only way to tell Codex of a failure inside a stream: it
/// passes over `error` events.
pub fn response_failed(response_id: Option<&str>, code: &str, message: &str) -> Bytes {
    let data = json!({
        "type": "response.failed",
        "response": {
            "id": response_id.unwrap_or(UNNAMED_RESPONSE),
            "object": "response",
            "created_at": 0,
            "status": "failed",
            "error": { "code": code, "message": message },
            "incomplete_details": null,
            "output": [],
            "usage": null,
        },
    });
    Bytes::from(format!("event: response.failed\ndata: {data}\n\n"))
}

/// A Chat chunk with an error, at which OpenAI's SDKs raise.
///
/// No `[DONE]` follows: a client that overlooks the error, as old Codex does, would take it for
/// success. For such clients break the body off instead of ending it.
pub fn chat_error(code: &str, message: &str) -> Bytes {
    let data = envelope(message, "server_error", Some(code), None);
    Bytes::from(format!("data: {data}\n\n"))
}

/// An event that says nothing but resets the client's idle timer, which comments do not. `summary`
/// is that of the stream so far.
pub fn keepalive(wire: WireApi, summary: &ReplySummary) -> Bytes {
    match wire {
        WireApi::Responses => {
            Bytes::from_static(b"event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n")
        }
        WireApi::Chat => {
            let data = json!({
                "id": summary.response_id.as_deref().unwrap_or_default(),
                "object": "chat.completion.chunk",
                "created": 0,
                "model": summary.model.as_deref().unwrap_or_default(),
                // Many clients read `choices[0]` without looking whether there is one.
                "choices": [{ "index": 0, "delta": {}, "finish_reason": null }],
            });
            Bytes::from(format!("data: {data}\n\n"))
        }
    }
}

/// The error envelope of both wires.
pub fn error_body(message: &str, kind: &str, code: Option<&str>, param: Option<&str>) -> Bytes {
    Bytes::from(envelope(message, kind, code, param).to_string())
}

fn envelope(
    message: &str,
    kind: &str,
    code: Option<&str>,
    param: Option<&str>,
) -> serde_json::Value {
    json!({ "error": { "message": message, "type": kind, "code": code, "param": param } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::{Relay, RelaySettings};
    use crate::stream::{Step, StreamFailure, Terminal};

    /// What a relay makes of our own events: the proof that they are what they claim to be.
    fn relayed(wire: WireApi, bytes: Bytes) -> (Vec<Step>, ReplySummary) {
        let mut relay = Relay::new(RelaySettings {
            wire,
            max_event: 1 << 20,
            model_echo: None,
            strip_models_etag: false,
            hide_usage: false,
            ends_with_connection: false,
        });
        let mut steps = Vec::new();
        relay.push(bytes, &mut steps).unwrap();
        relay.end(&mut steps);
        (steps, relay.summary().clone())
    }

    #[test]
    fn a_failure_ends_a_responses_stream() {
        let bytes = response_failed(Some("resp_1"), "upstream_timeout", "line\n\"two\"");
        let (steps, summary) = relayed(WireApi::Responses, bytes.clone());
        assert_eq!(steps, [Step::Terminal(bytes)]);
        let Some(Terminal::Failed(failure)) = summary.terminal else {
            panic!("{summary:?}")
        };
        assert_eq!(failure.code.as_deref(), Some("upstream_timeout"));
        assert_eq!(failure.message.as_deref(), Some("line\n\"two\""));
        assert_eq!(summary.response_id.as_deref(), Some("resp_1"));
    }

    #[test]
    fn a_chat_error_is_a_failure_without_an_end() {
        let bytes = chat_error("upstream_timeout", "too slow");
        let (steps, summary) = relayed(WireApi::Chat, bytes.clone());
        assert_eq!(steps, [Step::Preamble(bytes), Step::Terminal(Bytes::new())]);
        let Some(Terminal::Failed(StreamFailure { code, .. })) = summary.terminal else {
            panic!("{summary:?}")
        };
        assert_eq!(code.as_deref(), Some("upstream_timeout"));
    }

    #[test]
    fn a_keepalive_says_nothing() {
        for wire in [WireApi::Responses, WireApi::Chat] {
            let bytes = keepalive(wire, &ReplySummary::default());
            let (steps, summary) = relayed(wire, bytes.clone());
            assert_eq!(steps, [Step::Preamble(bytes)]);
            assert!(!summary.has_output && summary.terminal.is_none());
        }
    }

    #[test]
    fn the_envelope_has_all_four_members() {
        assert_eq!(
            error_body("m", "invalid_request_error", Some("c"), None),
            r#"{"error":{"code":"c","message":"m","param":null,"type":"invalid_request_error"}}"#
        );
    }
}
