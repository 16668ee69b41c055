//! A Responses upstream's answer as Chat chunks: one id, the role first, calls by index, the usage
//! chunk only where asked for.
//!
//! Text and arguments come once, from deltas where there were any, and what these left out from the
//! finished item or the last response. What cannot be read ends the answer with an error: an answer
//! with a hole is never complete.

mod conclude;
mod items;
mod progress;
mod sent_text;

use serde_json::value::RawValue;

use super::chunk_writer::ChunkWriter;
use super::failure::{error_event, truncated, unreadable};
use super::losses::Losses;
use super::reasoning::ReasoningBlob;
use super::reply_settings::ReplySettings;
use crate::json::raw::{Literal, fields_of, text_of, text_piece};
use crate::json::tolerant;
use crate::responses::Event;
use crate::sse::is_done_marker;
use crate::stream::{ReplySummary, Step, StepKind, StreamFailure};
use progress::{AnswerItems, ItemProgress};

/// The machine.
#[derive(Debug)]
pub(crate) struct ResponsesToChat {
    chunks: ChunkWriter,
    pub(crate) summary: ReplySummary,
    pub(crate) losses: Losses,
    items: AnswerItems,
    calls: usize,
    last_summary_part: Option<(Option<u64>, u64)>,
    reasoning_items: Vec<String>,
    failure: Option<StreamFailure>,
    is_over: bool,
}

/// Which of the texts of an event or a part is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextField {
    Content,
    Refusal,
}

impl TextField {
    const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Refusal => "refusal",
        }
    }
}

impl ResponsesToChat {
    pub(crate) fn new(settings: &ReplySettings) -> Self {
        Self {
            chunks: ChunkWriter::new(settings),
            summary: ReplySummary::default(),
            losses: Losses::default(),
            items: AnswerItems::default(),
            calls: 0,
            last_summary_part: None,
            reasoning_items: Vec::new(),
            failure: None,
            is_over: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        self.chunks.emit.flush(steps);
    }

    /// Takes one event's data and the name of the event. An event of a kind that is not known here
    /// is skipped.
    pub(crate) fn data(&mut self, data: &[u8], event_name: Option<&str>) {
        if self.is_over || is_done_marker(data) {
            return;
        }
        self.summary.events += 1;
        match Event::read(data) {
            Some(event) => self.event(&event, data, event_name),
            None => self.repaired(data, event_name),
        }
        if let Some(failure) = self.failure.take().filter(|_| !self.is_over) {
            self.fail(failure);
        }
    }

    /// Takes an event that is not one object as it should be.
    fn repaired(&mut self, data: &[u8], event_name: Option<&str>) {
        let Some(objects) = tolerant::objects(data) else {
            let told = error_event(data, event_name);
            self.failure = told.or_else(|| unreadable(data, event_name));
            return;
        };
        for object in &objects {
            if self.is_over || self.failure.is_some() {
                return;
            }
            match Event::read(object.as_bytes()) {
                Some(event) => self.event(&event, object.as_bytes(), event_name),
                None => self.failure = unreadable(data, None),
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, data: &[u8], event_name: Option<&str>) {
        let kind = event
            .kind
            .as_ref()
            .map(|kind| &*kind.0)
            .or(event_name)
            .unwrap_or_default();
        let is_read = match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.head(event.response);
                true
            }
            "response.output_text.delta" => self.text(event, event.delta, TextField::Content),
            "response.refusal.delta" => self.text(event, event.delta, TextField::Refusal),
            "response.output_text.done" => self.whole_text(event, event.text, TextField::Content),
            "response.refusal.done" => self.whole_text(event, event.refusal, TextField::Refusal),
            "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta"
            | "response.reasoning.delta" => self.reasoning(event),
            "response.output_item.added" => self.added(event),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(event, event.delta)
            }
            "response.function_call_arguments.done" => self.whole_arguments(event, event.arguments),
            "response.custom_tool_call_input.done" => self.whole_arguments(event, event.input),
            "response.output_item.done" => self.finished(event),
            "response.completed" | "response.done" => {
                self.conclude(event.response, None, data);
                true
            }
            "response.incomplete" => {
                self.conclude(event.response, Some("length"), data);
                true
            }
            "response.failed" => {
                self.usage(event.response);
                self.fail(StreamFailure::read(data));
                true
            }
            "codex.rate_limits" => {
                self.plan_limit(data);
                true
            }
            _ => {
                if let Some(failure) = error_event(data, event_name) {
                    self.summary.pending_error = Some(failure);
                }
                true
            }
        };
        if !is_read {
            self.failure = self.failure.take().or_else(|| unreadable(data, None));
        }
    }

