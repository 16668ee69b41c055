//! Request parameters of Chat as those of Responses, each by the dialect's flags.

use serde_json::value::RawValue;

use crate::dialect::{Dialect, MaxTokensField};
use crate::json::raw::{Fields, Literal, array_of, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;

/// Why the old form of tools is refused: its answers would have to come in the old form too.
pub(super) const OLD_FUNCTIONS: &str =
    "`functions` and `function_call` are the old form of tools; send `tools` and `tool_choice`";

/// Smallest limit of output tokens that Responses takes.
const MIN_LIMIT: u64 = 16;

/// Fields that are read elsewhere, or that mean nothing to another upstream.
const SILENT: &[&str] = &[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "reasoning",
    "verbosity",
    "response_format",
    "service_tier",
    "store",
    "metadata",
    "safety_identifier",
    "user",
    "prompt_cache_key",
    "prompt_cache_retention",
    "modalities",
];

/// Values that say nothing, so that leaving them out loses nothing.
fn is_neutral(value: &RawValue) -> bool {
    matches!(value.get(), "null" | "0" | "0.0" | "{}" | "[]" | "false")
}

/// Refuses what matters and has no counterpart.
pub(super) fn refuse(fields: &Fields<'_>) -> Result<(), TranslateError> {
    if fields.get("n").is_some_and(|n| n.get() != "1") {
        return Err(TranslateError::unsupported(
            "n",
            "it gives one answer per request; send the request several times",
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
            "it answers in text only; leave `audio` and `modalities` out",
        ));
    }
    Ok(())
}

/// Writes the tools and the choice among them.
pub(super) fn write_tools(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let tools = fields.array("tools").unwrap_or_default();
    if tools.is_empty() {
        return Ok(());
    }
    json.key("tools").begin_array();
    for (index, raw) in tools.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let Some(tool) = fields_of(raw) else {
            return Err(TranslateError::malformed(path, "a tool must be an object"));
        };
        if let Some(function) = tool.object("function") {
            write_function(json, &function);
        } else if let Some(custom) = tool.object("custom") {
            write_custom(json, &custom);
        } else {
            losses.note(LossKind::UnknownTool, path)?;
        }
    }
    json.end_array();
    write_choice(json, fields)?;
    if let Some(parallel) = fields.flag("parallel_tool_calls") {
        json.field_flag("parallel_tool_calls", parallel);
    }
    Ok(())
}

fn write_function(json: &mut JsonWriter, function: &Fields<'_>) {
    json.begin_object().field_str("type", "function");
    for name in ["name", "description"] {
        if let Some(text) = function.literal(name) {
            json.key(name).literal(&text);
        }
    }
    let parameters = function
        .get("parameters")
        .map_or(r#"{"type":"object","properties":{}}"#, RawValue::get);
    json.field_raw("parameters", parameters);
    // Chat means false where nothing is said, Responses means true.
    json.field_flag("strict", function.flag("strict").unwrap_or(false))
        .end_object();
}

fn write_custom(json: &mut JsonWriter, custom: &Fields<'_>) {
    json.begin_object().field_str("type", "custom");
    for name in ["name", "description"] {
        if let Some(text) = custom.literal(name) {
            json.key(name).literal(&text);
        }
    }
    if let Some(format) = custom.object("format") {
        json.key("format").begin_object();
        json.key("type").literal(
            &format
                .literal("type")
                .unwrap_or_else(|| Literal::plain("text")),
        );
        for name in ["syntax", "definition"] {
            if let Some(text) = format
                .object("grammar")
                .and_then(|grammar| grammar.literal(name))
            {
                json.key(name).literal(&text);
            }
        }
        json.end_object();
    }
    json.end_object();
}

fn write_choice(json: &mut JsonWriter, fields: &Fields<'_>) -> Result<(), TranslateError> {
    let Some(raw) = fields.get("tool_choice") else {
        return Ok(());
    };
    if Literal::of(raw).is_some() {
        json.field_raw("tool_choice", raw.get());
        return Ok(());
    }
    let Some(choice) = fields_of(raw) else {
        return Err(TranslateError::malformed(
            "tool_choice",
            "it must be a string or an object",
        ));
    };
    if let Some(allowed) = choice.object("allowed_tools") {
        json.key("tool_choice")
            .begin_object()
            .field_str("type", "allowed_tools");
        json.key("mode").literal(
            &allowed
                .literal("mode")
                .unwrap_or_else(|| Literal::plain("auto")),
        );
        json.key("tools").begin_array();
        for tool in allowed.get("tools").and_then(array_of).unwrap_or_default() {
            write_named(json, &fields_of(tool).unwrap_or_default())?;
        }
        json.end_array().end_object();
        return Ok(());
    }
    json.key("tool_choice");
    write_named(json, &choice)
}

/// `{"type":"function","function":{"name":…}}` as `{"type":"function","name":…}`.
fn write_named(json: &mut JsonWriter, choice: &Fields<'_>) -> Result<(), TranslateError> {
    for kind in ["function", "custom"] {
        if let Some(name) = choice.object(kind).and_then(|named| named.literal("name")) {
            json.begin_object()
                .field_str("type", kind)
                .key("name")
                .literal(&name)
                .end_object();
            return Ok(());
        }
    }
    Err(TranslateError::malformed(
        "tool_choice",
        "it must name a function or a custom tool",
    ))
}

/// Writes all other parameters.
pub(super) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    write_limit(json, fields, dialect, losses)?;
    for (name, is_taken, kind) in [
        ("temperature", dialect.temperature, LossKind::Sampling),
        ("top_p", dialect.top_p, LossKind::Sampling),
        ("top_logprobs", dialect.logprobs, LossKind::Sampling),
        ("service_tier", dialect.service_tier, LossKind::ServiceTier),
        ("metadata", dialect.metadata, LossKind::Parameter),
    ] {
        match fields.get(name) {
            Some(value) if is_taken => {
                json.field_raw(name, value.get());
            }
            Some(_) => losses.note(kind, name)?,
            None => {}
        }
    }
    for (name, is_taken) in [
        ("prompt_cache_key", dialect.prompt_cache_key),
        ("safety_identifier", dialect.safety_identifier),
        ("user", dialect.safety_identifier),
    ] {
        if let Some(value) = fields.get(name).filter(|_| is_taken) {
            json.field_raw(name, value.get());
        }
    }
    write_reasoning(json, fields, dialect);
    write_text(json, fields, dialect, losses)?;
    if fields.flag("store") == Some(true) && !dialect.store {
        losses.note(LossKind::Store, "store")?;
    }
    for (name, value) in &fields.0 {
        if !SILENT.contains(&&**name) && !is_neutral(value) {
            let is_sampling = matches!(
                &**name,
                "stop" | "seed" | "presence_penalty" | "frequency_penalty" | "logit_bias"
            );
            let kind = if is_sampling {
                LossKind::Sampling
            } else {
                LossKind::Parameter
            };
            losses.note(kind, name.clone().into_owned())?;
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
        json.key("format").begin_object();
        json.key("type").literal(
            &format
                .literal("type")
                .unwrap_or_else(|| Literal::plain("text")),
        );
        let schema = format.object("json_schema").unwrap_or_default();
        for name in ["name", "description", "schema", "strict"] {
            if let Some(value) = schema.get(name) {
                json.field_raw(name, value.get());
            }
        }
        json.end_object();
    }
    json.end_object();
    Ok(())
}
