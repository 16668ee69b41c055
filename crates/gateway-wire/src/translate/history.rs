//! The conversation of a Responses request as Chat messages.
//!
//! Chat wants an assistant message with all its calls, followed directly by one tool message for
//! each. Codex sends calls, outputs, reasoning and text as loose items. So outputs are found by
//! call id first, then the items are walked once and gathered into units; a call never goes without
//! an output, an output never without a call.

mod contents;
mod outputs;
mod units;
mod writer;

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::compaction;
use super::error::TranslateError;
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::reasoning::ReasoningLookup;
use super::tool_declarations::ToolDeclarations;
use super::tool_map::{ToolKind, ToolRef};
use crate::dialect::{Dialect, ReasoningEcho};
use crate::json::raw::{Literal, array_of, fields_of, is_json_object, text_of};
use crate::json::write::JsonWriter;
use crate::responses::Item;
use contents::{ChatContent, contents, text_parts};
use units::{AssistantCall, AssistantTurn, HistoryUnit, call_id};
use writer::MessageWriter;

use outputs::ToolOutputs;
pub(crate) use units::Role;

/// Turns items into messages.
pub(crate) struct History<'a, 'c> {
    dialect: &'c Dialect,
    lookup: &'c dyn ReasoningLookup,
    pub(crate) tools: ToolDeclarations,
    pub(crate) losses: Losses,
    units: Vec<HistoryUnit<'a>>,
    open: Option<AssistantTurn<'a>>,
    pending_reasoning: Vec<Literal<'a>>,
    outputs: ToolOutputs<'a>,
    /// Every call id of the history, so that answers do not use one again.
    pub(crate) call_ids: HashSet<String>,
    /// Whether a summary is asked for, not an answer.
    is_summary: bool,
}

impl<'a, 'c> History<'a, 'c> {
    pub(crate) fn new(
        dialect: &'c Dialect,
        lookup: &'c dyn ReasoningLookup,
        losses: Losses,
        is_summary: bool,
    ) -> Self {
        Self {
            dialect,
            lookup,
            tools: ToolDeclarations::default(),
            losses,
            units: Vec::new(),
            open: None,
            pending_reasoning: Vec::new(),
            outputs: ToolOutputs::default(),
            call_ids: HashSet::new(),
            is_summary,
        }
    }

    /// Adds a message of plain text.
    pub(crate) fn say(&mut self, role: Role, text: Literal<'a>) {
        self.message(role, vec![ChatContent::Text(text)]);
    }

    /// Reads items. The tools of the request must have been declared before.
    pub(crate) fn read(&mut self, items: &[Item<'a>]) -> Result<(), TranslateError> {
        for (index, item) in items.iter().enumerate() {
            self.gather(index, item)?;
        }
        for (index, item) in items.iter().enumerate() {
            self.item(index, item)?;
        }
        self.close();
        Ok(())
    }

    /// Writes `"messages":[…]`.
    pub(crate) fn write(&mut self, json: &mut JsonWriter) {
        let units = std::mem::take(&mut self.units);
        let writer = MessageWriter {
            dialect: self.dialect,
            lookup: self.lookup,
            outputs: &self.outputs,
        };
        writer.write(json, units);
    }

    /// First pass: tools that items declare, and outputs by call id.
    fn gather(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        match item.kind() {
            "additional_tools" => {
                self.declare(item.tools, &format!("input[{index}].tools"))?;
            }
            "tool_search_output" => {
                let found = self.declare(item.tools, &format!("input[{index}].tools"))?;
                self.outputs.found_tools(index, item, &found);
            }
            "function_call_output" | "custom_tool_call_output" | "local_shell_call_output" => {
                self.outputs
                    .read(index, item, self.dialect, &mut self.losses)?;
            }
            kind if is_client_call(kind) => self.outputs.expect(&call_id(index, item)),
            _ => {}
        }
        Ok(())
    }

    /// Declares an array of tools. Those of a request for a summary are not offered, so nothing of
    /// them can be lost; their names still stand for the calls of the history.
    pub(crate) fn declare(
        &mut self,
        tools: Option<&RawValue>,
        path: &str,
    ) -> Result<Vec<String>, TranslateError> {
        let mut unheard = Losses::default();
        let mut found = Vec::new();
        for (n, tool) in tools
            .and_then(array_of)
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            let losses = if self.is_summary {
                &mut unheard
            } else {
                &mut self.losses
            };
            found.extend(self.tools.declare(
                tool,
                &format!("{path}[{n}]"),
                self.dialect,
                losses,
            )?);
        }
        Ok(found)
    }

