//! The items of a translated answer: when each is opened, what it streams, and its one `done`.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::json::raw::is_json_object;
use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::translate::call_assembler::AssembledCall;
use crate::translate::emit::Emitter;
use crate::translate::freeform::FreeformDecoder;
use crate::translate::reply_settings::ReplySettings;
use crate::translate::tool_map::{ToolKind, ToolRef, mark_of};

/// What every item has.
#[derive(Debug, Clone)]
pub(super) struct ItemPosition {
    pub(super) id: String,
    pub(super) index: u64,
}

impl ItemPosition {
    fn refer(&self, json: &mut JsonWriter) {
        json.field_str("item_id", &self.id)
            .field_number("output_index", self.index);
    }

    pub(super) fn added(&self, emit: &mut Emitter, item: impl FnOnce(&mut JsonWriter)) {
        emit.event(StepKind::Output, "response.output_item.added", |json| {
            json.field_number("output_index", self.index).key("item");
            item(json);
        });
    }

    /// Writes the item's one `done` and returns the item.
    pub(super) fn done(&self, emit: &mut Emitter, item: impl FnOnce(&mut JsonWriter)) -> Vec<u8> {
        let mut whole = JsonWriter::default();
        item(&mut whole);
        emit.event(StepKind::Output, "response.output_item.done", |json| {
            json.field_number("output_index", self.index).key("item");
            json.raw(std::str::from_utf8(&whole.out).unwrap_or("null"));
        });
        whole.out
    }
}

/// An assistant message or a reasoning item that is being written.
#[derive(Debug)]
pub(super) enum OpenItem {
    Reasoning(ItemPosition, String),
    /// Text and the elements of its log probabilities.
    Message(ItemPosition, String, String),
}

