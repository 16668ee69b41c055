//! Chat messages as Responses items. A call is always followed by its output, and no output stands
//! without its call.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::content::{ContentWriter, write_text};
use super::tool_messages::ToolMessages;
use crate::chat::{Message, ToolCall};
use crate::json::raw::{Literal, text_of};
use crate::json::write::JsonWriter;
use crate::translate::call_ids::{MAX_RESPONSES_ID, short_call_id};
use crate::translate::chat_content::{ContentPiece, TextKind, pieces_of};
use crate::translate::context::TranslationContext;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::placeholders::{NO_OUTPUT, ORPHAN_OUTPUT};

/// Why the old form of tools is refused: its answers would have to come in the old form too.
pub(super) const OLD_FUNCTIONS: &str =
    "`functions` and `function_call` are the old form of tools; send `tools` and `tool_choice`";

/// The messages of a request.
pub(super) struct Messages<'a> {
    list: Vec<Message<'a>>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(list: Vec<Message<'a>>) -> Self {
        Self { list }
    }

    /// How many messages at the start are the operator's.
    pub(super) fn leading_system(&self) -> usize {
        self.list
            .iter()
            .take_while(|message| matches!(role(message), "system" | "developer"))
            .count()
    }

    /// The texts of the first messages in one.
    pub(super) fn instructions(&self, lead: usize) -> Literal<'a> {
        let texts: Vec<_> = self
            .list
            .iter()
            .take(lead)
            .filter_map(|message| message.content)
            .filter_map(|content| pieces_of(content, TextKind::Text))
            .flatten()
            .filter_map(|piece| match piece {
                ContentPiece::Text(text) => Some(text),
                ContentPiece::Reasoning(_) | ContentPiece::Refusal(_) | ContentPiece::Lost(_) => {
                    None
                }
            })
            .collect();
        Literal::join(&texts, r"\n\n")
    }

    /// Writes `"input":[…`, without the first `lead` messages. The array stays open.
    pub(super) fn write(
        &self,
        json: &mut JsonWriter,
        lead: usize,
        context: &TranslationContext<'_>,
        losses: &mut Losses,
    ) -> Result<(), TranslateError> {
        let mut writer = ItemWriter {
            outputs: ToolMessages::new(&self.list, lead),
            messages: &self.list,
            context,
            losses,
        };
        json.key("input").begin_array();
        for (index, message) in self.list.iter().enumerate().skip(lead) {
            writer.message(json, index, message)?;
        }
        Ok(())
    }
}

/// Writes a message of the gateway's own.
pub(super) fn write_reminder(json: &mut JsonWriter, text: &str) {
    open_message(json, "developer");
    write_text(json, &Literal::plain(text));
    json.end_array().end_object();
}

/// Writes the items of one request.
struct ItemWriter<'w, 'a> {
    outputs: ToolMessages<'a>,
    messages: &'w [Message<'a>],
    context: &'w TranslationContext<'w>,
    losses: &'w mut Losses,
}

