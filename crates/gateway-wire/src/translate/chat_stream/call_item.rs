//! Items of tool calls: what the client sees of a call while its arguments arrive.

use std::sync::Arc;

use super::position::ItemPosition;
use crate::json::raw::{Fields, is_json_object};
use crate::json::tolerant::StringState;
use crate::json::write::JsonWriter;
use crate::stream::StepKind;
use crate::translate::call_assembler::AssembledCall;
use crate::translate::emit::Emitter;
use crate::translate::freeform::FreeformDecoder;
use crate::translate::tool_map::{ToolKind, ToolRef};

/// A tool call that the client was told of.
#[derive(Debug)]
pub(super) struct CallItem {
    /// Which of the answer's calls it is.
    pub(super) at: usize,
    pub(super) call_id: String,
    position: ItemPosition,
    tool: Arc<ToolRef>,
    decoder: FreeformDecoder,
    /// How much of the call's arguments was taken.
    taken: usize,
    /// What was made of it: valid JSON where it was JSON but for control characters in strings.
    text: String,
    strings: StringState,
    /// A freeform call that ended without a text.
    is_without_input: bool,
}

impl CallItem {
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
        at: usize,
        position: ItemPosition,
        call_id: String,
        tool: Arc<ToolRef>,
        emit: &mut Emitter,
    ) -> Self {
        let item = Self {
            at,
            call_id,
            position,
            tool,
            decoder: FreeformDecoder::default(),
            taken: 0,
            text: String::new(),
            strings: StringState::default(),
            is_without_input: false,
        };
        item.position
            .added(emit, |json| item.write(json, "in_progress", "", ""));
        item
    }

    /// Passes on what is new in the call's arguments.
    pub(super) fn update(&mut self, emit: &mut Emitter, call: &AssembledCall) {
        if self.taken == 0 && !call.is_custom && call.has_no_arguments_yet() {
            return;
        }
        self.take(emit, call);
    }

    /// Passes on an empty object that was held back, since something else follows it.
    pub(super) fn release(&mut self, emit: &mut Emitter, call: &AssembledCall) {
        if self.taken == 0 && call.is_whole() {
            self.take(emit, call);
        }
    }

    fn take(&mut self, emit: &mut Emitter, call: &AssembledCall) {
        let new = call.arguments.get(self.taken..).unwrap_or_default();
        self.taken = call.arguments.len();
        match self.tool.kind {
            ToolKind::Custom if call.is_custom => {
                self.text.push_str(new);
                self.pass("response.custom_tool_call_input.delta", emit, new);
            }
            ToolKind::Custom => {
                let text = self.decoder.push(new).to_owned();
                self.pass("response.custom_tool_call_input.delta", emit, &text);
            }
            ToolKind::Function => {
                let new = self.strings.escaped(new);
                self.text.push_str(&new);
                self.pass("response.function_call_arguments.delta", emit, &new);
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => {
                self.text.push_str(&self.strings.escaped(new));
            }
        }
    }

    fn pass(&self, event: &str, emit: &mut Emitter, text: &str) {
        if text.is_empty() {
            return;
        }
        emit.event(StepKind::Output, event, |json| {
            self.position.refer(json);
            json.field_str("delta", text);
        });
    }

    /// Whether the arguments are whole, so that the call may be made: a JSON object, or the text of
    /// a freeform call.
    pub(super) fn is_complete(&self, call: &AssembledCall) -> bool {
        // What came after the call was ended belongs to nothing.
        let is_all = self.taken == call.arguments.len();
        match self.tool.kind {
            ToolKind::Custom if call.is_custom => is_all,
            ToolKind::Custom => is_all && (self.is_without_input || self.decoder.is_complete()),
            ToolKind::Function | ToolKind::ToolSearch | ToolKind::LocalShell => {
                is_all && is_json_object(&self.text)
            }
        }
    }

    /// The answer is over: takes the arguments that were held back, and gives an object to a call
    /// without any.
    pub(super) fn complete(&mut self, emit: &mut Emitter, call: &AssembledCall) {
        if self.taken > 0 || !matches!(call.arguments.trim(), "" | "null") {
            self.take(emit, call);
            return;
        }
        self.taken = call.arguments.len();
        match self.tool.kind {
            ToolKind::Custom => self.is_without_input = true,
            ToolKind::Function => {
                "{}".clone_into(&mut self.text);
                self.pass("response.function_call_arguments.delta", emit, "{}");
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => "{}".clone_into(&mut self.text),
        }
    }

    /// Ends the call and returns its item.
    pub(super) fn close(mut self, emit: &mut Emitter, call: &AssembledCall) -> Vec<u8> {
        if self.tool.kind == ToolKind::Custom && !call.is_custom {
            let (whole, rest) = self.decoder.finish();
            let (whole, rest) = (whole.to_owned(), rest.to_owned());
            self.pass("response.custom_tool_call_input.delta", emit, &rest);
            self.text = whole;
        }
        let (event, field) = match self.tool.kind {
            ToolKind::Function => ("response.function_call_arguments.done", "arguments"),
            ToolKind::Custom => ("response.custom_tool_call_input.done", "input"),
            ToolKind::ToolSearch | ToolKind::LocalShell => ("", ""),
        };
        if !event.is_empty() {
            emit.event(StepKind::Output, event, |json| {
                self.position.refer(json);
                if self.tool.kind == ToolKind::Function {
                    json.field_str("name", &self.tool.name);
                }
                json.field_str(field, &self.text);
            });
        }
        self.position.done(emit, |json| {
            self.write(json, "completed", &self.text, &self.text);
        })
    }

    fn write(&self, json: &mut JsonWriter, status: &str, arguments: &str, input: &str) {
        json.begin_object();
        let kind = match self.tool.kind {
            ToolKind::Function => "function_call",
            ToolKind::Custom => "custom_tool_call",
            ToolKind::ToolSearch => "tool_search_call",
            ToolKind::LocalShell => "local_shell_call",
        };
        json.field_str("type", kind)
            .field_str("id", &self.position.id)
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

/// Whether an upstream that has said all has said a call whole: its arguments are a JSON object, or
/// nothing, or the text of a freeform call.
pub(super) fn is_whole(call: &AssembledCall, tool: &ToolRef) -> bool {
    if call.is_custom || matches!(call.arguments.trim(), "" | "null") {
        return true;
    }
    if tool.kind == ToolKind::Custom {
        let mut decoder = FreeformDecoder::default();
        decoder.push(&call.arguments);
        return decoder.is_complete();
    }
    is_json_object(&StringState::default().escaped(&call.arguments))
}

/// The function's arguments as the action of a shell call.
fn shell_action(arguments: &str) -> String {
    let fields = serde_json::from_str::<Fields<'_>>(arguments).unwrap_or_default();
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
