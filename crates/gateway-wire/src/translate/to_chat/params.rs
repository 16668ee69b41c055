//! Request parameters of Responses as those of Chat, each by the dialect's flags.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::dialect::{Dialect, EffortField, MaxTokensField, ResponseFormat, Thinking};
use crate::json::raw::{Fields, Literal, text_of};
use crate::json::write::JsonWriter;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::parameters::{note_unknown, write_shared};

/// Fields of a Responses request that are read elsewhere, or that mean nothing to another upstream:
/// names, caches, bookkeeping of the client.
const OWN: &[&str] = &[
    "input",
    "instructions",
    "include",
    "client_metadata",
    "type",
    "generate",
    "prompt_cache_options",
    "access_programs",
    "max_tool_calls",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "truncation",
];

/// Refuses what only the upstream that made it can know.
pub(super) fn refuse_stored(fields: &Fields<'_>) -> Result<(), TranslateError> {
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
            "responses cannot be fetched later; omit it",
        ));
    }
    Ok(())
}

/// Structured output as instructions, for upstreams that take no schema. Returns the text to say.
pub(super) fn schema_as_text(
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
pub(super) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    write_limit(json, fields, dialect, losses)?;
    write_shared(json, fields, dialect, losses)?;
    write_logprobs(json, fields, dialect, losses)?;
    write_effort(json, fields, dialect, losses)?;
    if fields.flag("store") == Some(true) {
        losses.note(LossKind::Store, "store")?;
    }
    if fields
        .text("truncation")
        .is_some_and(|truncation| truncation != "disabled")
    {
        losses.note(LossKind::Parameter, "truncation")?;
    }
    note_unknown(fields, OWN, losses)
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
pub(super) fn write_text(
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
