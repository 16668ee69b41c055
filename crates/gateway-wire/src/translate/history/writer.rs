//! Writes gathered units as the `messages` of a Chat request.

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::contents::ChatContent;
use super::outputs::ToolOutputs;
use super::units::{AssistantTurn, HistoryUnit, Role};
use crate::dialect::{Dialect, EmptyContent, ReasoningEcho, SystemMessages};
use crate::json::raw::Literal;
use crate::json::write::JsonWriter;
use crate::translate::call_ids::{MAX_CHAT_ID, short_call_id};
use crate::translate::placeholders::NO_OUTPUT;
use crate::translate::reasoning::{ReasoningBlob, ReasoningLookup};
use crate::translate::tool_map::mark_of;

/// Stands where an upstream demands reasoning that nobody has any more; upstreams refuse an absent
/// or a made-up one.
const NO_REASONING: &str = " ";

/// Writes messages as one upstream takes them.
pub(super) struct MessageWriter<'w, 'a> {
    pub(super) dialect: &'w Dialect,
    pub(super) lookup: &'w dyn ReasoningLookup,
    pub(super) outputs: &'w ToolOutputs<'a>,
}

impl<'a> MessageWriter<'_, 'a> {
    /// Writes `"messages":[…]`.
    pub(super) fn write(&self, json: &mut JsonWriter, mut units: Vec<HistoryUnit<'a>>) {
        if self.dialect.system_messages == SystemMessages::LeadingOnly {
            merge_system(&mut units);
        }
        json.key("messages").begin_array();
        for unit in &units {
            match unit {
                HistoryUnit::Message(role, contents) => self.write_message(json, *role, contents),
                HistoryUnit::Assistant(turn) => self.write_turn(json, turn),
            }
        }
        json.end_array();
    }

    fn write_message(&self, json: &mut JsonWriter, role: Role, contents: &[ChatContent<'a>]) {
        let role = match role {
            Role::Developer if self.dialect.developer_role => "developer",
            Role::System | Role::Developer => "system",
            Role::User => "user",
        };
        json.begin_object().field_str("role", role).key("content");
        write_contents(json, contents);
        json.end_object();
    }

    fn write_turn(&self, json: &mut JsonWriter, turn: &AssistantTurn<'a>) {
        if turn.text.is_empty() && turn.calls.is_empty() {
            return;
        }
        json.begin_object()
            .field_str("role", "assistant")
            .key("content");
        if turn.text.is_empty() {
            json.raw(match self.dialect.assistant_content {
                EmptyContent::Null => "null",
                EmptyContent::Empty => "\"\"",
            });
        } else {
            json.literal(&Literal::join(&turn.text, r"\n\n"));
        }
        if turn.calls.is_empty() {
            json.end_object();
            return;
        }
        let blobs: Vec<Option<Arc<ReasoningBlob>>> = turn
            .calls
            .iter()
            .map(|call| self.lookup.find(&call.id))
            .collect();
        let calls = turn.calls.iter().zip(&blobs);
        let ids: Vec<Cow<'_, str>> = calls
            .map(|(call, blob)| self.upstream_id(&call.id, blob.as_deref()))
            .collect();
        self.write_reasoning(json, turn, &blobs);
        json.key("tool_calls").begin_array();
        for ((call, blob), id) in turn.calls.iter().zip(&blobs).zip(&ids) {
            json.begin_object()
                .field_str("id", id)
                .field_str("type", "function");
            json.key("function")
                .begin_object()
                .field_str("name", &call.name);
            json.key("arguments").literal(&call.arguments).end_object();
            if let Some(extra) = blob.as_ref().and_then(|blob| blob.extra_content.as_ref())
                && self.dialect.echo_extra_content
            {
                json.field_raw("extra_content", extra);
            }
            json.end_object();
        }
        json.end_array().end_object();
        self.write_outputs(json, turn, &ids);
    }

    /// A call's id as this upstream accepts it.
    fn upstream_id<'i>(&self, id: &'i str, blob: Option<&'i ReasoningBlob>) -> Cow<'i, str> {
        if let Some(own) = blob.and_then(|blob| blob.upstream_id.as_deref()) {
            return Cow::Borrowed(own);
        }
        let is_short = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !self.dialect.short_call_ids || is_short {
            return short_call_id(id, MAX_CHAT_ID);
        }
        Cow::Owned(format!("c{}", mark_of(&Sha256::digest(id))))
    }

    /// Provider reasoning, as kept by call id or else as the client replays it.
    fn write_reasoning(
        &self,
        json: &mut JsonWriter,
        turn: &AssistantTurn<'a>,
        blobs: &[Option<Arc<ReasoningBlob>>],
    ) {
        let kept = |get: fn(&ReasoningBlob) -> Option<&String>| {
            blobs.iter().flatten().find_map(|blob| get(blob))
        };
        let name = match self.dialect.echo_reasoning {
            ReasoningEcho::None => return,
            ReasoningEcho::ReasoningContent => "reasoning_content",
            ReasoningEcho::Reasoning => "reasoning",
            ReasoningEcho::ReasoningDetails => {
                if let Some(details) = kept(|blob| blob.details.as_ref()) {
                    json.field_raw("reasoning_details", details);
                }
                return;
            }
        };
        if let Some(text) = kept(|blob| blob.text.as_ref()) {
            json.field_str(name, text);
        } else if turn.reasoning.is_empty() {
            json.field_str(name, NO_REASONING);
        } else {
            json.key(name)
                .literal(&Literal::join(&turn.reasoning, r"\n\n"));
        }
    }

    /// One tool message for each call, then what tool messages cannot hold.
    fn write_outputs(&self, json: &mut JsonWriter, turn: &AssistantTurn<'a>, ids: &[Cow<'_, str>]) {
        let mut images = Vec::new();
        for (call, id) in turn.calls.iter().zip(ids) {
            json.begin_object()
                .field_str("role", "tool")
                .field_str("tool_call_id", id)
                .key("content");
            match call.output.and_then(|place| self.outputs.get(place)) {
                Some(output) => {
                    json.literal(&output.text);
                    if !output.images.is_empty() {
                        let text = format!("Output of the tool call {}:", call.id);
                        images.push(ChatContent::Text(Literal::plain(&text)));
                        images.extend(output.images.iter().cloned());
                    }
                }
                None => {
                    json.string(NO_OUTPUT);
                }
            }
            json.end_object();
        }
        if !images.is_empty() {
            self.write_message(json, Role::User, &images);
        }
    }
}

