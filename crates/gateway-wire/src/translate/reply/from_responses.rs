//! A Responses answer as a Chat completion.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::read::{ReplyError, read_answer};
use super::translated::TranslatedReply;
use crate::json::raw::{Fields, Literal, is_json_object, text_piece};
use crate::json::write::JsonWriter;
use crate::responses::{Item, parts_of};
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::translate::chunk_writer::usage_json;
use crate::translate::completion::{Completion, CompletionCall};
use crate::translate::failure::{broken_call, own_failure};
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::reasoning::ReasoningBlob;
use crate::translate::reply_settings::ReplySettings;
use crate::usage::{UsageReading, read_usage};

/// The parts of a chat message, gathered from output items.
#[derive(Default)]
struct MessageParts<'a> {
    text: String,
    has_text: bool,
    refusal: String,
    reasoning: Vec<Literal<'a>>,
    logprobs: Vec<&'a str>,
    calls: Vec<CompletionCall<'a>>,
    reasoning_items: Vec<String>,
}

pub(super) fn translate(
    settings: &ReplySettings,
    body: &[u8],
) -> Result<TranslatedReply, ReplyError> {
    let answer = read_answer(body, "output")?;
    let fields = answer.fields()?;
    if fields.text("status").as_deref() == Some("failed") {
        return Err(ReplyError::Failed(Box::new(StreamFailure::read(body))));
    }
    let mut losses = Losses::default();
    let mut parts = MessageParts::default();
    for (index, raw) in fields
        .array("output")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        parts.item(index, raw, &mut losses).ok_or_else(|| {
            // It was paid for, so what it says about its cost still counts.
            let message = format!("the upstream's answer has an unreadable `output[{index}]`");
            ReplyError::Failed(Box::new(own_failure("server_error", message)))
        })?;
    }
    let reason = fields
        .object("incomplete_details")
        .and_then(|details| details.text("reason"));
    if reason.is_none() {
        parts.check_calls()?;
    }
    let summary = summary_of(&fields, answer.json(), reason.as_deref());
    let finish = match reason.as_deref() {
        Some("content_filter") => "content_filter",
        Some(_) => "length",
        None if parts.calls.is_empty() => "stop",
        None => "tool_calls",
    };
    let reasoning = parts.kept_reasoning();
    Ok(TranslatedReply {
        body: parts.completion(settings, &summary, finish).into_json(),
        losses: losses.into_vec(),
        summary,
        reasoning,
    })
}

fn summary_of(fields: &Fields<'_>, answer: &str, reason: Option<&str>) -> ReplySummary {
    let text = |name: &str| {
        fields
            .text(name)
            .filter(|text| !text.is_empty())
            .map(Cow::into_owned)
    };
    let mut summary = ReplySummary {
        response_id: text("id"),
        model: text("model"),
        service_tier: text("service_tier"),
        has_output: true,
        ..ReplySummary::default()
    };
    if let Some(usage) = fields.get("usage") {
        summary.note_usage(&read_usage(usage.get().as_bytes()));
    }
    summary.note_size(answer.len());
    summary.hosted_tools.note_response(answer.as_bytes());
    summary.end_with(match reason {
        Some(reason) => Terminal::Incomplete {
            reason: Some(reason.to_owned()),
        },
        None => Terminal::Completed,
    });
    summary
}

impl<'a> MessageParts<'a> {
    /// Takes an item; `None` when it cannot be read.
    fn item(&mut self, index: usize, raw: &'a RawValue, losses: &mut Losses) -> Option<()> {
        let path = format!("output[{index}]");
        let item = Item::read(raw)?;
        match item.kind() {
            "message" => return self.message(&item, &path, losses),
            "reasoning" => {
                if item.encrypted_content.is_some() {
                    self.reasoning_items.push(raw.get().to_owned());
                }
                let parts = parts_of(item.summary)?.into_iter();
                let parts = parts.chain(parts_of(item.content)?);
                self.reasoning
                    .extend(parts.filter_map(|part| part.text.and_then(Literal::of)));
            }
            "function_call" | "custom_tool_call" => self.call(item),
            other if other.ends_with("_call") => losses.keep(LossKind::HostedCall, path),
            _ => losses.keep(LossKind::UnknownItem, path),
        }
        Some(())
    }

