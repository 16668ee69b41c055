//! Reads plain JSON answers: what they cost and how they ended. Builds no value of the body, which
//! may hold megabytes of images.

use serde::de::IgnoredAny;

use crate::json::span::{self, Elements, Members};
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::usage::{extension_usage, read_usage};
use crate::wire_api::WireApi;

/// Larger bodies without an `error` member are not looked through for the words of one, in bytes.
const MAX_ERROR: usize = 64 * 1024;

/// Reads an answer body of one wire: a response, a completion, a compaction, images, or an error.
/// What only a stream says (events, text as it arrives) stays at its default.
///
/// A body that is cut, or not JSON, is an answer that failed, whatever its beginning says.
pub fn read_reply(wire: WireApi, body: &[u8]) -> ReplySummary {
    let mut reply = ReplySummary::default();
    let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
    let ending = read_members(wire, body, &mut reply);
    reply.note_size(body.len());
    if !is_json {
        if !body.trim_ascii().is_empty() {
            reply.end_with(Terminal::Failed(truncated(body)));
        }
        return reply;
    }
    match ending {
        Some(terminal) => reply.end_with(terminal),
        // A usage that claims nothing claims nothing here either.
        None => reply.terminal = None,
    }
    reply
}

/// Takes what the body says; gives how the answer ended.
fn read_members(wire: WireApi, body: &[u8], reply: &mut ReplySummary) -> Option<Terminal> {
    let mut status = None;
    let mut reason = None;
    let mut has_error = false;
    let mut has_payload = false;
    let mut is_object = false;
    for member in Members::new(body, 0) {
        is_object = true;
        let text = || span::label_at(body, &member.value);
        let at = member.value.start;
        let value = body.get(member.value.clone()).unwrap_or_default();
        match span::string_at(body, &member.key).as_deref() {
            Some("id") => reply.response_id = text(),
            Some("model") => reply.model = text(),
            Some("service_tier") => reply.service_tier = text(),
            Some("status") => status = text(),
            Some("error") => has_error = value != b"null",
            Some("object") if wire == WireApi::Responses => has_payload |= value != br#""error""#,
            Some("usage") => reply.note_usage(&read_usage(value)),
            Some("incomplete_details") if wire == WireApi::Responses => {
                reason = span::text_of(body, at, "reason");
            }
            Some("output") if wire == WireApi::Responses => {
                reply.has_output |= Elements::new(body, at).next().is_some();
                has_payload = true;
            }
            Some("choices") if wire == WireApi::Chat => {
                let choice = Elements::new(body, at).next();
                has_payload |= choice.is_some();
                reply.has_output |= choice.is_some();
                reason = choice
                    .and_then(|choice| span::text_of(body, choice.start, "finish_reason"))
                    .filter(|reason| is_cut(reason));
                status = reason.is_some().then(|| "incomplete".to_owned());
            }
            Some(_) | None => {}
        }
    }
    if let Some(usage) = extension_usage(body).and_then(|span| body.get(span)) {
        reply.note_usage(&read_usage(usage));
    }
    reply.hosted_tools.note_response(body);
    if wire == WireApi::Responses {
        reply.stored.note_response(body);
    }
    let may_be_error = has_error || (!has_payload && body.len() <= MAX_ERROR);
    match status.as_deref() {
        Some("failed") => Some(Terminal::Failed(StreamFailure::read(body))),
        Some("incomplete") => Some(Terminal::Incomplete { reason }),
        Some("queued" | "in_progress" | "cancelled") => None,
        Some(_) | None => may_be_error
            .then(|| StreamFailure::in_event(body, None).map(Terminal::Failed))
            .flatten()
            .or(is_object.then_some(Terminal::Completed)),
    }
}

/// The failure of a body that ends too early or was never an answer.
fn truncated(body: &[u8]) -> StreamFailure {
    let is_cut = body.trim_ascii_start().starts_with(b"{");
    StreamFailure {
        code: Some("upstream_truncated".to_owned()),
        message: Some(
            if is_cut {
                "the upstream's answer is not whole"
            } else {
                "the upstream's answer is not JSON"
            }
            .to_owned(),
        ),
        ..StreamFailure::default()
    }
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
                has_output: true,
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
    fn a_body_that_is_cut_or_not_json_is_an_answer_that_failed() {
        let whole = r#"{"id":"c","choices":[{"message":{"content":"a\"}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        assert_eq!(
            read_reply(WireApi::Chat, whole.as_bytes()).terminal,
            Some(Terminal::Completed)
        );
        let failed = |body: &[u8]| match read_reply(WireApi::Chat, body).terminal {
            Some(Terminal::Failed(failure)) => failure.code,
            other => panic!("{other:?}"),
        };
        for length in 1..whole.len() {
            let code = failed(&whole.as_bytes()[..length]);
            assert_eq!(code.as_deref(), Some("upstream_truncated"), "{length}");
        }
        for body in [
            "<html>",
            "data: {}\n\n",
            "{\"a\":1}}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":NaN}",
        ] {
            assert_eq!(
                failed(body.as_bytes()).as_deref(),
                Some("upstream_truncated"),
                "{body}"
            );
        }
        // What is known of it all the same is kept.
        let cut = format!("{whole}}}");
        assert_eq!(
            read_reply(WireApi::Chat, cut.as_bytes()).usage,
            reported(3, 0, 2)
        );
    }

    #[test]
    fn an_error_in_any_envelope_is_a_failure() {
        for body in [
            r#"{"object":"error","message":"no","code":500}"#,
            r#"{"detail":"no"}"#,
            r#"{"message":"no"}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"no"},"choices":null}"#,
            r#"{"errors":[{"message":"no"}]}"#,
            r#"{"error":"no","choices":[]}"#,
        ] {
            let Some(Terminal::Failed(failure)) =
                read_reply(WireApi::Chat, body.as_bytes()).terminal
            else {
                panic!("{body}")
            };
            assert_eq!(failure.message.as_deref(), Some("no"), "{body}");
        }
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
