//! Answers that are no streams: translated whole, or told as the stream that the client asked for.

mod spell_out;

use serde_json::value::RawValue;

use super::chat_stream::ChatToResponses;
use super::failure::{read_error, read_event};
use super::json::{Fields, JsonWriter, Literal, array_of, fields_of, text_of};
use super::loss::{Loss, LossKind, Losses};
use super::plan::{ReasoningBlob, ReplyPlan};
use super::responses_stream::chunks::usage_json;
use crate::WireApi;
use crate::chat::Chunk;
use crate::responses::{Item, Part};
use crate::stream::{StreamFailure, StreamSummary, Terminal, UsageReading};
use crate::usage::read_usage;

pub use spell_out::json_as_stream;

/// A translated answer.
#[derive(Debug)]
pub struct TranslatedReply {
    /// The body for the client.
    pub body: Vec<u8>,
    /// What it could not carry.
    pub losses: Vec<Loss>,
    /// What the ledger needs.
    pub summary: StreamSummary,
    /// Provider reasoning by call id, to keep for the next request.
    pub reasoning: Vec<(String, ReasoningBlob)>,
}

/// Why an answer with a good status cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The upstream told an error, or what amounts to one.
    #[error("the upstream answered with an error: {}", .0.message.as_deref().unwrap_or("no message"))]
    Failed(Box<StreamFailure>),
    /// Not the JSON object that it must be.
    #[error("the upstream's answer is not readable: {0}")]
    Unreadable(String),
}

impl ReplyError {
    /// The error for the client: code and message of what happened.
    pub fn failure(&self) -> StreamFailure {
        match self {
            Self::Failed(failure) => (**failure).clone(),
            Self::Unreadable(_) => super::failure::own_failure("server_error", self.to_string()),
        }
    }
}

/// Translates a plain JSON answer for the client of `plan`.
pub fn reply_json(plan: &ReplyPlan, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    match plan.client_wire() {
        WireApi::Responses => chat_json(plan, body),
        WireApi::Chat => responses_json(plan, body),
    }
}

/// The top-level fields of an answer, out of the wrapper that some upstreams put around it.
fn read_answer<'a>(body: &'a [u8], expected: &str) -> Result<Fields<'a>, ReplyError> {
    let unreadable = |problem: String| ReplyError::Unreadable(problem);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let Some(fields) = fields_of(raw) else {
        return Err(if raw.get().contains("\"error\"") {
            ReplyError::Failed(Box::new(read_error(body, None)))
        } else {
            unreadable("it is not an object".to_owned())
        });
    };
    if fields.get(expected).is_some() {
        return Ok(fields);
    }
    if let Some(inner) = fields
        .object("data")
        .filter(|inner| inner.get(expected).is_some())
    {
        return Ok(inner);
    }
    if fields.get("error").is_some()
        || fields.get("detail").is_some()
        || fields.get("message").is_some()
    {
        return Err(ReplyError::Failed(Box::new(read_error(body, None))));
    }
    Err(unreadable(format!("it has no `{expected}`")))
}

fn chat_json(plan: &ReplyPlan, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    let fields = read_answer(body, "choices")?;
    let mut json = JsonWriter::default();
    json.begin_object();
    for (name, value) in &fields.0 {
        json.field_raw(name, value.get());
    }
    json.end_object();
    let chunk: Chunk<'_> = serde_json::from_slice(&json.out)
        .map_err(|error| ReplyError::Unreadable(error.to_string()))?;
    if chunk.choices.as_ref().is_none_or(Vec::is_empty) && chunk.error.is_none() {
        return Err(ReplyError::Unreadable("it has no choice".to_owned()));
    }
    let mut machine = ChatToResponses::new(plan.clone(), true);
    machine.chunk(&chunk, body);
    machine.assume_stop();
    machine.end();
    let reasoning = machine.take_reasoning();
    machine.summary.events = 0;
    match machine.summary.terminal.take() {
        Some(Terminal::Failed(failure)) => Err(ReplyError::Failed(Box::new(failure))),
        terminal => {
            machine.summary.terminal = terminal;
            Ok(TranslatedReply {
                body: machine.whole,
                losses: machine.losses.into_vec(),
                summary: machine.summary,
                reasoning,
            })
        }
    }
}

/// The parts of a chat message, gathered from output items.
#[derive(Default)]
struct Gathered<'a> {
    text: Vec<Literal<'a>>,
    refusal: Vec<Literal<'a>>,
    reasoning: Vec<Literal<'a>>,
    logprobs: Vec<&'a str>,
    calls: Vec<Item<'a>>,
    reasoning_items: Vec<String>,
}

fn responses_json(plan: &ReplyPlan, body: &[u8]) -> Result<TranslatedReply, ReplyError> {
    let fields = read_answer(body, "output")?;
    if fields.text("status").as_deref() == Some("failed") {
        return Err(ReplyError::Failed(Box::new(read_event(&fields, body))));
    }
    let mut losses = Losses::default();
    let mut gathered = Gathered::default();
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
    let mut summary = StreamSummary {
        response_id: text("id"),
        model: text("model"),
        service_tier: text("service_tier"),
        has_output: true,
        ..StreamSummary::default()
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

impl<'a> Gathered<'a> {
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

    fn write(&self, plan: &ReplyPlan, summary: &StreamSummary, finish: &str) -> Vec<u8> {
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

pub(super) fn parts_of(content: &RawValue) -> Vec<Part<'_>> {
    array_of(content)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|part| serde_json::from_str(part.get()).ok())
        .collect()
}

/// The text of a raw string, or nothing.
pub(super) fn plain(raw: Option<&RawValue>) -> String {
    raw.and_then(text_of)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}
