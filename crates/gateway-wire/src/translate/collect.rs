//! A stream put together into the JSON answer that a client without `stream` asked for. Same wire
//! in and out.

use bytes::Bytes;

use super::call_assembler::CallAssembler;
use super::chat_content::{content_text, merge_details};
use super::failure::{own_failure, read_event, read_member};
use crate::WireApi;
use crate::chat::{Chunk, Message};
use crate::json::raw::{Fields, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::responses::Event;
use crate::sse::{EventTooLarge, Frame, Splitter};
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::usage::read_usage;

/// Puts one stream together.
#[derive(Debug)]
pub struct Collector {
    splitter: Splitter,
    frames: Vec<Frame>,
    summary: ReplySummary,
    gathered: CollectedReply,
    size: usize,
    max_size: usize,
}

#[derive(Debug)]
enum CollectedReply {
    Responses {
        items: Vec<(u64, String)>,
        response: Option<String>,
    },
    Chat(Box<CollectedCompletion>),
}

/// A chat completion as far as it came.
#[derive(Debug, Default)]
struct CollectedCompletion {
    created: String,
    content: String,
    refusal: String,
    reasoning_content: String,
    reasoning: String,
    details: Vec<serde_json::Value>,
    calls: CallAssembler,
    logprobs: Vec<String>,
    finish: Option<String>,
    usage: Option<String>,
    has_content: bool,
}

impl Collector {
    /// `max_event`: the largest event; `max_size`: the largest stream, both in bytes.
    pub fn new(wire: WireApi, max_event: usize, max_size: usize) -> Self {
        let gathered = match wire {
            WireApi::Responses => CollectedReply::Responses {
                items: Vec::new(),
                response: None,
            },
            WireApi::Chat => CollectedReply::Chat(Box::default()),
        };
        Self {
            splitter: Splitter::new(max_event),
            frames: Vec::new(),
            summary: ReplySummary::default(),
            gathered,
            size: 0,
            max_size,
        }
    }

    /// Takes what the upstream sent. An error means that event or stream are too large; nothing
    /// more is taken.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), EventTooLarge> {
        self.size = self.size.saturating_add(chunk.len());
        if self.size > self.max_size {
            return Err(EventTooLarge {
                limit: self.max_size,
            });
        }
        let result = self.splitter.push(chunk, &mut self.frames);
        for frame in std::mem::take(&mut self.frames) {
            self.take(&frame);
        }
        result
    }

    /// What is known about the stream so far.
    pub fn summary(&self) -> &ReplySummary {
        &self.summary
    }

    /// The upstream closed the stream: the JSON answer, or why there is none.
    pub fn finish(mut self) -> (Result<Vec<u8>, StreamFailure>, ReplySummary) {
        if let Some(frame) = self.splitter.finish() {
            self.take(&frame);
        }
        self.summary.repairs = self.splitter.repairs();
        if self.summary.terminal.is_none() {
            let chat_is_whole = matches!(&self.gathered, CollectedReply::Chat(completion) if completion.finish.is_some());
            let failure = self.summary.pending_error.take();
            self.summary.terminal = Some(match failure {
                None if chat_is_whole => Terminal::Completed,
                None => Terminal::Failed(truncated()),
                Some(failure) => Terminal::Failed(failure),
            });
        }
        let result = match &self.summary.terminal {
            Some(Terminal::Failed(failure)) => Err(failure.clone()),
            Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => {
                Ok(self.gathered.write(&self.summary))
            }
        };
        (result, self.summary)
    }

    fn take(&mut self, frame: &Frame) {
        let Some(data) = frame.data() else { return };
        if self.summary.terminal.is_some() {
            return;
        }
        self.summary.events += 1;
        match &mut self.gathered {
            CollectedReply::Responses { items, response } => {
                take_event(&data, items, response, &mut self.summary);
            }
            CollectedReply::Chat(completion) => completion.take(&data, &mut self.summary),
        }
    }
}

