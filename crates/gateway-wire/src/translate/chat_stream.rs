//! A Chat upstream's answer as Responses events.
//!
//! Items are opened when their first text or name arrives and closed in order; each has one id, one
//! `done`, and its arguments once. The answer is concluded when the stream ends, not at the finish
//! reason: usage and late pieces come after it.
//!
//! What cannot be read ends the answer with an error: an answer with a hole is never complete.

mod call_item;
mod conclude;
mod output;
mod position;
mod response_object;
mod text_item;

use serde_json::value::RawValue;

use super::call_assembler::CallAssembler;
use super::chat_content::{ContentPiece, TextKind, elements_of, merge_details, pieces_of};
use super::failure::{error_event, own_failure, unreadable};
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::reasoning::ReasoningBlob;
use super::reply_settings::{ReplyPurpose, ReplySettings};
use super::think_tags::ThinkTagSplitter;
use crate::chat::{Choice, Chunk, Function, Message, ToolCall};
use crate::json::raw::{Literal, text_of};
use crate::json::surrogates::SurrogateDecoder;
use crate::json::tolerant;
use crate::sse::is_done_marker;
use crate::stream::{ReplySummary, Step, StepKind, StreamFailure};
use crate::usage::{extension_usage, read_usage};
use output::{EndedCall, OutputWriter, WriterContext};
use response_object::ResponseObject;

/// Largest answer that is put together, in bytes of text.
const MAX_ANSWER: usize = 32 << 20;

/// The machine.
#[derive(Debug)]
pub(crate) struct ChatToResponses {
    settings: ReplySettings,
    output: OutputWriter,
    calls: CallAssembler,
    ended: Vec<EndedCall>,
    pub(crate) summary: ReplySummary,
    pub(crate) losses: Losses,
    progress: Progress,
    finish: Option<String>,
    failure: Option<StreamFailure>,
    text: TextState,
    reasoning: ReasoningState,
    size: usize,
    /// The response object of the terminal event, for answers that are not streams.
    pub(crate) whole: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Started,
    Over,
}

/// The text of the answer, as far as it is not written.
#[derive(Debug)]
struct TextState {
    think_tags: ThinkTagSplitter,
    /// White space that is text only if text follows.
    pending_space: String,
    decoder: SurrogateDecoder,
    /// Text of a summary that becomes a compaction item.
    note: String,
}

/// The provider's reasoning, to be given back with the calls that it led to.
#[derive(Debug, Default)]
struct ReasoningState {
    text: String,
    details: Vec<serde_json::Value>,
    decoder: SurrogateDecoder,
    kept: Vec<(String, ReasoningBlob)>,
}

