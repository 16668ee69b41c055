//! A chat completion put together from its chunks.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::chat::{Choice, Chunk, Message};
use crate::json::raw::{Fields, Literal, text_of};
use crate::json::surrogates::SurrogateDecoder;
use crate::json::tolerant;
use crate::json::write::JsonWriter;
use crate::reply::is_cut;
use crate::sse::is_done_marker;
use crate::stream::{ReplySummary, StreamFailure, Terminal};
use crate::translate::call_assembler::CallAssembler;
use crate::translate::chat_content::{
    ContentPiece, TextKind, elements_of, merge_details, pieces_of,
};
use crate::translate::completion::{Completion, CompletionCall};
use crate::translate::failure::{broken_call, error_event, truncated, unreadable};
use crate::usage::{extension_usage, read_usage};

/// A text as far as it came.
#[derive(Debug, Default)]
struct CollectedText {
    text: String,
    decoder: SurrogateDecoder,
}

/// A chat completion as far as it came.
#[derive(Debug, Default)]
pub(super) struct CollectedCompletion {
    created: i64,
    content: CollectedText,
    has_content: bool,
    refusal: CollectedText,
    reasoning_content: CollectedText,
    reasoning: CollectedText,
    details: Vec<serde_json::Value>,
    calls: CallAssembler,
    logprobs: Vec<String>,
    finish: Option<String>,
    usage: Option<String>,
}

impl CollectedCompletion {
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    pub(super) fn take(&mut self, data: &[u8], name: Option<&str>, summary: &mut ReplySummary) {
        if is_done_marker(data) {
            let failure = summary.pending_error.take();
            summary.end_with(match (failure, self.finish.as_deref()) {
                (Some(failure), _) => Terminal::Failed(failure),
                (None, Some(reason)) if is_cut(reason) => Terminal::Incomplete {
                    reason: Some(reason.to_owned()),
                },
                (None, None) if !summary.has_output => Terminal::Failed(truncated()),
                (None, _) => Terminal::Completed,
            });
            return;
        }
        let failure = match Chunk::read(data) {
            Some(chunk) => self.chunk(&chunk, data, name, summary),
            None => self.repaired(data, name, summary),
        };
        if let Some(failure) = failure {
            summary.end_with(Terminal::Failed(failure));
        }
    }

    fn repaired(
        &mut self,
        data: &[u8],
        name: Option<&str>,
        summary: &mut ReplySummary,
    ) -> Option<StreamFailure> {
        let Some(objects) = tolerant::objects(data) else {
            return error_event(data, name).or_else(|| unreadable(data, name));
        };
        objects.iter().find_map(|object| {
            let Some(chunk) = Chunk::read(object.as_bytes()) else {
                return unreadable(data, None);
            };
            self.chunk(&chunk, object.as_bytes(), name, summary)
        })
    }

    /// Takes a chunk; gives why it cannot be read.
    fn chunk(
        &mut self,
        chunk: &Chunk<'_>,
        data: &[u8],
        name: Option<&str>,
        summary: &mut ReplySummary,
    ) -> Option<StreamFailure> {
        for (field, raw) in [
            (&mut summary.response_id, chunk.id),
            (&mut summary.model, chunk.model),
            (&mut summary.service_tier, chunk.service_tier),
        ] {
            if let Some(text) = raw.and_then(text_of).filter(|text| !text.is_empty()) {
                *field = Some(text.into_owned());
            }
        }
        if self.created == 0 {
            let fields: Fields<'_> = serde_json::from_slice(data).unwrap_or_default();
            let created = fields.get("created").and_then(|raw| raw.get().parse().ok());
            self.created = created.unwrap_or(0);
        }
        if (chunk.may_be_error() || name == Some("error"))
            && let Some(failure) = error_event(data, name)
        {
            summary.pending_error = Some(failure);
        }
        let own = || extension_usage(data).and_then(|span| data.get(span));
        let usage = chunk
            .usage()
            .map(|usage| usage.get().as_bytes())
            .or_else(own);
        if let Some(usage) = usage {
            summary.note_usage(&read_usage(usage));
            self.usage = Some(String::from_utf8_lossy(usage).into_owned());
        }
        let choices = chunk.choices.iter().flatten();
        choices
            .filter(|choice| choice.index.unwrap_or(0) == 0)
            .find_map(|choice| {
                let is_read = self.choice(choice, summary);
                is_read.is_none().then(|| unreadable(data, None))?
            })
    }

