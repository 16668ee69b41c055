//! Reads plain JSON answers: what they cost and how they ended. Builds no value of the body, which
//! may hold megabytes of images.

use crate::json::span::{self, Members};
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::usage::read_usage;
use crate::wire_api::WireApi;

/// Reads an answer body of one wire: a response, a completion, a compaction, images, or an error.
/// What only a stream says (events, text as it arrives) stays at its default; everything does when
/// the body is not a JSON object.
pub fn read_reply(wire: WireApi, body: &[u8]) -> ReplySummary {
    let mut reply = ReplySummary::default();
    let mut status = None;
    let mut reason = None;
    let mut has_error = false;
    let mut is_object = false;
    for member in Members::new(body, 0) {
        is_object = true;
        let text = || span::label_at(body, &member.value);
        let value = body.get(member.value.clone()).unwrap_or_default();
        match span::string_at(body, &member.key).as_deref() {
            Some("id") => reply.response_id = text(),
            Some("model") => reply.model = text(),
            Some("service_tier") => reply.service_tier = text(),
            Some("status") => status = text(),
            Some("error") => has_error = value != b"null",
            Some("usage") => {
                reply.note_usage(&read_usage(value));
            }
            Some("incomplete_details") if wire == WireApi::Responses => {
                reason = span::text_of(body, member.value.start, "reason");
            }
            Some("choices") if wire == WireApi::Chat => {
                let first = member.value.start + 1;
                reason =
                    span::text_of(body, first, "finish_reason").filter(|reason| is_cut(reason));
                status = reason.is_some().then(|| "incomplete".to_owned());
            }
            Some(_) | None => {}
        }
    }
    reply.terminal = match status.as_deref() {
        _ if has_error || status.as_deref() == Some("failed") => {
            Some(Terminal::Failed(StreamFailure::read(body)))
        }
        Some("incomplete") => Some(Terminal::Incomplete { reason }),
        Some("queued" | "in_progress" | "cancelled") => None,
        Some(_) | None => is_object.then_some(Terminal::Completed),
    };
    reply
}

/// Whether a Chat finish reason means that something is missing.
pub(crate) fn is_cut(finish_reason: &str) -> bool {
    matches!(finish_reason, "length" | "content_filter")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{Usage, UsageReading};

    fn reported(input: u64, cached: u64, output: u64) -> UsageReading {
        UsageReading::Reported(Usage::new(input, cached, 0, output, 0).unwrap())
    }

    #[test]
    fn answers_of_all_kinds_are_read() {
        let response = br#"{"id":"resp_1","object":"response","status":"completed","error":null,"model":"m","service_tier":"flex",
            "output":[{"usage":{"input_tokens":9}}],"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}"#;
        assert_eq!(
            read_reply(WireApi::Responses, response),
            ReplySummary {
                usage: reported(3, 0, 2),
                provider_cost_nanos: None,
                response_id: Some("resp_1".to_owned()),
                model: Some("m".to_owned()),
                service_tier: Some("flex".to_owned()),
                terminal: Some(Terminal::Completed),
                ..ReplySummary::default()
            }
        );
        let chat = br#"{"id":"c-1","model":"m","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"length"}],
            "usage":{"prompt_tokens":3,"prompt_cache_hit_tokens":1,"completion_tokens":2,"cost":0.5}}"#;
        let chat = read_reply(WireApi::Chat, chat);
        assert_eq!(
            (chat.usage, chat.provider_cost_nanos),
            (reported(3, 1, 2), Some(500_000_000))
        );
        assert_eq!(
            chat.terminal,
            Some(Terminal::Incomplete {
                reason: Some("length".to_owned())
            })
        );
    }

    #[test]
    fn how_an_answer_ended_is_told() {
        let ended = |wire, body: &str| read_reply(wire, body.as_bytes()).terminal;
        let cut = r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#;
        assert_eq!(
            ended(WireApi::Responses, cut),
            Some(Terminal::Incomplete {
                reason: Some("max_output_tokens".to_owned())
            })
        );
        assert_eq!(ended(WireApi::Responses, r#"{"status":"queued"}"#), None);
        assert_eq!(
            ended(WireApi::Responses, r#"{"output":[]}"#),
            Some(Terminal::Completed)
        );
        assert_eq!(
            ended(WireApi::Chat, r#"{"choices":[{"finish_reason":"stop"}]}"#),
            Some(Terminal::Completed)
        );
        assert_eq!(ended(WireApi::Chat, "<html>"), None);
        let failed = r#"{"status":"failed","error":{"code":"c","message":"m"}}"#;
        let Some(Terminal::Failed(failure)) = ended(WireApi::Responses, failed) else {
            panic!()
        };
        assert_eq!(
            (failure.code.as_deref(), failure.message.as_deref()),
            (Some("c"), Some("m"))
        );
        assert!(matches!(
            ended(WireApi::Chat, r#"{"error":{"message":"m"}}"#),
            Some(Terminal::Failed(_))
        ));
    }

    #[test]
    fn an_answer_without_usage_claims_none() {
        for body in [
            r#"{"object":"response.input_tokens","input_tokens":11}"#,
            r#"{"usage":null}"#,
            "",
            "[]",
        ] {
            assert_eq!(
                read_reply(WireApi::Responses, body.as_bytes()).usage,
                UsageReading::Missing,
                "{body}"
            );
        }
        let images = br#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"total_tokens":5,"input_tokens":3,"output_tokens":2,"input_tokens_details":{"text_tokens":3,"image_tokens":0}}}"#;
        assert_eq!(
            read_reply(WireApi::Responses, images).usage,
            reported(3, 0, 2)
        );
    }
}