impl<'a> ItemWriter<'_, 'a> {
    fn message(
        &mut self,
        json: &mut JsonWriter,
        index: usize,
        message: &Message<'a>,
    ) -> Result<(), TranslateError> {
        let path = format!("messages[{index}]");
        match role(message) {
            "assistant" => self.assistant(json, message, &path),
            "tool" if self.outputs.is_claimed(index) => Ok(()),
            "tool" => {
                self.losses.note(LossKind::OrphanOutput, path.clone())?;
                open_message(json, "user");
                write_text(json, &Literal::plain(ORPHAN_OUTPUT));
                self.content(json, &path, message.content)
            }
            role @ ("user" | "system" | "developer") => {
                if message.name.is_some() {
                    self.losses
                        .note(LossKind::Parameter, format!("{path}.name"))?;
                }
                let role = if role == "system" && !self.context.dialect.system_in_input {
                    "developer"
                } else {
                    role
                };
                open_message(json, role);
                self.content(json, &path, message.content)
            }
            other => Err(TranslateError::malformed(
                format!("{path}.role"),
                format!("unknown role `{other}`"),
            )),
        }
    }

    /// Writes the rest of a message that was opened.
    fn content(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        content: Option<&RawValue>,
    ) -> Result<(), TranslateError> {
        self.parts(json, &format!("{path}.content"), content)?;
        json.end_array().end_object();
        Ok(())
    }

    fn parts(
        &mut self,
        json: &mut JsonWriter,
        path: &str,
        content: Option<&RawValue>,
    ) -> Result<(), TranslateError> {
        let mut writer = ContentWriter {
            dialect: self.context.dialect,
            losses: self.losses,
        };
        writer.write(json, path, content)
    }

    fn assistant(
        &mut self,
        json: &mut JsonWriter,
        message: &Message<'a>,
        path: &str,
    ) -> Result<(), TranslateError> {
        if message.function_call.is_some() {
            return Err(TranslateError::unsupported(
                format!("{path}.function_call"),
                OLD_FUNCTIONS,
            ));
        }
        if message.audio.is_some() {
            self.losses.note(LossKind::Audio, format!("{path}.audio"))?;
        }
        let calls = message.tool_calls.as_deref().unwrap_or_default();
        self.reasoning(json, message, calls, path)?;
        self.assistant_text(json, message, path)?;
        let mut written = Vec::with_capacity(calls.len());
        for (n, call) in calls.iter().enumerate() {
            let path = format!("{path}.tool_calls[{n}]");
            let id = call.id.and_then(text_of).filter(|id| !id.is_empty());
            let id = id.unwrap_or_else(|| Cow::Owned(path.replace(['[', ']', '.'], "_")));
            if !write_call(json, call, &short_call_id(&id, MAX_RESPONSES_ID)) {
                return Err(TranslateError::malformed(
                    path,
                    "a call needs `function` or `custom` with a name",
                ));
            }
            written.push((id, call.custom.is_some(), path));
        }
        for (id, is_custom, path) in written {
            self.output(json, &id, is_custom, path)?;
        }
        Ok(())
    }

    /// Text and refusal of an assistant message: a string where there is nothing else, the one form
    /// of an earlier answer that needs no id of an upstream.
    fn assistant_text(
        &mut self,
        json: &mut JsonWriter,
        message: &Message<'a>,
        path: &str,
    ) -> Result<(), TranslateError> {
        let (mut texts, mut refusals) = (Vec::new(), Vec::new());
        for (raw, kind) in [
            (message.content, TextKind::Text),
            (message.refusal, TextKind::Refusal),
        ] {
            let Some(raw) = raw else { continue };
            let Some(pieces) = pieces_of(raw, kind) else {
                let path = format!("{path}.content");
                return Err(TranslateError::malformed(path, "its text cannot be read"));
            };
            for piece in pieces {
                match piece {
                    ContentPiece::Text(text) => texts.push(text),
                    ContentPiece::Refusal(text) => refusals.push(text),
                    ContentPiece::Reasoning(_) => self
                        .losses
                        .note(LossKind::Reasoning, format!("{path}.content"))?,
                    ContentPiece::Lost(loss) => {
                        self.losses.note(loss, format!("{path}.content"))?;
                    }
                }
            }
        }
        if texts.is_empty() && refusals.is_empty() {
            return Ok(());
        }
        json.begin_object()
            .field_str("type", "message")
            .field_str("role", "assistant")
            .key("content");
        if refusals.is_empty() {
            json.literal(&Literal::join(&texts, r"\n\n")).end_object();
            return Ok(());
        }
        json.begin_array();
        for text in &texts {
            json.begin_object()
                .field_str("type", "output_text")
                .key("text")
                .literal(text)
                .field_raw("annotations", "[]")
                .end_object();
        }
        for refusal in &refusals {
            json.begin_object()
                .field_str("type", "refusal")
                .key("refusal")
                .literal(refusal)
                .end_object();
        }
        json.end_array().end_object();
        Ok(())
    }

    /// Reasoning items that came with the message's calls; text alone is nothing that a Responses
    /// upstream accepts back.
    fn reasoning(
        &mut self,
        json: &mut JsonWriter,
        message: &Message<'_>,
        calls: &[ToolCall<'_>],
        path: &str,
    ) -> Result<(), TranslateError> {
        let kept = calls
            .iter()
            .filter_map(|call| call.id.and_then(text_of))
            .find_map(|id| self.context.reasoning.find(&id));
        let items = kept
            .as_ref()
            .map(|blob| blob.items.as_slice())
            .unwrap_or_default();
        for item in items {
            json.raw(item);
        }
        if items.is_empty() && (message.reasoning_content.is_some() || message.reasoning.is_some())
        {
            self.losses.note(LossKind::Reasoning, path)?;
        }
        Ok(())
    }

    /// Writes the output of a call.
    fn output(
        &mut self,
        json: &mut JsonWriter,
        id: &str,
        is_custom: bool,
        path: String,
    ) -> Result<(), TranslateError> {
        let kind = if is_custom {
            "custom_tool_call_output"
        } else {
            "function_call_output"
        };
        json.begin_object()
            .field_str("type", kind)
            .field_str("call_id", &short_call_id(id, MAX_RESPONSES_ID))
            .key("output");
        let place = self.outputs.take(id);
        if let Some(output) = place.and_then(|place| self.messages.get(place)) {
            self.output_content(json, output.content, &path)?;
        } else {
            self.losses.note(LossKind::MissingOutput, path)?;
            json.string(NO_OUTPUT);
        }
        json.end_object();
        Ok(())
    }

    fn output_content(
        &mut self,
        json: &mut JsonWriter,
        content: Option<&RawValue>,
        path: &str,
    ) -> Result<(), TranslateError> {
        match content {
            Some(content) if content.get().starts_with('[') => {
                json.begin_array();
                self.parts(json, path, Some(content))?;
                json.end_array();
            }
            Some(content) => {
                let text = Literal::of(content).unwrap_or_else(|| Literal::plain(content.get()));
                json.literal(&text);
            }
            None => {
                json.string("");
            }
        }
        Ok(())
    }
}

