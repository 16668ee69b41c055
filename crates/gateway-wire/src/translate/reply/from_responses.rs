//! A Responses answer as a Chat completion.

use serde_json::value::RawValue;

use super::read::{ReplyError, read_answer};
use super::translated::TranslatedReply;
use crate::json::raw::Literal;
use crate::json::write::JsonWriter;
use crate::responses::{Item, parts_of};
use crate::stream::{ReplySummary, Terminal};
use crate::translate::chunk_writer::usage_json;
use crate::translate::failure::read_event;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::reasoning::ReasoningBlob;
use crate::translate::reply_settings::ReplySettings;
use crate::usage::{UsageReading, read_usage};

/// The parts of a chat message, gathered from output items.
#[derive(Default)]
struct MessageParts<'a> {
    text: Vec<Literal<'a>>,
    refusal: Vec<Literal<'a>>,
    reasoning: Vec<Literal<'a>>,
    logprobs: Vec<&'a str>,
    calls: Vec<Item<'a>>,
    reasoning_items: Vec<String>,
}

pub(super) fn translate(plan: &ReplySettings, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    let fields = read_answer(body, "output")?;
    if fields.text("status").as_deref() == Some("failed") {
        return Err(ReplyError::Failed(Box::new(read_event(&fields, body))));
    }
    let mut losses = Losses::default();
    let mut gathered = MessageParts::default();
    for (index, raw) in fields
        .array("output")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        gathered.item(index, raw, &mut losses);
    }
    let text = |name: &str| {
        fields
            .text(name)
            .filter(|text| !text.is_empty())
            .map(std::borrow::Cow::into_owned)
    };
    let mut summary = ReplySummary {
        response_id: text("id"),
        model: text("model"),
        service_tier: text("service_tier"),
        has_output: true,
        ..ReplySummary::default()
    };
    if let Some(usage) = fields.get("usage") {
        let reading = read_usage(usage.get().as_bytes());
        summary.usage = reading.usage;
        summary.provider_cost_nanos = reading.cost_nanos;
    }
    let reason = fields
        .object("incomplete_details")
        .and_then(|details| details.text("reason"));
    let finish = match reason.as_deref() {
        Some("content_filter") => "content_filter",
        Some(_) => "length",
        None if gathered.calls.is_empty() => "stop",
        None => "tool_calls",
    };
    summary.terminal = Some(match &reason {
        Some(reason) => Terminal::Incomplete {
            reason: Some(reason.clone().into_owned()),
        },
        None => Terminal::Completed,
    });
    let body = gathered.write(plan, &summary, finish);
    let blob = ReasoningBlob {
        items: gathered.reasoning_items,
        ..ReasoningBlob::default()
    };
    let ids = gathered
        .calls
        .iter()
        .filter_map(|call| call.call_id.as_ref())
        .map(|id| id.0.to_string());
    let reasoning = if blob.is_empty() {
        Vec::new()
    } else {
        ids.map(|id| (id, blob.clone())).collect()
    };
    Ok(TranslatedReply {
        body,
        losses: losses.into_vec(),
        summary,
        reasoning,
    })
}

impl<'a> MessageParts<'a> {
    fn item(&mut self, index: usize, raw: &'a RawValue, losses: &mut Losses) {
        let path = format!("output[{index}]");
        let Ok(item) = serde_json::from_str::<Item<'a>>(raw.get()) else {
            losses.keep(LossKind::UnknownItem, path);
            return;
        };
        match item.kind() {
            "message" => {
                for part in item.content.into_iter().flat_map(parts_of) {
                    if part
                        .annotations
                        .is_some_and(|annotations| annotations.get() != "[]")
                    {
                        losses.keep(LossKind::Annotation, format!("{path}.content"));
                    }
                    self.text.extend(part.text.and_then(Literal::of));
                    self.refusal.extend(part.refusal.and_then(Literal::of));
                    let logprobs = part.logprobs.map_or("[]", RawValue::get);
                    self.logprobs.extend(
                        logprobs
                            .strip_prefix('[')
                            .and_then(|text| text.strip_suffix(']'))
                            .filter(|text| !text.is_empty()),
                    );
                }
            }
            "reasoning" => {
                if item.encrypted_content.is_some() {
                    self.reasoning_items.push(raw.get().to_owned());
                }
                let parts = item
                    .summary
                    .into_iter()
                    .chain(item.content)
                    .flat_map(parts_of);
                self.reasoning
                    .extend(parts.filter_map(|part| part.text.and_then(Literal::of)));
            }
            "function_call" | "custom_tool_call" => self.calls.push(item),
            other if other.ends_with("_call") => losses.keep(LossKind::HostedCall, path),
            _ => losses.keep(LossKind::UnknownItem, path),
        }
    }

    fn write(&self, plan: &ReplySettings, summary: &ReplySummary, finish: &str) -> Vec<u8> {
        let mut json = JsonWriter::default();
        json.begin_object()
            .field_str("id", &plan.id("chatcmpl"))
            .field_str("object", "chat.completion");
        json.field_raw("created", &plan.created_at.to_string());
        json.field_str("model", summary.model.as_deref().unwrap_or(&plan.model));
        json.key("choices")
            .begin_array()
            .begin_object()
            .field_number("index", 0);
        json.key("message")
            .begin_object()
            .field_str("role", "assistant")
            .key("content");
        if self.text.is_empty() {
            json.raw("null");
        } else {
            json.literal(&Literal::join(&self.text, ""));
        }
        json.key("refusal");
        if self.refusal.is_empty() {
            json.raw("null");
        } else {
            json.literal(&Literal::join(&self.refusal, ""));
        }
        if !self.reasoning.is_empty() {
            json.key("reasoning_content")
                .literal(&Literal::join(&self.reasoning, r"\n\n"));
        }
        if !self.calls.is_empty() {
            json.key("tool_calls").begin_array();
            for (index, call) in self.calls.iter().enumerate() {
                write_call(&mut json, index, call);
            }
            json.end_array();
        }
        json.end_object().key("logprobs");
        if self.logprobs.is_empty() {
            json.raw("null");
        } else {
            json.begin_object().key("content").begin_array();
            for elements in &self.logprobs {
                json.raw(elements);
            }
            json.end_array().end_object();
        }
        json.field_str("finish_reason", finish)
            .end_object()
            .end_array();
        if let Some(tier) = &summary.service_tier {
            json.field_str("service_tier", tier);
        }
        let usage = match summary.usage {
            UsageReading::Reported(usage) => Some(usage),
            UsageReading::Missing | UsageReading::Refused(_) => None,
        };
        json.field_raw("usage", &usage_json(usage)).end_object();
        json.out
    }
}

fn write_call(json: &mut JsonWriter, index: usize, call: &Item<'_>) {
    let is_custom = call.kind() == "custom_tool_call";
    let (kind, field) = if is_custom {
        ("custom", "input")
    } else {
        ("function", "arguments")
    };
    let id = call
        .call_id
        .as_ref()
        .map_or_else(|| format!("call_{index}"), |id| id.0.to_string());
    json.begin_object()
        .field_str("id", &id)
        .field_str("type", kind)
        .key(kind)
        .begin_object();
    json.field_str("name", call.name.as_ref().map_or("", |name| &name.0))
        .key(field);
    let text = call.arguments.or(call.input).and_then(Literal::of);
    json.literal(&text.unwrap_or_else(|| Literal::plain("")))
        .end_object()
        .end_object();
}