impl OpenItem {
    pub(super) fn reasoning(place: ItemPosition, emit: &mut Emitter) -> Self {
        place.added(emit, |json| {
            json.begin_object()
                .field_str("type", "reasoning")
                .field_str("id", &place.id);
            json.field_raw("summary", "[]")
                .field_raw("encrypted_content", "null")
                .end_object();
        });
        emit.event(
            StepKind::Output,
            "response.reasoning_summary_part.added",
            |json| {
                place.refer(json);
                json.field_number("summary_index", 0)
                    .field_raw("part", r#"{"type":"summary_text","text":""}"#);
            },
        );
        Self::Reasoning(place, String::new())
    }

    pub(super) fn message(place: ItemPosition, emit: &mut Emitter) -> Self {
        place.added(emit, |json| {
            json.begin_object()
                .field_str("type", "message")
                .field_str("id", &place.id);
            json.field_str("status", "in_progress")
                .field_str("role", "assistant")
                .field_raw("content", "[]")
                .end_object();
        });
        emit.event(StepKind::Output, "response.content_part.added", |json| {
            place.refer(json);
            json.field_number("content_index", 0);
            json.field_raw(
                "part",
                r#"{"type":"output_text","text":"","annotations":[],"logprobs":[]}"#,
            );
        });
        Self::Message(place, String::new(), String::new())
    }

    /// Adds text; `logprobs` are the elements of an array.
    pub(super) fn delta(&mut self, emit: &mut Emitter, delta: &str, logprobs: &str) {
        match self {
            Self::Reasoning(place, text) => {
                text.push_str(delta);
                emit.event(
                    StepKind::Output,
                    "response.reasoning_summary_text.delta",
                    |json| {
                        place.refer(json);
                        json.field_number("summary_index", 0)
                            .field_str("delta", delta);
                    },
                );
            }
            Self::Message(place, text, all_logprobs) => {
                text.push_str(delta);
                if !logprobs.is_empty() {
                    if !all_logprobs.is_empty() {
                        all_logprobs.push(',');
                    }
                    all_logprobs.push_str(logprobs);
                }
                emit.event(StepKind::Output, "response.output_text.delta", |json| {
                    place.refer(json);
                    json.field_number("content_index", 0)
                        .field_str("delta", delta);
                    json.key("logprobs").begin_array();
                    if !logprobs.is_empty() {
                        json.raw(logprobs);
                    }
                    json.end_array();
                });
            }
        }
    }

    /// Ends the item and returns it.
    pub(super) fn close(self, emit: &mut Emitter, status: &str) -> (ItemPosition, Vec<u8>) {
        match self {
            Self::Reasoning(place, text) => {
                emit.event(
                    StepKind::Output,
                    "response.reasoning_summary_text.done",
                    |json| {
                        place.refer(json);
                        json.field_number("summary_index", 0)
                            .field_str("text", &text);
                    },
                );
                let part = |json: &mut JsonWriter| {
                    json.begin_object()
                        .field_str("type", "summary_text")
                        .field_str("text", &text)
                        .end_object();
                };
                emit.event(
                    StepKind::Output,
                    "response.reasoning_summary_part.done",
                    |json| {
                        place.refer(json);
                        json.field_number("summary_index", 0).key("part");
                        part(json);
                    },
                );
                let item = place.done(emit, |json| {
                    json.begin_object()
                        .field_str("type", "reasoning")
                        .field_str("id", &place.id);
                    json.key("summary").begin_array();
                    part(json);
                    json.end_array()
                        .field_raw("encrypted_content", "null")
                        .end_object();
                });
                (place, item)
            }
            Self::Message(place, text, logprobs) => {
                emit.event(StepKind::Output, "response.output_text.done", |json| {
                    place.refer(json);
                    json.field_number("content_index", 0)
                        .field_str("text", &text);
                    write_logprobs(json, &logprobs);
                });
                let part = |json: &mut JsonWriter| {
                    json.begin_object()
                        .field_str("type", "output_text")
                        .field_str("text", &text);
                    json.field_raw("annotations", "[]");
                    write_logprobs(json, &logprobs);
                    json.end_object();
                };
                emit.event(StepKind::Output, "response.content_part.done", |json| {
                    place.refer(json);
                    json.field_number("content_index", 0).key("part");
                    part(json);
                });
                let item = place.done(emit, |json| {
                    json.begin_object()
                        .field_str("type", "message")
                        .field_str("id", &place.id);
                    json.field_str("status", status)
                        .field_str("role", "assistant")
                        .key("content")
                        .begin_array();
                    part(json);
                    json.end_array().end_object();
                });
                (place, item)
            }
        }
    }
}

fn write_logprobs(json: &mut JsonWriter, elements: &str) {
    json.key("logprobs").begin_array();
    if !elements.is_empty() {
        json.raw(elements);
    }
    json.end_array();
}

/// A tool call that the client was told of.
#[derive(Debug)]
pub(super) struct OpenCall {
    pub(super) place: ItemPosition,
    pub(super) call_id: String,
    tool: Arc<ToolRef>,
    decoder: FreeformDecoder,
    /// Whether any of the arguments was passed on.
    has_delta: bool,
}

impl OpenCall {
    /// The id prefix that the client expects for such a call.
    pub(super) fn prefix(tool: &ToolRef) -> &'static str {
        match tool.kind {
            ToolKind::Function => "fc",
            ToolKind::Custom => "ctc",
            ToolKind::ToolSearch => "tsc",
            ToolKind::LocalShell => "lsh",
        }
    }

    pub(super) fn open(
        place: ItemPosition,
        call_id: String,
        tool: Arc<ToolRef>,
        emit: &mut Emitter,
    ) -> Self {
        let shown = Self {
            place,
            call_id,
            tool,
            decoder: FreeformDecoder::default(),
            has_delta: false,
        };
        shown
            .place
            .added(emit, |json| shown.write_item(json, "in_progress", "", ""));
        shown
    }