    fn choice(&mut self, choice: &Choice<'_>, summary: &mut ReplySummary) -> Option<()> {
        if let Some(message) = choice.delta.as_ref().or(choice.message.as_ref()) {
            self.message(message)?;
        } else if let Some(text) = choice.text {
            self.content(text, TextKind::Text)?;
        }
        let logprobs = choice.logprobs.and_then(elements_of);
        self.logprobs.extend(
            logprobs
                .filter(|elements| !elements.is_empty())
                .map(str::to_owned),
        );
        if let Some(finish) = choice
            .finish_reason
            .as_ref()
            .filter(|word| !word.0.is_empty())
        {
            self.finish = Some(finish.0.to_string());
        }
        if let Some(error) = choice.error.filter(|error| error.get().len() > 2) {
            summary.pending_error = Some(StreamFailure::read(error.get().as_bytes()));
        }
        summary.has_output |= !self.content.text.is_empty() || !self.calls.list.is_empty();
        Some(())
    }

    fn message(&mut self, message: &Message<'_>) -> Option<()> {
        if let Some(content) = message.content {
            self.has_content = true;
            self.content(content, TextKind::Text)?;
        }
        if let Some(refusal) = message.refusal {
            self.content(refusal, TextKind::Refusal)?;
        }
        if let Some(reasoning) = message.reasoning_content {
            self.content(reasoning, TextKind::Reasoning)?;
        }
        if let Some(reasoning) = message.reasoning {
            for piece in pieces_of(reasoning, TextKind::Reasoning)? {
                if let ContentPiece::Reasoning(text) = piece {
                    self.reasoning.push(text);
                }
            }
        }
        if let Some(details) = message.reasoning_details {
            merge_details(&mut self.details, details);
        }
        for call in message.tool_calls.iter().flatten() {
            self.calls.add(call);
        }
        Some(())
    }

    fn content(&mut self, raw: &RawValue, kind: TextKind) -> Option<()> {
        for piece in pieces_of(raw, kind)? {
            let (to, text) = match piece {
                ContentPiece::Text(text) => (&mut self.content, text),
                ContentPiece::Reasoning(text) => (&mut self.reasoning_content, text),
                ContentPiece::Refusal(text) => (&mut self.refusal, text),
                ContentPiece::Lost(_) => continue,
            };
            to.push(text);
        }
        Some(())
    }

    /// The stream is over: gives what is wrong with the answer.
    pub(super) fn close(&mut self) -> Option<StreamFailure> {
        self.calls.finish();
        for text in [
            &mut self.content,
            &mut self.refusal,
            &mut self.reasoning_content,
            &mut self.reasoning,
        ] {
            let rest = text.decoder.finish();
            text.text.push_str(rest);
        }
        if self.finish.as_deref().is_some_and(is_cut) {
            return None;
        }
        let is_broken = self
            .calls
            .list
            .iter()
            .any(|call| !call.is_custom && !call.has_no_arguments_yet() && !call.is_whole());
        is_broken.then(broken_call)
    }

    pub(super) fn to_json(&self, summary: &ReplySummary) -> Vec<u8> {
        let has_text = !self.content.text.is_empty();
        let shows_content = self.has_content && (self.calls.list.is_empty() || has_text);
        let mut reasoning = Vec::new();
        for (name, text) in [
            ("reasoning_content", &self.reasoning_content.text),
            ("reasoning", &self.reasoning.text),
        ] {
            if !text.is_empty() {
                let mut json = JsonWriter::default();
                json.string(text);
                reasoning.push((name, String::from_utf8(json.out).unwrap_or_default()));
            }
        }
        if !self.details.is_empty() {
            let details = serde_json::Value::Array(self.details.clone());
            reasoning.push(("reasoning_details", details.to_string()));
        }
        Completion {
            id: summary.response_id.clone().unwrap_or_default(),
            created: self.created,
            model: summary.model.as_deref().unwrap_or_default(),
            content: (shows_content || has_text).then_some(self.content.text.as_str()),
            refusal: Some(self.refusal.text.as_str()).filter(|text| !text.is_empty()),
            reasoning,
            calls: self.calls().collect(),
            logprobs: self.logprobs.iter().map(String::as_str).collect(),
            finish: self.finish.as_deref().unwrap_or("stop"),
            service_tier: summary.service_tier.as_deref(),
            usage: Cow::Borrowed(self.usage.as_deref().unwrap_or("null")),
        }
        .into_json()
    }

    fn calls(&self) -> impl Iterator<Item = CompletionCall<'_>> {
        self.calls.list.iter().map(|call| CompletionCall {
            id: Cow::Borrowed(call.id.as_deref().unwrap_or_default()),
            name: Cow::Borrowed(&call.name),
            arguments: Cow::Borrowed(&call.arguments),
            is_custom: call.is_custom,
            extra_content: call.extra_content.as_deref(),
        })
    }
}

impl CollectedText {
    fn push(&mut self, piece: Literal<'_>) {
        let text = piece.decode_piece(&mut self.decoder);
        self.text.push_str(&text);
    }
}
