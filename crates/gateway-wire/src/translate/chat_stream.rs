//! A Chat upstream's answer as Responses events.
//!
//! Items are opened when their first text or name arrives and closed in order; each has one id, one
//! `done`, and its arguments once. The answer is concluded when the stream ends, not at the finish
//! reason: usage and late pieces come after it.

mod conclude;
mod items;
mod response;

use serde_json::value::RawValue;

use super::call_assembler::CallAssembler;
use super::chat_content::{content_text, details_text, elements_of, merge_details};
use super::emit::Emitter;
use super::failure::{own_failure, read_member};
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::reasoning::ReasoningBlob;
use super::reply_settings::{ReplyPurpose, ReplySettings};
use super::think_tags::ThinkTagSplitter;
use crate::chat::{Choice, Chunk, Message, ToolCall};
use crate::json::raw::{fields_of, text_of};
use crate::stream::StepKind;
use crate::stream::{ReplySummary, Step, StreamFailure};
use crate::usage::UsageReading;
use crate::usage::read_usage;
use items::{ItemPosition, OpenCall, OpenItem, fresh_call_id};
use response::Response;

/// Largest answer that is put together, in bytes of text.
const MAX_ANSWER: usize = 32 << 20;

/// The machine.
#[derive(Debug)]
pub(crate) struct ChatToResponses {
    plan: ReplySettings,
    emit: Emitter,
    pub(crate) summary: ReplySummary,
    pub(crate) losses: Losses,
    is_started: bool,
    is_over: bool,
    finish: Option<String>,
    failure: Option<StreamFailure>,
    think: ThinkTagSplitter,
    /// White space that is text only if text follows.
    pending_space: String,
    open: Option<OpenItem>,
    next_index: u64,
    /// Finished items by their output index.
    output: Vec<(u64, Vec<u8>)>,
    calls: CallAssembler,
    shown: Vec<Option<OpenCall>>,
    reasoning: String,
    details: Vec<serde_json::Value>,
    kept: Vec<(String, ReasoningBlob)>,
    /// Text of a summary that becomes a compaction item.
    note: String,
    size: usize,
    /// The response object of the terminal event, for answers that are no streams.
    pub(crate) whole: Vec<u8>,
}

impl ChatToResponses {
    /// A machine for one answer. A quiet one is for answers that are no streams.
    pub(crate) fn new(plan: ReplySettings, is_quiet: bool) -> Self {
        Self {
            think: ThinkTagSplitter::new(plan.dialect.think_tags),
            emit: Emitter::new(is_quiet),
            plan,
            summary: ReplySummary::default(),
            losses: Losses::default(),
            is_started: false,
            is_over: false,
            finish: None,
            failure: None,
            pending_space: String::new(),
            open: None,
            next_index: 0,
            output: Vec::new(),
            calls: CallAssembler::default(),
            shown: Vec::new(),
            reasoning: String::new(),
            details: Vec::new(),
            kept: Vec::new(),
            note: String::new(),
            size: 0,
            whole: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        self.emit.flush(steps);
    }

    /// Takes one event's data.
    pub(crate) fn data(&mut self, data: &[u8]) {
        if self.is_over {
            return;
        }
        self.summary.events += 1;
        if data.trim_ascii() == b"[DONE]" {
            // An upstream that says so itself has said all, also when it never gives finish
            // reasons.
            if self.summary.has_output {
                self.assume_stop();
            }
            self.conclude();
            return;
        }
        // What is no chunk is skipped; a stream of nothing else ends without a finish reason, and
        // that is told.
        if let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) {
            self.chunk(&chunk, data);
        }
        if self.size > MAX_ANSWER {
            self.fail(own_failure(
                "event_too_large",
                "the answer is larger than this gateway puts together",
            ));
        }
    }

    /// Ends the answer with an error.
    pub(crate) fn fail(&mut self, failure: StreamFailure) {
        self.failure = Some(failure);
        self.conclude();
    }

    /// Whole answers that do not say why they ended have ended.
    pub(crate) fn assume_stop(&mut self) {
        self.finish.get_or_insert_with(|| "stop".to_owned());
    }

