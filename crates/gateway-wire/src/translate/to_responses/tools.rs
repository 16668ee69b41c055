//! The tools of a Chat request and the choice among them, as Responses has them.

use serde_json::value::RawValue;

use crate::json::raw::{Fields, Literal, array_of, fields_of};
use crate::json::write::JsonWriter;
use crate::translate::error::TranslateError;
use crate::translate::loss_kind::LossKind;
use crate::translate::losses::Losses;

/// Writes the tools and the choice among them.
pub(super) fn write(
    json: &mut JsonWriter,
    fields: &Fields<'_>,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let tools = fields.array("tools").unwrap_or_default();
    let search = fields.object("web_search_options");
    if tools.is_empty() && search.is_none() {
        return Ok(());
    }
    let has_functions = !tools.is_empty();
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
    if let Some(search) = &search {
        write_search(json, search);
    }
    json.end_array();
    if !has_functions {
        return Ok(());
    }
    write_choice(json, fields)?;
    if let Some(parallel) = fields.flag("parallel_tool_calls") {
        json.field_flag("parallel_tool_calls", parallel);
    }
    Ok(())
}

/// A search that Chat asks for by an option is a tool of Responses.
fn write_search(json: &mut JsonWriter, options: &Fields<'_>) {
    json.begin_object().field_str("type", "web_search");
    if let Some(size) = options.literal("search_context_size") {
        json.key("search_context_size").literal(&size);
    }
    let location = options.object("user_location").unwrap_or_default();
    if let Some(place) = location.object("approximate") {
        json.key("user_location")
            .begin_object()
            .field_str("type", "approximate");
        for name in ["city", "country", "region", "timezone"] {
            if let Some(value) = place.get(name) {
                json.field_raw(name, value.get());
            }
        }
        json.end_object();
    }
    json.end_object();
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
