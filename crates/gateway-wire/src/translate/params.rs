//! Request parameters of Responses as those of Chat, each by the dialect's flags.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::error::TranslateError;
use super::loss_kind::LossKind;
use super::losses::Losses;
use super::tool_declarations::Tools;
use crate::dialect::{
    Dialect, EffortField, MaxTokensField, ParallelCalls, ResponseFormat, Thinking, ToolChoice,
};
use crate::json::raw::{Fields, Literal, array_of, fields_of, text_of};
use crate::json::write::JsonWriter;

/// Fields that are read elsewhere, or that mean nothing to another upstream: names, caches,
/// bookkeeping of the client.
const SILENT: &[&str] = &[
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "stream",
    "stream_options",
    "include",
    "client_metadata",
    "type",
    "generate",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "access_programs",
    "max_tool_calls",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "service_tier",
    "store",
    "metadata",
    "safety_identifier",
    "user",
    "truncation",
];

/// Refuses what only the upstream that made it can know.
pub(crate) fn refuse_stored(fields: &Fields<'_>) -> Result<(), TranslateError> {
    if let Some(id) = fields.text("previous_response_id") {
        return Err(TranslateError::PreviousResponse {
            id: id.into_owned(),
        });
    }
    for (name, why) in [
        (
            "prompt",
            "stored prompts belong to the service that holds them; send the instructions themselves",
        ),
        (
            "conversation",
            "stored conversations belong to the service that holds them; send the messages in `input`",
        ),
    ] {
        if fields.get(name).is_some() {
            return Err(TranslateError::unsupported(name, why));
        }
    }
    if fields.flag("background") == Some(true) {
        return Err(TranslateError::unsupported(
            "background",
            "answers cannot be fetched later; leave it out",
        ));
    }
    Ok(())
}

/// Structured output as instructions, for upstreams that take no schema. Returns the text to say.
pub(crate) fn schema_as_text(
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<Option<String>, TranslateError> {
    let Some(format) = fields.object("text").and_then(|text| text.object("format")) else {
        return Ok(None);
    };
    let kind = format.text("type").unwrap_or_default();
    let is_lost = match dialect.response_format {
        ResponseFormat::JsonSchema => false,
        ResponseFormat::JsonObject => kind == "json_schema",
        ResponseFormat::Omit => kind == "json_schema" || kind == "json_object",
    };
    if !is_lost {
        return Ok(None);
    }
    losses.note(LossKind::StructuredOutput, "text.format")?;
    let schema = format.get("schema").map_or("", RawValue::get);
    Ok(Some(if schema.is_empty() {
        "Answer with one JSON object and nothing else.".to_owned()
    } else {
        format!(
            "Answer with one JSON object and nothing else. It must fit this JSON schema:\n{schema}"
        )
    }))
}

/// Writes what shapes an answer and a summary alike.
pub(crate) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    write_limit(json, fields, dialect, losses)?;
    for (name, is_taken) in [
        ("temperature", dialect.temperature),
        ("top_p", dialect.top_p),
    ] {
        copy(json, fields, name, is_taken, LossKind::Sampling, losses)?;
    }
    write_logprobs(json, fields, dialect, losses)?;
    write_effort(json, fields, dialect, losses)?;
    let tier_matters = fields
        .text("service_tier")
        .is_some_and(|tier| !matches!(&*tier, "auto" | "default"));
    if tier_matters || dialect.service_tier {
        copy(
            json,
            fields,
            "service_tier",
            dialect.service_tier,
            LossKind::ServiceTier,
            losses,
        )?;
    }
    for (name, is_taken) in [
        ("prompt_cache_key", dialect.prompt_cache_key),
        ("metadata", dialect.metadata),
        ("safety_identifier", dialect.safety_identifier),
        ("user", dialect.safety_identifier),
    ] {
        if let Some(value) = fields.get(name).filter(|_| is_taken) {
            json.field_raw(name, value.get());
        }
    }
    if fields.flag("store") == Some(true) {
        losses.note(LossKind::Store, "store")?;
    }
    if fields
        .text("truncation")
        .is_some_and(|truncation| truncation != "disabled")
    {
        losses.note(LossKind::Parameter, "truncation")?;
    }
    for (name, value) in &fields.0 {
        if !SILENT.contains(&&**name) && value.get() != "null" {
            losses.note(LossKind::Parameter, name.clone().into_owned())?;
        }
    }
    Ok(())
}

fn copy(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    name: &str,
    is_taken: bool,
    kind: LossKind,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    if let Some(value) = fields.get(name) {
        if is_taken {
            json.field_raw(name, value.get());
        } else {
            losses.note(kind, name)?;
        }
    }
    Ok(())
}