fn truncated() -> StreamFailure {
    own_failure(
        "upstream_truncated",
        "the upstream closed the stream before the answer was complete",
    )
}

fn note(summary: &mut ReplySummary, fields: &Fields<'_>) {
    for (field, name) in [
        (&mut summary.response_id, "id"),
        (&mut summary.model, "model"),
        (&mut summary.service_tier, "service_tier"),
    ] {
        if let Some(text) = fields.text(name).filter(|text| !text.is_empty()) {
            *field = Some(text.into_owned());
        }
    }
    if let Some(usage) = fields.get("usage") {
        let reading = read_usage(usage.get().as_bytes());
        summary.usage = reading.usage;
        summary.provider_cost_nanos = reading.cost_nanos.or(summary.provider_cost_nanos);
    }
}

fn take_event(
    data: &[u8],
    items: &mut Vec<(u64, String)>,
    whole: &mut Option<String>,
    summary: &mut ReplySummary,
) {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
        return;
    };
    let fields = event.response.and_then(fields_of).unwrap_or_default();
    note(summary, &fields);
    let terminal = match event.kind.as_ref().map_or("", |kind| &*kind.0) {
        "response.output_item.done" => {
            summary.has_output = true;
            if let Some(item) = event.item {
                items.push((
                    event.output_index.unwrap_or(items.len() as u64),
                    item.get().to_owned(),
                ));
            }
            return;
        }
        "error" => {
            let fields = serde_json::from_slice(data).unwrap_or_default();
            summary.pending_error = Some(read_event(&fields, data));
            return;
        }
        "response.failed" => Terminal::Failed(read_event(&fields, data)),
        "response.incomplete" => Terminal::Incomplete {
            reason: fields
                .object("incomplete_details")
                .and_then(|details| details.text("reason"))
                .map(std::borrow::Cow::into_owned),
        },
        "response.completed" | "response.done" => Terminal::Completed,
        _ => return,
    };
    *whole = event.response.map(|response| response.get().to_owned());
    summary.terminal = Some(terminal);
    summary.pending_error = None;
}

impl CollectedReply {
    fn write(&self, summary: &ReplySummary) -> Vec<u8> {
        let mut json = JsonWriter::default();
        match self {
            Self::Chat(completion) => completion.write(&mut json, summary),
            Self::Responses { items, response } => {
                let response: Fields<'_> = response
                    .as_deref()
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                // Streaming-only upstreams leave the last response's output empty.
                let is_bare = response
                    .array("output")
                    .is_none_or(|output| output.is_empty());
                json.begin_object();
                for (name, value) in response
                    .0
                    .iter()
                    .filter(|(name, _)| !(is_bare && name == "output"))
                {
                    json.field_raw(name, value.get());
                }
                if is_bare {
                    let mut items: Vec<_> = items.iter().collect();
                    items.sort_by_key(|(index, _)| *index);
                    json.key("output").begin_array();
                    for (_, item) in items {
                        json.raw(item);
                    }
                    json.end_array();
                }
                json.end_object();
            }
        }
        json.out
    }
}

