//! The response object of a translated answer, whole as its schema has it.

use crate::json::write::JsonWriter;
use crate::stream::{ReplySummary, StreamFailure};
use crate::translate::failure::public_code;
use crate::translate::reply_settings::ReplySettings;
use crate::usage::{Usage, UsageReading};

/// What a response object says besides its output.
pub(super) struct ResponseObject<'a> {
    settings: &'a ReplySettings,
    model: &'a str,
    service_tier: Option<&'a str>,
    pub(super) status: &'static str,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<&'a StreamFailure>,
    pub(super) incomplete: Option<&'static str>,
}

impl<'a> ResponseObject<'a> {
    /// The response object as it is now.
    pub(super) fn new(
        settings: &'a ReplySettings,
        summary: &'a ReplySummary,
        status: &'static str,
    ) -> Self {
        Self {
            settings,
            model: summary.model.as_deref().unwrap_or(&settings.model),
            service_tier: summary.service_tier.as_deref(),
            status,
            usage: match summary.usage {
                UsageReading::Reported(usage) => Some(usage),
                UsageReading::Missing | UsageReading::Refused(_) => None,
            },
            error: None,
            incomplete: None,
        }
    }

    /// Writes the object; `output` holds finished items.
    pub(super) fn write(&self, json: &mut JsonWriter, output: &[Vec<u8>]) {
        let settings = self.settings;
        json.begin_object();
        json.field_str("id", &settings.id("resp"))
            .field_str("object", "response");
        json.field_raw("created_at", &settings.created_at.to_string());
        json.key("completed_at");
        if self.status == "completed" {
            let completed_at = settings.completed_at.max(settings.created_at);
            json.raw(&completed_at.to_string());
        } else {
            json.raw("null");
        }
        json.field_str("status", self.status).key("error");
        match self.error {
            Some(failure) => {
                json.begin_object().field_str("code", public_code(failure));
                let message = failure
                    .message
                    .as_deref()
                    .unwrap_or("the upstream failed without an error message");
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
        json.field_str("model", self.model);
        write_output(json, output);
        json.members(&settings.echo);
        let tier = self.service_tier.unwrap_or("default");
        json.field_str("service_tier", tier);
        write_usage(json, self.usage);
        json.end_object();
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
        .field_number("cached_tokens", usage.cached_input())
        .field_number("cache_write_tokens", usage.cache_write())
        .end_object();
    json.field_number("output_tokens", usage.output());
    json.key("output_tokens_details")
        .begin_object()
        .field_number("reasoning_tokens", usage.reasoning())
        .end_object();
    json.field_number("total_tokens", usage.input().saturating_add(usage.output()))
        .end_object();
}
