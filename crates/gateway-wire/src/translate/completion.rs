//! A whole chat completion, as it is written for a client.

use std::borrow::Cow;

use super::chunk_writer::call_fields;
use crate::json::write::JsonWriter;

/// One completion of one choice.
#[derive(Debug, Default)]
pub(crate) struct Completion<'a> {
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) created: i64,
    pub(crate) model: &'a str,
    /// `None` is null, as of an answer that only calls tools.
    pub(crate) content: Option<&'a str>,
    pub(crate) refusal: Option<&'a str>,
    /// Reasoning by the name of its member, a JSON value.
    pub(crate) reasoning: Vec<(&'static str, String)>,
    pub(crate) calls: Vec<CompletionCall<'a>>,
    /// Elements of the array of log probabilities.
    pub(crate) logprobs: Vec<&'a str>,
    pub(crate) finish: &'a str,
    pub(crate) service_tier: Option<&'a str>,
    /// A JSON value.
    pub(crate) usage: Cow<'a, str>,
}

/// A call of a completion.
#[derive(Debug)]
pub(crate) struct CompletionCall<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) arguments: Cow<'a, str>,
    pub(crate) is_custom: bool,
    /// A JSON value.
    pub(crate) extra_content: Option<&'a str>,
}

impl Completion<'_> {
    /// The completion as JSON.
    pub(crate) fn into_json(self) -> Vec<u8> {
        let mut json = JsonWriter::default();
        json.begin_object()
            .field_str("id", &self.id)
            .field_str("object", "chat.completion");
        json.field_raw("created", &self.created.to_string());
        json.field_str("model", self.model);
        json.key("choices")
            .begin_array()
            .begin_object()
            .field_number("index", 0);
        self.write_message(&mut json);
        json.key("logprobs");
        if self.logprobs.is_empty() {
            json.raw("null");
        } else {
            json.begin_object().key("content").begin_array();
            for elements in &self.logprobs {
                json.raw(elements);
            }
            json.end_array().end_object();
        }
        json.field_str("finish_reason", self.finish)
            .end_object()
            .end_array();
        if let Some(tier) = self.service_tier {
            json.field_str("service_tier", tier);
        }
        json.field_raw("usage", &self.usage).end_object();
        json.out
    }

    fn write_message(&self, json: &mut JsonWriter) {
        json.key("message")
            .begin_object()
            .field_str("role", "assistant");
        for (name, text) in [("content", self.content), ("refusal", self.refusal)] {
            json.key(name);
            match text {
                Some(text) => json.string(text),
                None => json.raw("null"),
            };
        }
        for (name, value) in &self.reasoning {
            json.field_raw(name, value);
        }
        if !self.calls.is_empty() {
            json.key("tool_calls").begin_array();
            for call in &self.calls {
                call.write(json);
            }
            json.end_array();
        }
        json.end_object();
    }
}

impl CompletionCall<'_> {
    /// The same, borrowed.
    pub(crate) fn borrowed(&self) -> CompletionCall<'_> {
        CompletionCall {
            id: Cow::Borrowed(&self.id),
            name: Cow::Borrowed(&self.name),
            arguments: Cow::Borrowed(&self.arguments),
            is_custom: self.is_custom,
            extra_content: self.extra_content,
        }
    }

    fn write(&self, json: &mut JsonWriter) {
        let (kind, field) = call_fields(self.is_custom);
        json.begin_object()
            .field_str("id", &self.id)
            .field_str("type", kind)
            .key(kind)
            .begin_object();
        json.field_str("name", &self.name)
            .field_str(field, &self.arguments)
            .end_object();
        if let Some(extra) = self.extra_content {
            json.field_raw("extra_content", extra);
        }
        json.end_object();
    }
}