    /// Takes one chunk, or a whole answer.
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>, data: &[u8]) {
        self.head(chunk);
        self.start();
        if let Some(error) = chunk.error {
            let failure = read_member(error, data);
            self.summary.pending_error = Some(failure.clone());
            self.failure = Some(failure);
        }
        for choice in chunk.choices.iter().flatten() {
            if choice.index.unwrap_or(0) > 0 {
                if !self
                    .losses
                    .as_slice()
                    .iter()
                    .any(|loss| loss.kind == LossKind::Choice)
                {
                    self.losses.keep(LossKind::Choice, "choices[1]");
                }
                continue;
            }
            self.choice(choice);
        }
        let usage = chunk.usage.or_else(|| {
            chunk
                .choices
                .iter()
                .flatten()
                .find_map(|choice| choice.usage)
        });
        if let Some(usage) = usage.filter(|usage| usage.get() != "null") {
            let reading = read_usage(usage.get().as_bytes());
            if reading.usage != UsageReading::Missing {
                self.summary.usage = reading.usage;
            }
            self.summary.provider_cost_nanos =
                reading.cost_nanos.or(self.summary.provider_cost_nanos);
        }
    }

    fn head(&mut self, chunk: &Chunk<'_>) {
        for (field, raw) in [
            (&mut self.summary.response_id, chunk.id),
            (&mut self.summary.model, chunk.model),
            (&mut self.summary.service_tier, chunk.service_tier),
        ] {
            if field.is_none() {
                *field = raw
                    .and_then(text_of)
                    .filter(|text| !text.is_empty())
                    .map(std::borrow::Cow::into_owned);
            }
        }
    }

    /// Says that the answer began, once.
    pub(crate) fn start(&mut self) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        let response = response(&self.plan, &self.summary, "in_progress");
        for name in ["response.created", "response.in_progress"] {
            self.emit.event(StepKind::Preamble, name, |json| {
                json.key("response");
                response.write(json, &[]);
            });
        }
    }

    /// Says that the answer is still being made, in an event that every client takes.
    pub(crate) fn keepalive(&mut self) {
        if !self.is_started {
            self.start();
            return;
        }
        let kind = if self.next_index > 0 {
            StepKind::Output
        } else {
            StepKind::Preamble
        };
        let response = response(&self.plan, &self.summary, "in_progress");
        self.emit.event(kind, "response.in_progress", |json| {
            json.key("response");
            response.write(json, &[]);
        });
    }

    fn choice(&mut self, choice: &Choice<'_>) {
        if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
            self.message(message, choice.logprobs);
        }
        if let Some(finish) = choice
            .finish_reason
            .as_ref()
            .filter(|finish| !finish.0.is_empty())
        {
            self.finish = Some(finish.0.to_string());
        }
    }

    fn message(&mut self, message: &Message<'_>, logprobs: Option<&RawValue>) {
        self.reasoning_of(message);
        let logprobs = logprobs.and_then(elements_of).unwrap_or_default();
        if let Some(content) = message.content {
            let text = content_text(content);
            if !text.is_empty() {
                self.text(&text, logprobs);
            }
        }
        if let Some(refusal) = message
            .refusal
            .and_then(text_of)
            .filter(|text| !text.is_empty())
        {
            if !self
                .losses
                .as_slice()
                .iter()
                .any(|loss| loss.kind == LossKind::Refusal)
            {
                self.losses
                    .keep(LossKind::Refusal, "choices[0].message.refusal");
            }
            self.visible(&refusal, "");
        }
        if message.audio.is_some() {
            self.losses
                .keep(LossKind::Audio, "choices[0].message.audio");
        }
        if message
            .annotations
            .is_some_and(|annotations| annotations.get() != "[]")
        {
            self.losses
                .keep(LossKind::Annotation, "choices[0].message.annotations");
        }
        for call in message.tool_calls.iter().flatten() {
            self.call(call);
        }
        if let Some(function) = &message.function_call {
            let function = crate::chat::Function {
                name: function.name.clone(),
                arguments: function.arguments,
            };
            self.call(&ToolCall {
                index: Some(0),
                function: Some(function),
                ..ToolCall::default()
            });
        }
    }

    /// Reasoning comes under several names, sometimes under two at once.
    fn reasoning_of(&mut self, message: &Message<'_>) {
        let field = |raw: Option<&RawValue>| {
            raw.and_then(text_of)
                .map(std::borrow::Cow::into_owned)
                .filter(|text| !text.is_empty())
        };
        let object = |raw: Option<&RawValue>| {
            let fields = fields_of(raw?)?;
            fields
                .text("text")
                .or_else(|| fields.text("content"))
                .map(std::borrow::Cow::into_owned)
        };
        let text = field(message.reasoning_content)
            .or_else(|| field(message.reasoning))
            .or_else(|| object(message.reasoning))
            .or_else(|| message.reasoning_details.map(details_text));
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.think_aloud(&text);
        }
        if let Some(details) = message.reasoning_details {
            self.size += details.get().len();
            merge_details(&mut self.details, details);
        }
    }

    fn think_aloud(&mut self, text: &str) {
        self.count(text);
        self.reasoning.push_str(text);
        if self.plan.purpose != ReplyPurpose::Turn {
            return;
        }
        if !matches!(self.open, Some(OpenItem::Reasoning(..))) {
            self.close_open("completed");
            let place = self.place("rs");
            self.open = Some(OpenItem::reasoning(place, &mut self.emit));
        }
        if let Some(open) = &mut self.open {
            open.delta(&mut self.emit, text, "");
        }
    }

    fn text(&mut self, text: &str, logprobs: &str) {
        if self.think.is_passive() {
            self.visible(text, logprobs);
            return;
        }
        let pieces = self.think.push(text);
        if !pieces.reasoning.is_empty() {
            self.think_aloud(&pieces.reasoning);
        }
        self.visible(&pieces.text, logprobs);
    }

    /// Text of the answer.
    fn visible(&mut self, text: &str, logprobs: &str) {
        if text.is_empty() {
            return;
        }
        if self.plan.purpose != ReplyPurpose::Turn {
            self.count(text);
            self.note.push_str(text);
            return;
        }
        if !matches!(self.open, Some(OpenItem::Message(..))) {
            // Line breaks between reasoning and a call are no message.
            self.pending_space.push_str(text);
            if self.pending_space.trim().is_empty() {
                return;
            }
            self.close_open("completed");
            let place = self.place("msg");
            self.open = Some(OpenItem::message(place, &mut self.emit));
            let text = std::mem::take(&mut self.pending_space);
            self.count(&text);
            if let Some(open) = &mut self.open {
                open.delta(&mut self.emit, &text, logprobs);
            }
            return;
        }
        self.count(text);
        if let Some(open) = &mut self.open {
            open.delta(&mut self.emit, text, logprobs);
        }
    }

    fn call(&mut self, piece: &ToolCall<'_>) {
        let (at, fragment) = self.calls.add(piece);
        self.count(&fragment);
        if self.plan.purpose != ReplyPurpose::Turn {
            return;
        }
        while self.shown.len() <= at {
            self.shown.push(None);
        }
        let Some(call) = self.calls.list.get(at) else {
            return;
        };
        if call.name.is_empty() {
            return;
        }
        let is_custom = call.is_custom;
        if matches!(self.shown.get(at), Some(None)) {
            // Everything that came before the name.
            let arguments = call.arguments.clone();
            self.show(at);
            if let Some(Some(shown)) = self.shown.get_mut(at) {
                shown.delta(&mut self.emit, &arguments, is_custom);
            }
        } else if let Some(Some(shown)) = self.shown.get_mut(at) {
            shown.delta(&mut self.emit, &fragment, is_custom);
        }
    }

    /// Tells the client of a call.
    fn show(&mut self, at: usize) {
        let Some(call) = self.calls.list.get(at) else {
            return;
        };
        let tool = self.plan.tools.tool_of(&call.name);
        let call_id = fresh_call_id(&mut self.plan, call.id.as_deref(), at);
        self.close_open("completed");
        let place = self.place(OpenCall::prefix(&tool));
        let shown = OpenCall::open(place, call_id, tool, &mut self.emit);
        if let Some(slot) = self.shown.get_mut(at) {
            *slot = Some(shown);
        }
    }

    fn place(&mut self, prefix: &str) -> ItemPosition {
        let index = self.next_index;
        self.next_index += 1;
        ItemPosition {
            id: format!("{prefix}_{}_{index}", self.plan.seed),
            index,
        }
    }

    fn close_open(&mut self, status: &str) {
        if let Some(open) = self.open.take() {
            let (place, item) = open.close(&mut self.emit, status);
            self.output.push((place.index, item));
        }
    }

    fn count(&mut self, text: &str) {
        self.size += text.len();
        self.summary.output_chars += text.chars().count() as u64;
        self.summary.has_output |= !text.is_empty();
    }

    /// Provider reasoning by call id, to give back when the call comes back in a history.
    pub(crate) fn take_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        std::mem::take(&mut self.kept)
    }
}

/// The response object as it is now.
fn response<'a>(
    plan: &'a ReplySettings,
    summary: &'a ReplySummary,
    status: &'static str,
) -> Response<'a> {
    Response {
        plan,
        model: summary.model.as_deref().unwrap_or(&plan.model),
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