impl CollectedCompletion {
    fn take(&mut self, data: &[u8], summary: &mut ReplySummary) {
        if data.trim_ascii() == b"[DONE]" {
            summary.terminal = Some(
                match (summary.pending_error.take(), self.finish.as_deref()) {
                    (Some(failure), _) => Terminal::Failed(failure),
                    (None, Some(reason @ ("length" | "content_filter"))) => Terminal::Incomplete {
                        reason: Some(reason.to_owned()),
                    },
                    (None, None) if !summary.has_output => Terminal::Failed(truncated()),
                    (None, _) => Terminal::Completed,
                },
            );
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            return;
        };
        if let Ok(fields) = serde_json::from_slice::<Fields<'_>>(data) {
            note(summary, &fields);
            if let Some(created) = fields.get("created").filter(|_| self.created.is_empty()) {
                created.get().clone_into(&mut self.created);
            }
        }
        if let Some(error) = chunk.error {
            summary.pending_error = Some(read_member(error, data));
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(usage.get().to_owned());
        }
        for choice in chunk
            .choices
            .iter()
            .flatten()
            .filter(|choice| choice.index.unwrap_or(0) == 0)
        {
            if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
                self.add(message, summary);
            }
            let logprobs = choice
                .logprobs
                .and_then(fields_of)
                .and_then(|logprobs| logprobs.array("content"));
            self.logprobs.extend(
                logprobs
                    .unwrap_or_default()
                    .into_iter()
                    .map(|element| element.get().to_owned()),
            );
            if let Some(finish) = &choice.finish_reason {
                self.finish = Some(finish.0.to_string());
            }
        }
    }

    fn add(&mut self, message: &Message<'_>, summary: &mut ReplySummary) {
        if let Some(content) = message.content {
            self.has_content = true;
            self.content.push_str(&content_text(content));
        }
        for (text, raw) in [
            (&mut self.refusal, message.refusal),
            (&mut self.reasoning_content, message.reasoning_content),
            (&mut self.reasoning, message.reasoning),
        ] {
            text.push_str(&raw.and_then(text_of).unwrap_or_default());
        }
        if let Some(details) = message.reasoning_details {
            merge_details(&mut self.details, details);
        }
        for call in message.tool_calls.iter().flatten() {
            self.calls.add(call);
        }
        summary.has_output |= !self.content.is_empty() || !self.calls.list.is_empty();
    }

    fn write(&self, json: &mut JsonWriter, summary: &ReplySummary) {
        json.begin_object()
            .field_str("id", summary.response_id.as_deref().unwrap_or_default());
        json.field_str("object", "chat.completion");
        json.field_raw(
            "created",
            if self.created.is_empty() {
                "0"
            } else {
                &self.created
            },
        );
        json.field_str("model", summary.model.as_deref().unwrap_or_default());
        json.key("choices")
            .begin_array()
            .begin_object()
            .field_number("index", 0);
        json.key("message")
            .begin_object()
            .field_str("role", "assistant")
            .key("content");
        if self.has_content && (self.calls.list.is_empty() || !self.content.is_empty()) {
            json.string(&self.content);
        } else {
            json.raw("null");
        }
        for (name, text) in [
            ("refusal", &self.refusal),
            ("reasoning_content", &self.reasoning_content),
            ("reasoning", &self.reasoning),
        ] {
            if !text.is_empty() {
                json.field_str(name, text);
            }
        }
        if !self.details.is_empty() {
            json.field_raw(
                "reasoning_details",
                &serde_json::Value::Array(self.details.clone()).to_string(),
            );
        }
        self.write_calls(json);
        json.end_object().key("logprobs");
        if self.logprobs.is_empty() {
            json.raw("null");
        } else {
            json.begin_object().key("content").begin_array();
            for element in &self.logprobs {
                json.raw(element);
            }
            json.end_array().end_object();
        }
        json.field_str("finish_reason", self.finish.as_deref().unwrap_or("stop"))
            .end_object()
            .end_array();
        if let Some(tier) = &summary.service_tier {
            json.field_str("service_tier", tier);
        }
        json.field_raw("usage", self.usage.as_deref().unwrap_or("null"))
            .end_object();
    }

    fn write_calls(&self, json: &mut JsonWriter) {
        if self.calls.list.is_empty() {
            return;
        }
        json.key("tool_calls").begin_array();
        for call in &self.calls.list {
            let (kind, field) = if call.is_custom {
                ("custom", "input")
            } else {
                ("function", "arguments")
            };
            json.begin_object()
                .field_str("id", call.id.as_deref().unwrap_or_default())
                .field_str("type", kind);
            json.key(kind)
                .begin_object()
                .field_str("name", &call.name)
                .field_str(field, &call.arguments)
                .end_object();
            if let Some(extra) = &call.extra_content {
                json.field_raw("extra_content", extra);
            }
            json.end_object();
        }
        json.end_array();
    }
}
