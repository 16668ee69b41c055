//! The response object and the items of a translated answer, as JSON.

use super::super::failure::public_code;
use super::super::reply_settings::ReplySettings;
use crate::json::write::JsonWriter;
use crate::stream::StreamFailure;
use crate::usage::Usage;

/// What a response object says besides its output.
pub(super) struct Response<'a> {
    pub(super) plan: &'a ReplySettings,
    pub(super) model: &'a str,
    pub(super) service_tier: Option<&'a str>,
    pub(super) status: &'static str,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<&'a StreamFailure>,
    pub(super) incomplete: Option<&'static str>,
}

impl Response<'_> {
    /// Writes the object; `output` holds finished items.
    pub(super) fn write(&self, json: &mut JsonWriter, output: &[Vec<u8>]) {
        json.begin_object();
        json.field_str("id", &self.plan.id("resp"))
            .field_str("object", "response");
        json.field_raw("created_at", &self.plan.created_at.to_string());
        json.field_str("status", self.status).key("error");
        match self.error {
            Some(failure) => {
                json.begin_object().field_str("code", public_code(failure));
                let message = failure
                    .message
                    .as_deref()
                    .unwrap_or("the upstream gave up without a message");
                json.field_str("message", message).end_object();
            }
            None => {
                json.raw("null");
            }
        }
        json.key("incomplete_details");
        match self.incomplete {
            Some(reason) => json.begin_object().field_str("reason", reason).end_object(),
            None => json.raw("null"),
        };
        for name in ["instructions", "max_output_tokens"] {
            json.field_raw(name, "null");
        }
        json.field_str("model", self.model);
        write_output(json, output);
        json.field_flag("parallel_tool_calls", self.plan.parallel);
        json.field_raw("previous_response_id", "null");
        json.field_raw("reasoning", r#"{"effort":null,"summary":null}"#);
        if let Some(tier) = self.service_tier {
            json.field_str("service_tier", tier);
        }
        json.field_flag("store", false)
            .field_raw("temperature", "null");
        json.field_raw("text", r#"{"format":{"type":"text"}}"#)
            .field_str("tool_choice", "auto");
        json.field_raw("tools", "[]")
            .field_raw("top_p", "null")
            .field_str("truncation", "disabled");
        write_usage(json, self.usage);
        json.field_raw("user", "null")
            .field_raw("metadata", "{}")
            .end_object();
    }
}

/// Writes `"output":[…]`.
pub(super) fn write_output(json: &mut JsonWriter, output: &[Vec<u8>]) {
    json.key("output").begin_array();
    for item in output {
        json.raw(std::str::from_utf8(item).unwrap_or("null"));
    }
    json.end_array();
}

/// Writes `"usage"`: complete, or null. Half a usage object makes Codex repeat the turn.
pub(super) fn write_usage(json: &mut JsonWriter, usage: Option<Usage>) {
    json.key("usage");
    let Some(usage) = usage else {
        json.raw("null");
        return;
    };
    json.begin_object()
        .field_number("input_tokens", usage.input());
    json.key("input_tokens_details")
        .begin_object()
        .field_number("cached_tokens", usage.cached_input());
    if usage.cache_write() > 0 {
        json.field_number("cache_write_tokens", usage.cache_write());
    }
    json.end_object()
        .field_number("output_tokens", usage.output());
    json.key("output_tokens_details")
        .begin_object()
        .field_number("reasoning_tokens", usage.reasoning())
        .end_object();
    json.field_number("total_tokens", usage.input().saturating_add(usage.output()))
        .end_object();
}