fn write_limit(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(limit) = fields.get("max_output_tokens") else {
        return Ok(());
    };
    match dialect.max_tokens {
        MaxTokensField::MaxCompletionTokens => json.field_raw("max_completion_tokens", limit.get()),
        MaxTokensField::MaxTokens => json.field_raw("max_tokens", limit.get()),
        MaxTokensField::Omit => return losses.note(LossKind::OutputLimit, "max_output_tokens"),
    };
    Ok(())
}

fn write_logprobs(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let is_included = fields
        .array("include")
        .unwrap_or_default()
        .into_iter()
        .any(|entry| text_of(entry).as_deref() == Some("message.output_text.logprobs"));
    let top = fields.get("top_logprobs");
    if !is_included && top.is_none() {
        return Ok(());
    }
    if !dialect.logprobs {
        return losses.note(LossKind::Sampling, "top_logprobs");
    }
    json.field_flag("logprobs", true);
    if let Some(top) = top {
        json.field_raw("top_logprobs", top.get());
    }
    Ok(())
}

fn write_effort(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    if dialect.reasoning_split {
        json.field_flag("reasoning_split", true);
    }
    let effort = fields
        .object("reasoning")
        .and_then(|reasoning| reasoning.get("effort"));
    let Some(effort) = effort else { return Ok(()) };
    let wanted = text_of(effort).unwrap_or(Cow::Borrowed(effort.get()));
    let is_off = wanted == "none";
    match dialect.thinking {
        Thinking::None => {}
        Thinking::TypeObject => {
            let word = if is_off { "disabled" } else { "enabled" };
            json.key("thinking")
                .begin_object()
                .field_str("type", word)
                .end_object();
        }
        Thinking::EnableThinking => {
            json.field_flag("enable_thinking", !is_off);
        }
    }
    let is_said = dialect.thinking != Thinking::None && is_off;
    let sent = match dialect.effort {
        EffortField::Omit => None,
        EffortField::ReasoningEffort | EffortField::ReasoningObject => {
            dialect.efforts.nearest(&wanted)
        }
    };
    if !is_said && sent != Some(&wanted) {
        losses.note(LossKind::Effort, "reasoning.effort")?;
    }
    let Some(sent) = sent.filter(|_| !is_said) else {
        return Ok(());
    };
    match dialect.effort {
        EffortField::Omit => {}
        EffortField::ReasoningEffort => {
            json.field_str("reasoning_effort", sent);
        }
        EffortField::ReasoningObject => {
            json.key("reasoning")
                .begin_object()
                .field_str("effort", sent)
                .end_object();
        }
    }
    Ok(())
}

/// Writes verbosity and the form of the answer.
pub(crate) fn write_text(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let Some(text) = fields.object("text") else {
        return Ok(());
    };
    if let Some(verbosity) = text.get("verbosity") {
        if dialect.verbosity {
            json.field_raw("verbosity", verbosity.get());
        } else {
            losses.note(LossKind::Verbosity, "text.verbosity")?;
        }
    }
    let Some(format) = text.object("format") else {
        return Ok(());
    };
    let kind = format.text("type").unwrap_or_default();
    match (&*kind, dialect.response_format) {
        ("json_schema", ResponseFormat::JsonSchema) => {
            json.key("response_format")
                .begin_object()
                .field_str("type", "json_schema");
            json.key("json_schema").begin_object();
            json.key("name").literal(
                &format
                    .literal("name")
                    .unwrap_or_else(|| Literal::plain("answer")),
            );
            for name in ["description", "schema", "strict"] {
                if let Some(value) = format.get(name) {
                    json.field_raw(name, value.get());
                }
            }
            json.end_object().end_object();
        }
        ("json_schema" | "json_object", ResponseFormat::JsonObject)
        | ("json_object", ResponseFormat::JsonSchema) => {
            json.key("response_format")
                .begin_object()
                .field_str("type", "json_object")
                .end_object();
        }
        _ => {}
    }
    Ok(())
}

/// Writes the tools, the choice among them and whether several may be called at once. Nothing where
/// there are none: several upstreams refuse a choice without tools.
pub(crate) fn write_tools(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    tools: &mut Tools,
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

fn read_choice(fields: &Fields<'_>, tools: &mut Tools) -> Result<ToolSelection, TranslateError> {
    let Some(raw) = fields.get("tool_choice") else {
        return Ok(ToolSelection::Mode("auto".to_owned()));
    };
    if let Some(mode) = text_of(raw) {
        if mode == "required" && tools.is_empty() {
            return Err(TranslateError::unsupported(
                "tool_choice",
                "a call is required, but no tool is left that this endpoint can call",
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
            "it demands a tool that only its own service runs; choose a model of that service or \
             leave the choice to the model",
        )),
        None => Err(TranslateError::malformed(
            "tool_choice",
            "it names a tool that the request does not offer",
        )),
    }
}

/// The Chat name of the tool that a choice means, when it is offered.
fn chosen(choice: &Fields<'_>, tools: &Tools) -> Option<String> {
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
