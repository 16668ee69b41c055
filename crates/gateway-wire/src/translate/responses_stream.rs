//! A Responses upstream's answer as Chat chunks: one id, the role first, calls by index, the usage
//! chunk only where asked for.
//!
//! Text and arguments come once, from deltas where there were any, else from the finished item,
//! else from the last response.

mod conclude;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::chunk_writer::ChunkWriter;
use super::failure::{own_failure, read_event};
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::reasoning::ReasoningBlob;
use super::reply_settings::ReplySettings;
use crate::json::raw::{Literal, fields_of, text_of};
use crate::responses::{Event, Item, parts_of};
use crate::stream::StepKind;
use crate::stream::{ReplySummary, Step};

/// What was already told of an output item.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about what was told"
)]
struct ItemProgress {
    id: Option<String>,
    /// The call's index among the calls.
    call: Option<usize>,
    is_custom: bool,
    has_text: bool,
    has_reasoning: bool,
    has_arguments: bool,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct ResponsesToChat {
    chunks: ChunkWriter,
    pub(crate) summary: ReplySummary,
    pub(crate) losses: Losses,
    told: BTreeMap<u64, ItemProgress>,
    calls: usize,
    last_summary_part: Option<(Option<u64>, u64)>,
    reasoning_items: Vec<String>,
    call_ids: Vec<String>,
    is_over: bool,
}

impl ResponsesToChat {
    pub(crate) fn new(plan: &ReplySettings) -> Self {
        Self {
            chunks: ChunkWriter::new(plan),
            summary: ReplySummary::default(),
            losses: Losses::default(),
            told: BTreeMap::new(),
            calls: 0,
            last_summary_part: None,
            reasoning_items: Vec::new(),
            call_ids: Vec::new(),
            is_over: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        self.chunks.emit.flush(steps);
    }

    /// Takes one event's data. What is no event, or of a kind that nobody knows, is skipped.
    pub(crate) fn data(&mut self, data: &[u8]) {
        if self.is_over {
            return;
        }
        self.summary.events += 1;
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            return;
        };
        let kind = event.kind.as_ref().map_or("", |kind| &*kind.0);
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.head(event.response);
            }
            "response.output_text.delta" => self.text(&event),
            "response.refusal.delta" => self.refusal(&event),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.reasoning(&event);
            }
            "response.output_item.added" => {
                if let Some(item) = event.item {
                    self.added(event.output_index, item);
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(&event, event.delta, false);
            }
            "response.function_call_arguments.done" => {
                self.arguments(&event, event.arguments, true);
            }
            "response.custom_tool_call_input.done" => self.arguments(&event, event.input, true),
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.done(event.output_index, item);
                }
            }
            "response.completed" | "response.done" => self.conclude(event.response, None, data),
            "response.incomplete" => self.conclude(event.response, Some("length"), data),
            "response.failed" => {
                let failure = event
                    .response
                    .and_then(fields_of)
                    .map(|response| read_event(&response, data));
                self.usage(event.response);
                self.fail(failure.unwrap_or_default());
            }
            "error" => {
                let fields = serde_json::from_slice(data).unwrap_or_default();
                self.summary.pending_error = Some(read_event(&fields, data));
            }
            "codex.rate_limits" => self.plan_limit(data),
            _ => {}
        }
    }

    /// The upstream closed the stream.
    pub(crate) fn end(&mut self) {
        if self.is_over {
            return;
        }
        let failure = self.summary.pending_error.take().unwrap_or_else(|| {
            own_failure(
                "upstream_truncated",
                "the upstream closed the stream before the answer was complete",
            )
        });
        self.fail(failure);
    }

    /// Says that the answer is still being made.
    pub(crate) fn keepalive(&mut self) {
        let kind = if self.summary.has_output {
            StepKind::Output
        } else {
            StepKind::Preamble
        };
        self.chunks.keepalive(kind);
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

    /// What was told of the item that an event means: by its place in the output, or by its id
    /// where no place is given.
    fn told(&mut self, index: Option<u64>, id: Option<&str>) -> &mut ItemProgress {
        let same_id = |told: &ItemProgress| id.is_some() && told.id.as_deref() == id;
        let place = index
            .or_else(|| {
                self.told
                    .iter()
                    .find(|(_, told)| same_id(told))
                    .map(|(place, _)| *place)
            })
            .unwrap_or(u64::MAX - self.told.len() as u64);
        let told = self.told.entry(place).or_default();
        if told.id.is_none() {
            told.id = id.map(str::to_owned);
        }
        told
    }

    fn of_event(&mut self, event: &Event<'_>) -> &mut ItemProgress {
        let id = event.item_id.and_then(text_of);
        self.told(event.output_index, id.as_deref())
    }

    fn text(&mut self, event: &Event<'_>) {
        let Some(delta) = event
            .delta
            .and_then(Literal::of)
            .filter(|delta| !delta.is_empty())
        else {
            return;
        };
        self.of_event(event).has_text = true;
        self.count(&delta);
        let logprobs = event
            .logprobs
            .map(RawValue::get)
            .filter(|logprobs| logprobs.len() > 2);
        self.chunks.text("content", &delta, logprobs);
    }

    fn refusal(&mut self, event: &Event<'_>) {
        let Some(delta) = event
            .delta
            .and_then(Literal::of)
            .filter(|delta| !delta.is_empty())
        else {
            return;
        };
        self.of_event(event).has_text = true;
        self.count(&delta);
        self.chunks.text("refusal", &delta, None);
    }

    fn reasoning(&mut self, event: &Event<'_>) {
        let Some(delta) = event
            .delta
            .and_then(Literal::of)
            .filter(|delta| !delta.is_empty())
        else {
            return;
        };
        self.of_event(event).has_reasoning = true;
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
    }

    fn added(&mut self, index: Option<u64>, raw: &RawValue) {
        let Ok(item) = serde_json::from_str::<Item<'_>>(raw.get()) else {
            return;
        };
        let is_custom = item.kind() == "custom_tool_call";
        if !is_custom && item.kind() != "function_call" {
            return;
        }
        let id = item.id.and_then(text_of);
        let next = self.calls;
        let told = self.told(index, id.as_deref());
        if told.call.is_some() {
            return;
        }
        told.call = Some(next);
        told.is_custom = is_custom;
        self.calls += 1;
        self.summary.has_output = true;
        let call_id = item
            .call_id
            .map_or_else(|| format!("call_{next}"), |id| id.0.into_owned());
        self.chunks.call(
            next,
            &call_id,
            item.name.as_ref().map_or("", |name| &name.0),
            is_custom,
        );
        self.call_ids.push(call_id);
    }

    fn arguments(&mut self, event: &Event<'_>, raw: Option<&RawValue>, is_whole: bool) {
        let Some(text) = raw.and_then(Literal::of).filter(|text| !text.is_empty()) else {
            return;
        };
        let told = self.of_event(event);
        let Some(call) = told.call else { return };
        if is_whole && told.has_arguments {
            return;
        }
        told.has_arguments = true;
        let is_custom = told.is_custom;
        self.count(&text);
        self.chunks.arguments(call, &text, is_custom);
    }

    /// A finished item: tells what its deltas did not.
    fn done(&mut self, index: Option<u64>, raw: &RawValue) {
        let Ok(item) = serde_json::from_str::<Item<'_>>(raw.get()) else {
            return;
        };
        let id = item.id.and_then(text_of);
        match item.kind() {
            "message" => self.done_message(index, id.as_deref(), &item),
            "reasoning" => {
                if item.encrypted_content.is_some() {
                    self.reasoning_items
                        .push(raw.get().replace(['\n', '\r'], " "));
                }
                let has_reasoning =
                    std::mem::replace(&mut self.told(index, id.as_deref()).has_reasoning, true);
                let parts = item
                    .summary
                    .into_iter()
                    .chain(item.content)
                    .flat_map(parts_of);
                let texts: Vec<_> = parts
                    .filter_map(|part| part.text.and_then(Literal::of))
                    .collect();
                if !has_reasoning && !texts.is_empty() {
                    let text = Literal::join(&texts, r"\n\n");
                    self.count(&text);
                    self.chunks.text("reasoning_content", &text, None);
                }
            }
            "function_call" | "custom_tool_call" => {
                self.added(index, raw);
                let whole = item
                    .arguments
                    .or(item.input)
                    .and_then(Literal::of)
                    .filter(|text| !text.is_empty());
                let told = self.told(index, id.as_deref());
                let (call, is_custom) = (told.call, told.is_custom);
                let has_arguments = std::mem::replace(&mut told.has_arguments, true);
                if let (Some(call), Some(text), false) = (call, whole, has_arguments) {
                    self.count(&text);
                    self.chunks.arguments(call, &text, is_custom);
                }
            }
            other if other.ends_with("_call") => self.losses.keep(
                LossKind::HostedCall,
                format!("output[{}]", index.unwrap_or(0)),
            ),
            _ => self.losses.keep(
                LossKind::UnknownItem,
                format!("output[{}]", index.unwrap_or(0)),
            ),
        }
    }

    fn done_message(&mut self, index: Option<u64>, id: Option<&str>, item: &Item<'_>) {
        let has_text = std::mem::replace(&mut self.told(index, id).has_text, true);
        for part in item.content.into_iter().flat_map(parts_of) {
            if part
                .annotations
                .is_some_and(|annotations| annotations.get() != "[]")
            {
                self.losses.keep(
                    LossKind::Annotation,
                    format!("output[{}].content", index.unwrap_or(0)),
                );
            }
            if has_text {
                continue;
            }
            if let Some(text) = part
                .text
                .and_then(Literal::of)
                .filter(|text| !text.is_empty())
            {
                self.count(&text);
                self.chunks.text(
                    "content",
                    &text,
                    part.logprobs
                        .map(RawValue::get)
                        .filter(|logprobs| logprobs.len() > 2),
                );
            }
            if let Some(refusal) = part
                .refusal
                .and_then(Literal::of)
                .filter(|text| !text.is_empty())
            {
                self.count(&refusal);
                self.chunks.text("refusal", &refusal, None);
            }
        }
    }

    fn count(&mut self, text: &Literal<'_>) {
        self.summary.has_output = true;
        // Escapes count as written; the figure is for estimates.
        self.summary.output_chars += text.as_json().chars().count().saturating_sub(2) as u64;
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
        std::mem::take(&mut self.call_ids)
            .into_iter()
            .map(|id| (id, blob.clone()))
            .collect()
    }
}
