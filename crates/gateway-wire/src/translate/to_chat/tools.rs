//! The tools of a Responses request and the choice among them, as Chat has them.

use std::borrow::Cow;

use crate::dialect::{Dialect, ParallelCalls, ToolChoice};
use crate::json::raw::{Fields, array_of, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::tool_declarations::ToolDeclarations;

/// Writes the tools, the choice among them and whether several may be called at once. Nothing where
/// there are none: several upstreams refuse a choice without tools.
pub(super) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    tools: &mut ToolDeclarations,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let choice = read_choice(fields, tools)?;
    // Offering no tools says `none` to an upstream that takes no choice.
    let is_none = matches!(&choice, ToolSelection::Mode(mode) if mode == "none");
    if tools.is_empty() || (is_none && dialect.tool_choice != ToolChoice::Any) {
        return Ok(());
    }
    tools.write(json);
    let is_auto = matches!(choice, ToolSelection::Mode(ref mode) if mode == "auto");
    match (dialect.tool_choice, choice) {
        (ToolChoice::Any, ToolSelection::Mode(mode)) => {
            json.field_str("tool_choice", &mode);
        }
        (ToolChoice::Any, ToolSelection::Tool(name)) => {
            json.key("tool_choice")
                .begin_object()
                .field_str("type", "function");
            json.key("function")
                .begin_object()
                .field_str("name", &name)
                .end_object()
                .end_object();
        }
        (ToolChoice::AutoOnly, _) if is_auto => {
            json.field_str("tool_choice", "auto");
        }
        (ToolChoice::Omit, _) if is_auto => {}
        (ToolChoice::AutoOnly | ToolChoice::Omit, _) => {
            losses.note(LossKind::ToolChoice, "tool_choice")?;
        }
    }
    match dialect.parallel_tool_calls {
        ParallelCalls::Send => {
            if let Some(parallel) = fields.flag("parallel_tool_calls") {
                json.field_flag("parallel_tool_calls", parallel);
            }
        }
        ParallelCalls::Omit => {}
        ParallelCalls::One => {
            json.field_flag("parallel_tool_calls", false);
        }
    }
    Ok(())
}

enum ToolSelection {
    /// `auto`, `none` or `required`.
    Mode(String),
    /// This one, by its Chat name.
    Tool(String),
}

fn read_choice(
    fields: &Fields<'_>,
    tools: &mut ToolDeclarations,
) -> Result<ToolSelection, TranslateError> {
    let Some(raw) = fields.get("tool_choice") else {
        return Ok(ToolSelection::Mode("auto".to_owned()));
    };
    if let Some(mode) = text_of(raw) {
        if mode == "required" && tools.is_empty() {
            return Err(TranslateError::unsupported(
                "tool_choice",
                "a tool call is required, but none of the tools can be called on this endpoint",
            ));
        }
        return Ok(ToolSelection::Mode(mode.into_owned()));
    }
    let Some(choice) = fields_of(raw) else {
        return Err(TranslateError::malformed(
            "tool_choice",
            "it must be a string or an object",
        ));
    };
    let kind = choice.text("type").unwrap_or_default();
    if kind == "allowed_tools" {
        let allowed: Vec<String> = choice
            .get("tools")
            .and_then(array_of)
            .unwrap_or_default()
            .into_iter()
            .filter_map(fields_of)
            .filter_map(|tool| chosen(&tool, tools))
            .collect();
        tools.keep_only(&allowed);
        return Ok(ToolSelection::Mode(
            choice
                .text("mode")
                .unwrap_or(Cow::Borrowed("auto"))
                .into_owned(),
        ));
    }
    match chosen(&choice, tools) {
        Some(name) => Ok(ToolSelection::Tool(name)),
        None if tools.dropped(&kind) => Err(TranslateError::unsupported(
            "tool_choice",
            "it requires a tool that only its own service runs; use a model of that service, or \
             let the model choose",
        )),
        None => Err(TranslateError::malformed(
            "tool_choice",
            "it names a tool that is not in the request",
        )),
    }
}

/// The Chat name of the tool that a choice means, when it is offered.
fn chosen(choice: &Fields<'_>, tools: &ToolDeclarations) -> Option<String> {
    let kind = choice.text("type").unwrap_or_default();
    let name = match &*kind {
        "function" | "custom" => choice.text("name")?,
        "tool_search" | "local_shell" => kind,
        _ => return None,
    };
    let chat = tools
        .map
        .chat_name(choice.text("namespace").as_deref(), &name)?;
    tools.offers(chat).then(|| chat.to_owned())
}
