//! The tools of a Responses request, declared as Chat functions.

use serde_json::value::RawValue;

use super::error::TranslateError;
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::schema;
use super::tool_map::{ToolKind, ToolMap, ToolRef};
use crate::dialect::Dialect;
use crate::json::raw::{Fields, Literal, fields_of};
use crate::json::write::JsonWriter;

/// A tool as the Chat upstream sees it.
#[derive(Debug)]
struct Declared {
    chat: String,
    json: Vec<u8>,
}

/// The tools of one request: the map and the declarations.
#[derive(Debug, Default)]
pub(crate) struct ToolDeclarations {
    pub(crate) map: ToolMap,
    declared: Vec<Declared>,
    hosted: Vec<String>,
}

impl ToolDeclarations {
    /// Reads one element of a `tools` array.
    pub(crate) fn declare(
        &mut self,
        raw: &RawValue,
        path: &str,
        dialect: &Dialect,
        losses: &mut Losses,
    ) -> Result<Vec<String>, TranslateError> {
        let Some(tool) = fields_of(raw) else {
            return Err(TranslateError::malformed(path, "a tool must be an object"));
        };
        let mut added = Vec::new();
        if tool.text("type").as_deref() == Some("namespace") {
            let namespace = tool.text("name").unwrap_or_default().into_owned();
            for (index, inner) in tool
                .array("tools")
                .unwrap_or_default()
                .into_iter()
                .enumerate()
            {
                let path = format!("{path}.tools[{index}]");
                let Some(inner) = fields_of(inner) else {
                    return Err(TranslateError::malformed(path, "a tool must be an object"));
                };
                added.extend(self.declare_one(&inner, Some(&namespace), &path, dialect, losses)?);
            }
        } else {
            added.extend(self.declare_one(&tool, None, path, dialect, losses)?);
        }
        Ok(added)
    }

    fn declare_one(
        &mut self,
        tool: &Fields<'_>,
        namespace: Option<&str>,
        path: &str,
        dialect: &Dialect,
        losses: &mut Losses,
    ) -> Result<Option<String>, TranslateError> {
        let kind = tool.text("type").unwrap_or_default();
        let own = match &*kind {
            "function" => ToolKind::Function,
            "custom" => ToolKind::Custom,
            "tool_search" if tool.text("execution").as_deref() == Some("client") => {
                ToolKind::ToolSearch
            }
            "local_shell" => ToolKind::LocalShell,
            other => {
                self.hosted.push(other.to_owned());
                losses.note(
                    if is_hosted(other) {
                        LossKind::HostedTool
                    } else {
                        LossKind::UnknownTool
                    },
                    path,
                )?;
                return Ok(None);
            }
        };
        let name = match own {
            ToolKind::Function | ToolKind::Custom => {
                tool.text("name").unwrap_or_default().into_owned()
            }
            ToolKind::ToolSearch | ToolKind::LocalShell => kind.into_owned(),
        };
        if name.is_empty() {
            losses.note(LossKind::UnknownTool, path)?;
            return Ok(None);
        }
        let chat = self.map.add(ToolRef {
            kind: own,
            name,
            namespace: namespace.map(str::to_owned),
        });
        if self.declared.iter().any(|known| known.chat == chat) {
            return Ok(Some(chat));
        }
        let json = match own {
            ToolKind::Function | ToolKind::ToolSearch => {
                function_json(&chat, tool, path, dialect, losses)?
            }
            ToolKind::Custom => custom_json(&chat, tool, path, losses)?,
            ToolKind::LocalShell => local_shell_json(&chat),
        };
        self.declared.push(Declared {
            chat: chat.clone(),
            json,
        });
        Ok(Some(chat))
    }

    /// Whether a hosted tool of that type was dropped.
    pub(crate) fn dropped(&self, kind: &str) -> bool {
        is_hosted(kind) || self.hosted.iter().any(|dropped| dropped == kind)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Whether a tool of that Chat name is offered.
    pub(crate) fn offers(&self, chat: &str) -> bool {
        self.declared.iter().any(|tool| tool.chat == chat)
    }

    /// Offers no other tools than these.
    pub(crate) fn keep_only(&mut self, chat_names: &[String]) {
        self.declared.retain(|tool| chat_names.contains(&tool.chat));
    }

    /// Writes the array.
    pub(crate) fn write(&self, json: &mut JsonWriter) {
        json.key("tools").begin_array();
        for tool in &self.declared {
            json.raw(std::str::from_utf8(&tool.json).unwrap_or("{}"));
        }
        json.end_array();
    }
}

/// ToolDeclarations that the upstream's own service runs.
fn is_hosted(kind: &str) -> bool {
    [
        "web_search",
        "image_generation",
        "file_search",
        "code_interpreter",
        "computer",
        "mcp",
        "tool_search",
    ]
    .iter()
    .any(|hosted| kind.starts_with(hosted))
}

fn open_function(chat: &str) -> JsonWriter {
    let mut json = JsonWriter::default();
    json.begin_object()
        .field_str("type", "function")
        .key("function")
        .begin_object()
        .field_str("name", chat);
    json
}

fn close_function(mut json: JsonWriter) -> Vec<u8> {
    json.end_object().end_object();
    json.out
}

fn function_json(
    chat: &str,
    tool: &Fields<'_>,
    path: &str,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<Vec<u8>, TranslateError> {
    let mut json = open_function(chat);
    if let Some(description) = tool.literal("description").filter(|text| !text.is_empty()) {
        json.key("description").literal(&description);
    }
    let parameters = tool.get("parameters").map_or("{}", RawValue::get);
    let fitted = schema::fit_parameters(parameters, dialect);
    if matches!(fitted, schema::Fitted::Simplified(_)) {
        losses.note(LossKind::ToolSchema, format!("{path}.parameters"))?;
    }
    json.field_raw("parameters", fitted.as_str());
    if let Some(strict) = tool.flag("strict").filter(|_| dialect.strict_tools) {
        json.field_flag("strict", strict);
    }
    Ok(close_function(json))
}

fn custom_json(
    chat: &str,
    tool: &Fields<'_>,
    path: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, TranslateError> {
    let mut json = open_function(chat);
    let mut description = vec![];
    description.extend(tool.literal("description").filter(|text| !text.is_empty()));
    description.push(Literal::plain(
        "Give the complete raw text of the call as the string property `input`, without code \
         fences and without JSON inside.",
    ));
    if let Some(format) = tool
        .object("format")
        .filter(|format| format.text("type").as_deref() == Some("grammar"))
    {
        losses.note(LossKind::ToolGrammar, format!("{path}.format"))?;
        let syntax = format.text("syntax").unwrap_or_default().into_owned();
        description.push(Literal::plain(&format!(
            "`input` must follow this grammar ({syntax}):"
        )));
        description.extend(format.literal("definition"));
    }
    json.key("description")
        .literal(&Literal::join(&description, r"\n\n"));
    json.field_raw(
        "parameters",
        r#"{"type":"object","properties":{"input":{"type":"string","description":"The raw text of the call."}},"required":["input"],"additionalProperties":false}"#,
    );
    Ok(close_function(json))
}

fn local_shell_json(chat: &str) -> Vec<u8> {
    let mut json = open_function(chat);
    json.field_str(
        "description",
        "Runs a command on the user's machine and returns its output.",
    );
    json.field_raw(
        "parameters",
        r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"}},"required":["command"]}"#,
    );
    close_function(json)
}

#[cfg(test)]
mod tests;