    fn message(&mut self, item: &Item<'a>, path: &str, losses: &mut Losses) -> Option<()> {
        for part in parts_of(item.content)? {
            if part
                .annotations
                .is_some_and(|annotations| annotations.get() != "[]")
            {
                losses.keep(LossKind::Annotation, format!("{path}.content"));
            }
            if let Some(text) = part.text {
                self.has_text = true;
                self.text.push_str(&text_piece(text)?.decode());
            }
            if let Some(refusal) = part.refusal {
                self.refusal.push_str(&text_piece(refusal)?.decode());
            }
            let logprobs = part.logprobs.map_or("[]", RawValue::get);
            self.logprobs.extend(
                logprobs
                    .strip_prefix('[')
                    .and_then(|text| text.strip_suffix(']'))
                    .filter(|text| !text.is_empty()),
            );
        }
        Some(())
    }

    fn call(&mut self, item: Item<'a>) {
        let index = self.calls.len();
        let is_custom = item.kind() == "custom_tool_call";
        let arguments = item
            .arguments
            .or(item.input)
            .map_or(Cow::Borrowed(""), |raw| {
                // An object in place of its text.
                text_piece(raw).map_or(Cow::Borrowed(raw.get()), Literal::decode)
            });
        let id = item.call_id.filter(|id| !id.0.is_empty());
        self.calls.push(CompletionCall {
            id: id.map_or_else(|| Cow::Owned(format!("call_{index}")), |id| id.0),
            name: item.name.map_or(Cow::Borrowed(""), |name| name.0),
            arguments: if arguments.trim().is_empty() && !is_custom {
                Cow::Borrowed("{}")
            } else {
                arguments
            },
            is_custom,
            extra_content: None,
        });
    }

    /// Calls of a complete answer are whole.
    fn check_calls(&self) -> Result<(), ReplyError> {
        let is_broken =
            |call: &CompletionCall<'_>| !call.is_custom && !is_json_object(&call.arguments);
        if self.calls.iter().any(is_broken) {
            return Err(ReplyError::Failed(Box::new(broken_call())));
        }
        Ok(())
    }

    fn kept_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        let blob = ReasoningBlob {
            items: std::mem::take(&mut self.reasoning_items),
            ..ReasoningBlob::default()
        };
        if blob.is_empty() {
            return Vec::new();
        }
        let ids = self.calls.iter().map(|call| call.id.to_string());
        ids.map(|id| (id, blob.clone())).collect()
    }

    fn completion<'s>(
        &'s self,
        settings: &'s ReplySettings,
        summary: &'s ReplySummary,
        finish: &'s str,
    ) -> Completion<'s> {
        let mut reasoning = JsonWriter::default();
        reasoning.literal(&Literal::join(&self.reasoning, r"\n\n"));
        let reasoning = (!self.reasoning.is_empty()).then(|| {
            let text = String::from_utf8(reasoning.out).unwrap_or_default();
            ("reasoning_content", text)
        });
        let usage = match summary.usage {
            UsageReading::Reported(usage) => Some(usage),
            UsageReading::Missing | UsageReading::Refused(_) => None,
        };
        Completion {
            id: settings.id("chatcmpl"),
            created: settings.created_at,
            model: summary.model.as_deref().unwrap_or(&settings.model),
            content: self.has_text.then_some(self.text.as_str()),
            refusal: Some(self.refusal.as_str()).filter(|text| !text.is_empty()),
            reasoning: reasoning.into_iter().collect(),
            calls: self.calls.iter().map(CompletionCall::borrowed).collect(),
            logprobs: self.logprobs.clone(),
            finish,
            service_tier: summary.service_tier.as_deref(),
            usage: Cow::Owned(usage_json(usage)),
        }
    }
}