    /// Second pass: one item.
    fn item(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        match item.kind() {
            "message" => self.message_item(index, item),
            "additional_tools" | "compaction_trigger" => Ok(()),
            "reasoning" => self.reasoning(index, item),
            kind if is_client_call(kind) => self.call(index, item),
            "function_call_output"
            | "custom_tool_call_output"
            | "tool_search_output"
            | "local_shell_call_output" => self.output(index),
            "compaction" | "compaction_summary" | "context_compaction" => {
                self.compaction(index, item)
            }
            "item_reference" => Err(TranslateError::unsupported(
                format!("input[{index}]"),
                "it refers to an item that another service stored; send the item itself",
            )),
            other
                if other.ends_with("_call")
                    || other.ends_with("_call_output")
                    || other.starts_with("mcp_") =>
            {
                self.losses
                    .note(LossKind::HostedCall, format!("input[{index}]"))
            }
            _ => self.unknown_item(index, item),
        }
    }

    fn message_item(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        let role = match item.role.as_ref().map_or("user", |role| &role.0) {
            "assistant" => {
                let texts = self.assistant_text(index, item)?;
                self.assistant().text.extend(texts);
                return Ok(());
            }
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            other => {
                let problem = format!("unknown role `{other}`");
                return Err(TranslateError::malformed(
                    format!("input[{index}].role"),
                    problem,
                ));
            }
        };
        let path = format!("input[{index}].content");
        let content = contents(&path, item.content, self.dialect, &mut self.losses)?;
        self.message(role, content);
        Ok(())
    }

    /// A kind that nobody knows: its text is carried, the rest is lost.
    fn unknown_item(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        self.losses
            .note(LossKind::UnknownItem, format!("input[{index}]"))?;
        let texts: Vec<_> = item
            .content
            .map(|content| {
                text_parts(content)
                    .into_iter()
                    .map(ChatContent::Text)
                    .collect()
            })
            .unwrap_or_default();
        if !texts.is_empty() {
            self.message(Role::User, texts);
        }
        Ok(())
    }

    fn message(&mut self, role: Role, content: Vec<ChatContent<'a>>) {
        self.close();
        self.drop_reasoning();
        self.units.push(HistoryUnit::Message(role, content));
    }