pub(super) fn role<'m>(message: &'m Message<'_>) -> &'m str {
    message.role.as_ref().map_or("", |role| &role.0)
}

fn open_message(json: &mut JsonWriter, role: &str) {
    json.begin_object()
        .field_str("type", "message")
        .field_str("role", role)
        .key("content")
        .begin_array();
}

/// Writes one call item. False when it names no tool.
fn write_call(json: &mut JsonWriter, call: &ToolCall<'_>, id: &str) -> bool {
    if let Some(custom) = &call.custom {
        let Some(name) = &custom.name else {
            return false;
        };
        json.begin_object()
            .field_str("type", "custom_tool_call")
            .field_str("call_id", id);
        json.field_str("name", &name.0).key("input");
        json.literal(
            &custom
                .input
                .and_then(Literal::of)
                .unwrap_or_else(|| Literal::plain("")),
        )
        .end_object();
        return true;
    }
    let Some(function) = &call.function else {
        return false;
    };
    let Some(name) = function.name.as_ref().filter(|name| !name.0.is_empty()) else {
        return false;
    };
    json.begin_object()
        .field_str("type", "function_call")
        .field_str("call_id", id);
    json.field_str("name", &name.0).key("arguments");
    match function.arguments {
        Some(raw) => match Literal::of(raw).filter(|text| !text.is_empty()) {
            Some(text) => json.literal(&text),
            None if raw.get() == "\"\"" => json.string("{}"),
            None => json.string(raw.get()),
        },
        None => json.string("{}"),
    };
    json.end_object();
    true
}