/// Joins the leading run of system messages into one; later ones become the user's.
fn merge_system(units: &mut Vec<HistoryUnit<'_>>) {
    let is_system = |unit: &HistoryUnit<'_>| {
        matches!(
            unit,
            HistoryUnit::Message(Role::System | Role::Developer, _)
        )
    };
    let leading = units.iter().take_while(|unit| is_system(unit)).count();
    let mut all = Vec::new();
    for unit in units.drain(..leading) {
        if let HistoryUnit::Message(_, contents) = unit {
            all.extend(contents);
        }
    }
    for unit in units.iter_mut() {
        if let HistoryUnit::Message(role, _) = unit {
            *role = Role::User;
        }
    }
    if leading > 0 {
        units.insert(0, HistoryUnit::Message(Role::System, all));
    }
}

/// A string where there is nothing but text, else parts.
fn write_contents(json: &mut JsonWriter, contents: &[ChatContent<'_>]) {
    let texts: Vec<Literal<'_>> = contents
        .iter()
        .filter_map(|content| match content {
            ChatContent::Text(text) => Some(text.clone()),
            ChatContent::Image { .. } | ChatContent::Audio(_) | ChatContent::File { .. } => None,
        })
        .collect();
    if texts.len() == contents.len() {
        json.literal(&Literal::join(&texts, r"\n\n"));
        return;
    }
    json.begin_array();
    for content in contents {
        json.begin_object();
        match content {
            ChatContent::Text(text) => {
                json.field_str("type", "text").key("text").literal(text);
            }
            ChatContent::Image { url, detail } => {
                json.field_str("type", "image_url")
                    .key("image_url")
                    .begin_object()
                    .key("url")
                    .literal(url);
                if let Some(detail) = detail {
                    json.key("detail").literal(detail);
                }
                json.end_object();
            }
            ChatContent::Audio(audio) => {
                json.field_str("type", "input_audio")
                    .field_raw("input_audio", audio.get());
            }
            ChatContent::File { data, name } => {
                json.field_str("type", "file")
                    .key("file")
                    .begin_object()
                    .key("file_data")
                    .literal(data);
                if let Some(name) = name {
                    json.key("filename").literal(name);
                }
                json.end_object();
            }
        }
        json.end_object();
    }
    json.end_array();
}
