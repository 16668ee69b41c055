//! Items of text: an assistant message, or reasoning with its summary.

use super::position::ItemPosition;
use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::translate::emit::Emitter;

/// An assistant message that is being written.
#[derive(Debug)]
pub(super) struct MessageItem {
    position: ItemPosition,
    text: String,
    /// Elements of the array of log probabilities.
    logprobs: String,
}

impl MessageItem {
    pub(super) fn open(position: ItemPosition, emit: &mut Emitter) -> Self {
        position.added(emit, |json| {
            json.begin_object()
                .field_str("type", "message")
                .field_str("id", &position.id);
            json.field_str("status", "in_progress")
                .field_str("role", "assistant")
                .field_raw("content", "[]")
                .end_object();
        });
        emit.event(StepKind::Output, "response.content_part.added", |json| {
            position.refer(json);
            json.field_number("content_index", 0);
            json.field_raw(
                "part",
                r#"{"type":"output_text","text":"","annotations":[],"logprobs":[]}"#,
            );
        });
        Self {
            position,
            text: String::new(),
            logprobs: String::new(),
        }
    }

    /// Adds text; `logprobs` are the elements of an array.
    pub(super) fn delta(&mut self, emit: &mut Emitter, delta: &str, logprobs: &str) {
        self.text.push_str(delta);
        if !logprobs.is_empty() {
            if !self.logprobs.is_empty() {
                self.logprobs.push(',');
            }
            self.logprobs.push_str(logprobs);
        }
        emit.event(StepKind::Output, "response.output_text.delta", |json| {
            self.position.refer(json);
            json.field_number("content_index", 0)
                .field_str("delta", delta);
            write_logprobs(json, logprobs);
        });
    }

    /// Ends the item and returns it.
    pub(super) fn close(self, emit: &mut Emitter, status: &str) -> Vec<u8> {
        let position = &self.position;
        emit.event(StepKind::Output, "response.output_text.done", |json| {
            position.refer(json);
            json.field_number("content_index", 0)
                .field_str("text", &self.text);
            write_logprobs(json, &self.logprobs);
        });
        emit.event(StepKind::Output, "response.content_part.done", |json| {
            position.refer(json);
            json.field_number("content_index", 0).key("part");
            self.write_part(json);
        });
        position.done(emit, |json| {
            json.begin_object()
                .field_str("type", "message")
                .field_str("id", &position.id);
            json.field_str("status", status)
                .field_str("role", "assistant")
                .key("content")
                .begin_array();
            self.write_part(json);
            json.end_array().end_object();
        })
    }

    fn write_part(&self, json: &mut JsonWriter) {
        json.begin_object()
            .field_str("type", "output_text")
            .field_str("text", &self.text);
        json.field_raw("annotations", "[]");
        write_logprobs(json, &self.logprobs);
        json.end_object();
    }
}

fn write_logprobs(json: &mut JsonWriter, elements: &str) {
    json.key("logprobs").begin_array();
    if !elements.is_empty() {
        json.raw(elements);
    }
    json.end_array();
}

/// A reasoning item that is being written.
#[derive(Debug)]
pub(super) struct ReasoningItem {
    position: ItemPosition,
    text: String,
}

impl ReasoningItem {
    pub(super) fn open(position: ItemPosition, emit: &mut Emitter) -> Self {
        position.added(emit, |json| {
            json.begin_object()
                .field_str("type", "reasoning")
                .field_str("id", &position.id)
                .field_raw("summary", "[]")
                .end_object();
        });
        let name = "response.reasoning_summary_part.added";
        emit.event(StepKind::Output, name, |json| {
            position.refer(json);
            json.field_number("summary_index", 0)
                .field_raw("part", r#"{"type":"summary_text","text":""}"#);
        });
        Self {
            position,
            text: String::new(),
        }
    }

    pub(super) fn delta(&mut self, emit: &mut Emitter, delta: &str) {
        self.text.push_str(delta);
        let name = "response.reasoning_summary_text.delta";
        emit.event(StepKind::Output, name, |json| {
            self.position.refer(json);
            json.field_number("summary_index", 0)
                .field_str("delta", delta);
        });
    }

    /// Ends the item and returns it.
    pub(super) fn close(self, emit: &mut Emitter) -> Vec<u8> {
        let position = &self.position;
        let name = "response.reasoning_summary_text.done";
        emit.event(StepKind::Output, name, |json| {
            position.refer(json);
            json.field_number("summary_index", 0)
                .field_str("text", &self.text);
        });
        let name = "response.reasoning_summary_part.done";
        emit.event(StepKind::Output, name, |json| {
            position.refer(json);
            json.field_number("summary_index", 0).key("part");
            self.write_part(json);
        });
        position.done(emit, |json| {
            json.begin_object()
                .field_str("type", "reasoning")
                .field_str("id", &position.id);
            json.key("summary").begin_array();
            self.write_part(json);
            json.end_array().end_object();
        })
    }

    fn write_part(&self, json: &mut JsonWriter) {
        json.begin_object()
            .field_str("type", "summary_text")
            .field_str("text", &self.text)
            .end_object();
    }
}
