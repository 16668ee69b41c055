//! Request parameters of Chat as those of Responses, each by the dialect's flags.

use serde_json::value::RawValue;

use super::messages::OLD_FUNCTIONS;
use crate::dialect::{Dialect, MaxTokensField};
use crate::json::raw::{Fields, Literal, text_of};
use crate::json::write::JsonWriter;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;
use crate::translate::parameters::{note_unknown, write_shared};

/// Smallest limit of output tokens that Responses accepts.
const MIN_LIMIT: u64 = 16;

/// Fields of a Chat request that are read elsewhere.
const OWN: &[&str] = &[
    "messages",
    "n",
    "logprobs",
    "reasoning_effort",
    "response_format",
    "modalities",
    "web_search_options",
];

/// Refuses what matters and has no counterpart.
pub(super) fn refuse(fields: &Fields<'_>) -> Result<(), TranslateError> {
    if fields.get("n").is_some_and(|n| n.get() != "1") {
        return Err(TranslateError::unsupported(
            "n",
            "it returns one choice per request; send the request several times",
        ));
    }
    for name in ["functions", "function_call"] {
        if fields.get(name).is_some() {
            return Err(TranslateError::unsupported(name, OLD_FUNCTIONS));
        }
    }
    let speaks = |value: &&RawValue| text_of(value).as_deref() == Some("audio");
    if fields.get("audio").is_some()
        || fields
            .array("modalities")
            .unwrap_or_default()
            .iter()
            .any(speaks)
    {
        return Err(TranslateError::unsupported(
            "audio",
            "it returns only text; omit `audio` and `modalities`",
        ));
    }
    Ok(())
}

/// Writes all other parameters.
pub(super) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    write_limit(json, fields, dialect, losses)?;
    write_shared(json, fields, dialect, losses)?;
    if let Some(top) = fields.get("top_logprobs") {
        if dialect.logprobs {
            json.field_raw("top_logprobs", top.get());
        } else {
            losses.note(LossKind::Sampling, "top_logprobs")?;
        }
    }
    write_reasoning(json, fields, dialect);
    write_text(json, fields, dialect, losses)?;
    if fields.flag("store") == Some(true) && !dialect.store {
        losses.note(LossKind::Store, "store")?;
    }
    note_unknown(fields, OWN, losses)
}

fn write_limit(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let named = ["max_completion_tokens", "max_tokens"]
        .into_iter()
        .find_map(|name| Some((name, fields.get(name)?)));
    let Some((name, limit)) = named else {
        return Ok(());
    };
    if dialect.max_tokens == MaxTokensField::Omit {
        return losses.note(LossKind::OutputLimit, name);
    }
    let Ok(wanted) = limit.get().parse::<u64>() else {
        return Err(TranslateError::malformed(name, "it must be a whole number"));
    };
    if wanted < MIN_LIMIT {
        losses.note(LossKind::OutputLimit, name)?;
    }
    json.field_number("max_output_tokens", wanted.max(MIN_LIMIT));
    Ok(())
}

fn write_reasoning(json: &mut JsonWriter, fields: &Fields<'_>, dialect: &Dialect) {
    let object = fields.object("reasoning").unwrap_or_default();
    let effort = fields
        .get("reasoning_effort")
        .or_else(|| object.get("effort"));
    let summary = object
        .get("summary")
        .map(RawValue::get)
        .or(dialect.reasoning_summary.then_some("\"auto\""));
    if effort.is_none() && summary.is_none() {
        return;
    }
    json.key("reasoning").begin_object();
    if let Some(effort) = effort {
        json.field_raw("effort", effort.get());
    }
    if let Some(summary) = summary {
        json.field_raw("summary", summary);
    }
    json.end_object();
}

fn write_text(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let mut verbosity = fields.get("verbosity");
    if verbosity.is_some() && !dialect.verbosity {
        losses.note(LossKind::Verbosity, "verbosity")?;
        verbosity = None;
    }
    let format = fields.object("response_format");
    if verbosity.is_none() && format.is_none() {
        return Ok(());
    }
    json.key("text").begin_object();
    if let Some(verbosity) = verbosity {
        json.field_raw("verbosity", verbosity.get());
    }
    if let Some(format) = format {
        write_format(json, &format);
    }
    json.end_object();
    Ok(())
}

fn write_format(json: &mut JsonWriter, format: &Fields<'_>) {
    let kind = format.literal("type");
    let kind = kind.unwrap_or_else(|| Literal::plain("text"));
    json.key("format").begin_object();
    json.key("type").literal(&kind);
    if kind.decode() == "json_schema" {
        let schema = format.object("json_schema").unwrap_or_default();
        let name = schema.literal("name");
        json.key("name")
            .literal(&name.unwrap_or_else(|| Literal::plain("answer")));
        if let Some(description) = schema.get("description") {
            json.field_raw("description", description.get());
        }
        // Chat takes a format without a schema, Responses does not: any object fits this one.
        match schema.get("schema") {
            Some(value) => json.field_raw("schema", value.get()),
            None => json.field_raw("schema", r#"{"type":"object","additionalProperties":true}"#),
        };
        let strict = schema
            .flag("strict")
            .filter(|_| schema.get("schema").is_some());
        json.field_flag("strict", strict.unwrap_or(false));
    }
    json.end_object();
}