    /// The assistant message that is being gathered; a new one when the last got its outputs.
    fn assistant(&mut self) -> &mut AssistantTurn<'a> {
        if self
            .open
            .as_ref()
            .is_some_and(|turn| turn.answered > 0 && turn.answered >= turn.calls.len())
        {
            self.close();
        }
        let mut pending = std::mem::take(&mut self.pending_reasoning);
        let turn = self.open.get_or_insert_default();
        turn.reasoning.append(&mut pending);
        turn
    }

    fn close(&mut self) {
        if let Some(turn) = self.open.take() {
            self.units.push(HistoryUnit::Assistant(turn));
        }
    }

    /// Reasoning that no assistant message follows is of no use to the model.
    fn drop_reasoning(&mut self) {
        self.pending_reasoning.clear();
    }

    fn reasoning(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        let mut texts = item.content.map(text_parts).unwrap_or_default();
        if texts.is_empty() {
            texts = item.summary.map(text_parts).unwrap_or_default();
        }
        let is_opaque = item
            .encrypted_content
            .is_some_and(|content| content.get() != "\"\"");
        if is_opaque || (self.dialect.echo_reasoning == ReasoningEcho::None && !texts.is_empty()) {
            self.losses
                .note(LossKind::Reasoning, format!("input[{index}]"))?;
        }
        if self.open.as_ref().is_some_and(|turn| turn.answered > 0) {
            self.close();
        }
        if let Some(turn) = &mut self.open {
            turn.reasoning.extend(texts);
        } else {
            self.pending_reasoning.extend(texts);
        }
        Ok(())
    }

    fn call(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        let kind = match item.kind() {
            "custom_tool_call" => ToolKind::Custom,
            "tool_search_call" => ToolKind::ToolSearch,
            "local_shell_call" => ToolKind::LocalShell,
            _ => ToolKind::Function,
        };
        let name = match kind {
            ToolKind::Function | ToolKind::Custom => item.name.as_ref().map_or("", |name| &name.0),
            ToolKind::ToolSearch => "tool_search",
            ToolKind::LocalShell => "local_shell",
        };
        let name = if name.is_empty() {
            "unknown_tool"
        } else {
            name
        };
        let namespace = item
            .namespace
            .as_ref()
            .map(|namespace| namespace.0.to_string());
        let name = self.tools.map.add(ToolRef {
            kind,
            name: name.to_owned(),
            namespace,
        });
        let arguments = match kind {
            ToolKind::Function | ToolKind::ToolSearch => self.arguments(index, item.arguments)?,
            ToolKind::Custom => wrapped_input(item.input),
            ToolKind::LocalShell => shell_arguments(item.action),
        };
        let id = call_id(index, item);
        self.call_ids.insert(id.clone().into_owned());
        let output = self.outputs.take(&id);
        if output.is_none() {
            self.losses
                .note(LossKind::MissingOutput, format!("input[{index}]"))?;
        }
        self.assistant().calls.push(AssistantCall {
            id,
            name,
            arguments,
            output,
        });
        Ok(())
    }

    /// Arguments as the literal of a JSON object's text.
    fn arguments(
        &mut self,
        index: usize,
        raw: Option<&'a RawValue>,
    ) -> Result<Literal<'a>, TranslateError> {
        let Some(raw) = raw else {
            return Ok(Literal::plain("{}"));
        };
        let Some(literal) = Literal::of(raw) else {
            // An object in place of its text.
            return Ok(Literal::plain(raw.get()));
        };
        let text = literal.clone().decode();
        if text.trim().is_empty() {
            return Ok(Literal::plain("{}"));
        }
        if is_json_object(&text) {
            return Ok(literal);
        }
        // Most upstreams refuse a history with broken arguments, at every further turn.
        self.losses
            .note(LossKind::CallArguments, format!("input[{index}].arguments"))?;
        let mut json = JsonWriter::default();
        json.begin_object()
            .field_str("invalid_arguments", &text)
            .end_object();
        Ok(Literal::plain(&String::from_utf8_lossy(&json.out)))
    }

    fn output(&mut self, index: usize) -> Result<(), TranslateError> {
        if let Some(orphan) = self.outputs.take_orphan(index) {
            self.losses
                .note(LossKind::OrphanOutput, format!("input[{index}]"))?;
            let mut content = vec![ChatContent::Text(
                orphan.text.prefixed(r"Output of an earlier tool call:\n"),
            )];
            content.extend(orphan.images);
            self.message(Role::User, content);
            return Ok(());
        }
        if let Some(turn) = &mut self.open {
            let at = self.outputs.at(index);
            if turn
                .calls
                .iter()
                .any(|call| call.output.is_some() && call.output == at)
            {
                turn.answered += 1;
            }
        }
        Ok(())
    }

    fn assistant_text(
        &mut self,
        index: usize,
        item: &Item<'a>,
    ) -> Result<Vec<Literal<'a>>, TranslateError> {
        let path = format!("input[{index}].content");
        let mut texts = Vec::new();
        for content in contents(&path, item.content, self.dialect, &mut self.losses)? {
            match content {
                ChatContent::Text(text) => texts.push(text),
                ChatContent::Image { .. } => self.losses.note(LossKind::Image, path.clone())?,
                ChatContent::Audio(_) => self.losses.note(LossKind::Audio, path.clone())?,
                ChatContent::File { .. } => self.losses.note(LossKind::File, path.clone())?,
            }
        }
        texts.retain(|text| !text.is_empty());
        Ok(texts)
    }

    fn compaction(&mut self, index: usize, item: &Item<'a>) -> Result<(), TranslateError> {
        let summary = item
            .encrypted_content
            .and_then(text_of)
            .and_then(|blob| compaction::unwrap(&blob));
        let Some(summary) = summary else {
            return Err(TranslateError::unsupported(
                format!("input[{index}]"),
                "this conversation was compacted by another service, and only that service can \
                 read the result; use the model that compacted it again, or start a new \
                 conversation",
            ));
        };
        self.say(Role::User, Literal::plain(&compaction::note(&summary)));
        Ok(())
    }
}

/// CallAssembler that the client itself answers.
fn is_client_call(kind: &str) -> bool {
    matches!(
        kind,
        "function_call" | "custom_tool_call" | "tool_search_call" | "local_shell_call"
    )
}

/// The raw text of a freeform call as arguments of its function.
fn wrapped_input(input: Option<&RawValue>) -> Literal<'static> {
    let inside = input.map_or("\"\"", |input| {
        if Literal::of(input).is_some() {
            input.get()
        } else {
            "\"\""
        }
    });
    Literal::plain(&format!("{{\"input\":{inside}}}"))
}

/// The action of a shell call as arguments of its function.
fn shell_arguments(action: Option<&RawValue>) -> Literal<'static> {
    let mut json = JsonWriter::default();
    json.begin_object();
    let action = action.and_then(fields_of).unwrap_or_default();
    for name in ["command", "working_directory", "timeout_ms"] {
        if let Some(value) = action.get(name) {
            json.field_raw(name, value.get());
        }
    }
    json.end_object();
    Literal::plain(&String::from_utf8_lossy(&json.out))
}