    /// The upstream closed the stream.
    pub(crate) fn end(&mut self) {
        if self.is_over {
            return;
        }
        let failure = self.summary.pending_error.take();
        self.fail(failure.unwrap_or_else(truncated));
    }

    /// Says that the answer is still being made.
    pub(crate) fn keepalive(&mut self) {
        self.chunks.keepalive(StepKind::so_far(&self.summary));
    }

    fn head(&mut self, response: Option<&RawValue>) {
        let Some(fields) = response.and_then(fields_of) else {
            return;
        };
        for (field, name) in [
            (&mut self.summary.response_id, "id"),
            (&mut self.summary.model, "model"),
            (&mut self.summary.service_tier, "service_tier"),
        ] {
            if let Some(text) = fields.text(name).filter(|text| !text.is_empty()) {
                *field = Some(text.into_owned());
            }
        }
        if let Some(model) = &self.summary.model {
            self.chunks.name_model(model);
        }
        self.chunks.role(StepKind::Preamble);
    }

    fn item_of(&mut self, event: &Event<'_>) -> &mut ItemProgress {
        let id = event.item_id.and_then(text_of);
        self.items.get(event.output_index, id.as_deref())
    }

    /// Passes on a piece of text. False when it cannot be read.
    fn text(&mut self, event: &Event<'_>, delta: Option<&RawValue>, field: TextField) -> bool {
        let Some(delta) = delta else { return true };
        let Some(delta) = text_piece(delta) else {
            return false;
        };
        let part = event.content_index.unwrap_or(0);
        let sent = self.item_of(event).texts.entry(part).or_default();
        let delta = sent.piece(delta);
        let logprobs = event.logprobs.map(RawValue::get);
        self.pass_text(field, &delta, logprobs);
        true
    }

    fn pass_text(&mut self, field: TextField, text: &Literal<'_>, logprobs: Option<&str>) {
        if text.is_empty() {
            return;
        }
        self.count(text);
        let logprobs = logprobs.filter(|logprobs| logprobs.len() > 2);
        self.chunks.text(field.name(), text, logprobs);
    }

    fn whole_text(
        &mut self,
        event: &Event<'_>,
        whole: Option<&RawValue>,
        field: TextField,
    ) -> bool {
        let Some(whole) = whole else { return true };
        let Some(whole) = text_piece(whole) else {
            return false;
        };
        let id = event.item_id.and_then(text_of);
        let part = event.content_index.unwrap_or(0);
        let place = (event.output_index, id.as_deref());
        self.rest_of_text(place, part, &whole, field, event.logprobs)
    }

    fn reasoning(&mut self, event: &Event<'_>) -> bool {
        let Some(delta) = event.delta else {
            return true;
        };
        let Some(delta) = text_piece(delta) else {
            return false;
        };
        let delta = self.item_of(event).reasoning.piece(delta);
        if delta.is_empty() {
            return true;
        }
        self.count(&delta);
        let part = (event.output_index, event.summary_index.unwrap_or(0));
        if self
            .last_summary_part
            .replace(part)
            .is_some_and(|last| last != part)
        {
            self.chunks
                .text("reasoning_content", &Literal::plain("\n\n"), None);
        }
        self.chunks.text("reasoning_content", &delta, None);
        true
    }

    fn count(&mut self, text: &Literal<'_>) {
        self.summary.has_output = true;
        // Escapes count as written; the figure is for estimates.
        self.summary.output_chars += text.inside().chars().count() as u64;
    }

    /// Reasoning items by the ids of the calls that came with them.
    pub(crate) fn take_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        let items = std::mem::take(&mut self.reasoning_items);
        if items.is_empty() {
            return Vec::new();
        }
        let blob = ReasoningBlob {
            items,
            ..ReasoningBlob::default()
        };
        let mut calls: Vec<_> = self
            .items
            .calls()
            .map(|call| (call.index, call.call_id.clone()))
            .collect();
        calls.sort_unstable();
        calls
            .into_iter()
            .map(|(_, id)| (id, blob.clone()))
            .collect()
    }
}