impl ChatToResponses {
    /// A machine for one answer. A quiet one is for answers that are not streams.
    pub(crate) fn new(settings: ReplySettings, is_quiet: bool) -> Self {
        Self {
            text: TextState {
                think_tags: ThinkTagSplitter::new(settings.dialect.think_tags),
                pending_space: String::new(),
                decoder: SurrogateDecoder::default(),
                note: String::new(),
            },
            output: OutputWriter::new(is_quiet),
            settings,
            calls: CallAssembler::default(),
            ended: Vec::new(),
            summary: ReplySummary::default(),
            losses: Losses::default(),
            progress: Progress::Waiting,
            finish: None,
            failure: None,
            reasoning: ReasoningState::default(),
            size: 0,
            whole: Vec::new(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.progress == Progress::Over
    }

    pub(crate) fn flush(&mut self, steps: &mut Vec<Step>) {
        self.output.emit.flush(steps);
    }

    /// The time that the answer is said to be completed at, Unix seconds.
    pub(crate) fn set_time(&mut self, unix_seconds: i64) {
        self.settings.completed_at = unix_seconds;
    }

    /// Takes one event's data and the name of the event.
    pub(crate) fn data(&mut self, data: &[u8], event_name: Option<&str>) {
        if self.is_over() {
            return;
        }
        self.summary.events += 1;
        if is_done_marker(data) {
            // An upstream that says so itself has said all, also when it never gives finish
            // reasons.
            if self.summary.has_output {
                self.assume_stop();
            }
            self.conclude();
            return;
        }
        match Chunk::read(data) {
            Some(chunk) => self.chunk(&chunk, data, event_name),
            None => self.repaired(data, event_name),
        }
        // After an error that the upstream told, its usage may follow; after one that was found
        // here, nothing that follows can be right.
        if self.failure.is_some() && self.summary.pending_error.is_none() && !self.is_over() {
            self.conclude();
        }
        if self.size > MAX_ANSWER {
            self.fail(own_failure(
                "event_too_large",
                "the response is too large for this gateway to buffer",
            ));
        }
    }

    /// Takes an event that is not one chunk as it should be.
    fn repaired(&mut self, data: &[u8], event_name: Option<&str>) {
        let Some(objects) = tolerant::objects(data) else {
            let told = error_event(data, event_name);
            self.failure = told.or_else(|| unreadable(data, event_name));
            return;
        };
        for object in &objects {
            match Chunk::read(object.as_bytes()) {
                Some(chunk) => self.chunk(&chunk, object.as_bytes(), event_name),
                None => self.failure = self.failure.take().or_else(|| unreadable(data, None)),
            }
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
    pub(crate) fn chunk(&mut self, chunk: &Chunk<'_>, data: &[u8], event_name: Option<&str>) {
        if chunk.is_bare()
            && let Some(inner) = chunk
                .data
                .filter(|inner| inner.get().contains("\"choices\""))
            && let Some(inner_chunk) = Chunk::read(inner.get().as_bytes())
        {
            self.chunk(&inner_chunk, inner.get().as_bytes(), None);
            return;
        }
        self.head(chunk);
        self.start();
        if (chunk.may_be_error() || event_name == Some("error"))
            && let Some(failure) = error_event(data, event_name)
        {
            self.summary.pending_error = Some(failure.clone());
            self.failure = Some(failure);
        }
        for choice in chunk.choices.iter().flatten() {
            if choice.index.unwrap_or(0) > 0 {
                self.losses.keep_once(LossKind::Choice, "choices[1]");
                continue;
            }
            self.choice(choice, data);
        }
        let own = || extension_usage(data).and_then(|span| data.get(span));
        let usage = chunk.usage().map(|usage| usage.get().as_bytes());
        if let Some(usage) = usage.or_else(own) {
            self.summary.note_usage(&read_usage(usage));
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
        if self.progress != Progress::Waiting {
            return;
        }
        self.progress = Progress::Started;
        let response = ResponseObject::new(&self.settings, &self.summary, "in_progress");
        for name in ["response.created", "response.in_progress"] {
            self.output.emit.event(StepKind::Preamble, name, |json| {
                json.key("response");
                response.write(json, &[]);
            });
        }
    }

    /// Says that the answer is still being made, in an event that every client takes.
    pub(crate) fn keepalive(&mut self) {
        if self.progress == Progress::Waiting {
            self.start();
            return;
        }
        let kind = if self.output.is_empty() {
            StepKind::Preamble
        } else {
            StepKind::Output
        };
        let response = ResponseObject::new(&self.settings, &self.summary, "in_progress");
        self.output
            .emit
            .event(kind, "response.in_progress", |json| {
                json.key("response");
                response.write(json, &[]);
            });
    }

    fn choice(&mut self, choice: &Choice<'_>, data: &[u8]) {
        if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
            self.message(message, choice.logprobs, data);
        } else if let Some(text) = choice.text {
            self.content(text, TextKind::Text, "", data);
        }
        if let Some(finish) = choice
            .finish_reason
            .as_ref()
            .filter(|finish| !finish.0.is_empty())
        {
            self.finish = Some(finish.0.to_string());
        }
        if let Some(error) = choice.error.filter(|error| error.get().len() > 2) {
            let failure = StreamFailure::read(error.get().as_bytes());
            self.summary.pending_error = Some(failure.clone());
            self.failure = Some(failure);
        }
    }

    fn message(&mut self, message: &Message<'_>, logprobs: Option<&RawValue>, data: &[u8]) {
        self.reasoning_of(message, data);
        let logprobs = logprobs.and_then(elements_of).unwrap_or_default();
        if let Some(content) = message.content {
            self.content(content, TextKind::Text, logprobs, data);
        }
        if let Some(refusal) = message.refusal {
            self.content(refusal, TextKind::Refusal, "", data);
        }
        if message.audio.is_some() {
            self.losses
                .keep_once(LossKind::Audio, "choices[0].message.audio");
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
            let function = Function {
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

    /// Takes content in whatever shape; `kind` is what a text in it is.
    fn content(&mut self, content: &RawValue, kind: TextKind, logprobs: &str, data: &[u8]) {
        // Nearly all content is one string.
        if let Some(text) = Literal::of(content).filter(|_| kind == TextKind::Text) {
            let text = text.decode_piece(&mut self.text.decoder);
            self.text(&text, logprobs);
            return;
        }
        let Some(pieces) = pieces_of(content, kind) else {
            self.failure = unreadable(data, None);
            return;
        };
        for piece in pieces {
            match piece {
                ContentPiece::Text(text) => {
                    let text = text.decode_piece(&mut self.text.decoder);
                    self.text(&text, logprobs);
                }
                ContentPiece::Reasoning(text) => {
                    let text = text.decode_piece(&mut self.reasoning.decoder);
                    self.think_aloud(&text);
                }
                ContentPiece::Refusal(text) => {
                    self.losses
                        .keep_once(LossKind::Refusal, "choices[0].message.refusal");
                    let text = text.decode_piece(&mut self.text.decoder);
                    self.visible(&text, "");
                }
                ContentPiece::Lost(kind) => {
                    self.losses.keep_once(kind, "choices[0].message.content");
                }
            }
        }
    }

    /// Reasoning comes under several names, sometimes under two at once.
    fn reasoning_of(&mut self, message: &Message<'_>, data: &[u8]) {
        let is_filled = |raw: &&RawValue| !matches!(raw.get(), "\"\"" | "[]" | "{}" | "null");
        let named = message
            .reasoning_content
            .filter(is_filled)
            .or(message.reasoning.filter(is_filled));
        if let Some(raw) = named.or(message.reasoning_details) {
            let is_detail = named.is_none();
            match pieces_of(raw, TextKind::Reasoning) {
                Some(pieces) => self.reasoning_pieces(pieces),
                // Details may be encrypted, or of a kind without a text.
                None if is_detail => {}
                None => self.failure = unreadable(data, None),
            }
        }
        if let Some(details) = message.reasoning_details {
            self.size += details.get().len();
            merge_details(&mut self.reasoning.details, details);
        }
    }

    fn reasoning_pieces(&mut self, pieces: Vec<ContentPiece<'_>>) {
        for piece in pieces {
            if let ContentPiece::Reasoning(text) = piece {
                let text = text.decode_piece(&mut self.reasoning.decoder);
                self.think_aloud(&text);
            }
        }
    }

    fn think_aloud(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.count(text);
        self.reasoning.text.push_str(text);
        if self.settings.purpose != ReplyPurpose::Turn {
            return;
        }
        let (output, mut context) = self.writer();
        output.reasoning(text, &mut context);
    }

    fn text(&mut self, text: &str, logprobs: &str) {
        if self.text.think_tags.is_passive() {
            self.visible(text, logprobs);
            return;
        }
        let split = self.text.think_tags.push(text);
        self.think_aloud(&split.reasoning);
        self.visible(&split.text, logprobs);
    }

    /// Text of the answer.
    fn visible(&mut self, text: &str, logprobs: &str) {
        if text.is_empty() {
            return;
        }
        if self.settings.purpose != ReplyPurpose::Turn {
            self.count(text);
            self.text.note.push_str(text);
            return;
        }
        if !self.output.is_in_message() {
            // Line breaks between reasoning and a call are not a message.
            self.text.pending_space.push_str(text);
            if self.text.pending_space.trim().is_empty() {
                return;
            }
            let text = std::mem::take(&mut self.text.pending_space);
            self.write_text(&text, logprobs);
            return;
        }
        self.write_text(text, logprobs);
    }

    fn write_text(&mut self, text: &str, logprobs: &str) {
        self.count(text);
        let (output, mut context) = self.writer();
        output.text(text, logprobs, &mut context);
    }

    fn call(&mut self, piece: &ToolCall<'_>) {
        let (at, bytes) = self.calls.add(piece);
        self.size += bytes;
        self.summary.has_output |= bytes > 0;
        if let Some(call) = self.calls.list.get(at) {
            let added = call
                .arguments
                .get(call.arguments.len().saturating_sub(bytes)..);
            self.summary.output_chars += added.unwrap_or_default().chars().count() as u64;
        }
        if self.settings.purpose == ReplyPurpose::Turn {
            let (output, mut context) = self.writer();
            output.call(at, &mut context);
        }
    }

    /// The output, and what it is written from.
    fn writer(&mut self) -> (&mut OutputWriter, WriterContext<'_>) {
        let context = WriterContext {
            calls: &self.calls,
            settings: &mut self.settings,
            ended: &mut self.ended,
        };
        (&mut self.output, context)
    }

    fn count(&mut self, text: &str) {
        self.size += text.len();
        self.summary.output_chars += text.chars().count() as u64;
        self.summary.has_output |= !text.is_empty();
    }

    /// Provider reasoning by call id, to give back when the call comes back in a history.
    pub(crate) fn take_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        std::mem::take(&mut self.reasoning.kept)
    }
}