    /// Passes more of the arguments on.
    pub(super) fn delta(&mut self, emit: &mut Emitter, fragment: &str, is_custom: bool) {
        match self.tool.kind {
            ToolKind::Function => {
                self.pass("response.function_call_arguments.delta", emit, fragment);
            }
            ToolKind::Custom if is_custom => {
                self.pass("response.custom_tool_call_input.delta", emit, fragment);
            }
            ToolKind::Custom => {
                let text = self.decoder.push(fragment).to_owned();
                self.pass("response.custom_tool_call_input.delta", emit, &text);
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
    }

    fn pass(&mut self, event: &str, emit: &mut Emitter, text: &str) {
        if text.is_empty() {
            return;
        }
        self.has_delta = true;
        emit.event(StepKind::Output, event, |json| {
            self.place.refer(json);
            json.field_str("delta", text);
        });
    }

    /// Whether the arguments are whole, so that the call may be made.
    pub(super) fn is_complete(&self, call: &AssembledCall) -> bool {
        match self.tool.kind {
            ToolKind::Custom if call.is_custom => true,
            ToolKind::Custom => self.decoder.is_complete(),
            ToolKind::Function | ToolKind::ToolSearch | ToolKind::LocalShell => {
                is_json_object(&call.arguments)
            }
        }
    }

    /// Ends the call and returns its item.
    pub(super) fn close(
        mut self,
        emit: &mut Emitter,
        call: &AssembledCall,
    ) -> (ItemPosition, Vec<u8>) {
        let (arguments, input) = match self.tool.kind {
            ToolKind::Custom if call.is_custom => (String::new(), call.arguments.clone()),
            ToolKind::Custom => {
                let (whole, rest) = self.decoder.finish();
                let (whole, rest) = (whole.to_owned(), rest.to_owned());
                self.pass("response.custom_tool_call_input.delta", emit, &rest);
                (String::new(), whole)
            }
            ToolKind::Function => {
                if call.arguments.trim().is_empty() && !self.has_delta {
                    self.pass("response.function_call_arguments.delta", emit, "{}");
                    ("{}".to_owned(), String::new())
                } else {
                    (call.arguments.clone(), String::new())
                }
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => (call.arguments.clone(), String::new()),
        };
        match self.tool.kind {
            ToolKind::Function => emit.event(
                StepKind::Output,
                "response.function_call_arguments.done",
                |json| {
                    self.place.refer(json);
                    json.field_str("name", &self.tool.name)
                        .field_str("arguments", &arguments);
                },
            ),
            ToolKind::Custom => emit.event(
                StepKind::Output,
                "response.custom_tool_call_input.done",
                |json| {
                    self.place.refer(json);
                    json.field_str("input", &input);
                },
            ),
            ToolKind::ToolSearch | ToolKind::LocalShell => {}
        }
        let item = self.place.done(emit, |json| {
            self.write_item(json, "completed", &arguments, &input);
        });
        (self.place, item)
    }

    fn write_item(&self, json: &mut JsonWriter, status: &str, arguments: &str, input: &str) {
        json.begin_object();
        json.field_str(
            "type",
            match self.tool.kind {
                ToolKind::Function => "function_call",
                ToolKind::Custom => "custom_tool_call",
                ToolKind::ToolSearch => "tool_search_call",
                ToolKind::LocalShell => "local_shell_call",
            },
        );
        json.field_str("id", &self.place.id)
            .field_str("status", status)
            .field_str("call_id", &self.call_id);
        if matches!(self.tool.kind, ToolKind::Function | ToolKind::Custom) {
            json.field_str("name", &self.tool.name);
            if let Some(namespace) = &self.tool.namespace {
                json.field_str("namespace", namespace);
            }
        }
        let object = if is_json_object(arguments) {
            arguments
        } else {
            "{}"
        };
        match self.tool.kind {
            ToolKind::Function => json.field_str("arguments", arguments),
            ToolKind::Custom => json.field_str("input", input),
            ToolKind::ToolSearch => json
                .field_str("execution", "client")
                .field_raw("arguments", object),
            ToolKind::LocalShell => json.field_raw("action", &shell_action(object)),
        };
        json.end_object();
    }
}

/// The function's arguments as the action of a shell call.
fn shell_action(arguments: &str) -> String {
    let fields =
        serde_json::from_str::<crate::json::raw::Fields<'_>>(arguments).unwrap_or_default();
    let mut json = JsonWriter::default();
    json.begin_object().field_str("type", "exec");
    json.field_raw(
        "command",
        fields
            .get("command")
            .filter(|value| value.get().starts_with('['))
            .map_or("[]", |value| value.get()),
    );
    for name in ["working_directory", "timeout_ms"] {
        if let Some(value) = fields.get(name) {
            json.field_raw(name, value.get());
        }
    }
    json.field_raw("env", "{}").end_object();
    String::from_utf8(json.out).unwrap_or_default()
}

/// A call id that no other call of the conversation has. Several upstreams count from zero in every
/// answer.
pub(super) fn fresh_call_id(plan: &mut ReplySettings, wanted: Option<&str>, n: usize) -> String {
    let mark = mark_of(&Sha256::digest(&plan.seed));
    let id = match wanted {
        Some(id) if !plan.used_call_ids.contains(id) => id.to_owned(),
        Some(id) => format!("{id}_{mark}{n}"),
        None => plan.nth_id("call", n),
    };
    plan.used_call_ids.insert(id.clone());
    id
}
