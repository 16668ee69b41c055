//! The request's parameters as the response object repeats them.

use serde_json::value::RawValue;

use crate::json::raw::{Fields, array_of, fields_of};
use crate::json::write::JsonWriter;

/// Longest instructions, and longest list of tools, that are repeated, in bytes of JSON. Those of an
/// agent are many times this long, would be sent three times per answer, and nobody reads them.
const MAX_REPEATED: usize = 16 * 1024;

/// Parameters that are repeated as they are, and what stands for an absent one.
const PARAMETERS: [(&str, &str); 16] = [
    ("background", "false"),
    ("frequency_penalty", "0"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("temperature", "1"),
    ("tool_choice", "\"auto\""),
    ("top_logprobs", "0"),
    ("top_p", "1"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// The members of a response object that repeat the request, without braces.
pub(crate) fn members(request: &Fields<'_>) -> String {
    let mut json = JsonWriter::default();
    for (name, absent) in PARAMETERS {
        json.field_raw(name, request.get(name).map_or(absent, RawValue::get));
    }
    let short = |name| {
        request
            .get(name)
            .filter(|value| value.get().len() <= MAX_REPEATED)
    };
    json.field_raw(
        "instructions",
        short("instructions").map_or("null", RawValue::get),
    );
    write_reasoning(&mut json, request);
    // The gateway stores no responses.
    json.field_flag("store", false);
    write_text(&mut json, request);
    json.key("tools").begin_array();
    for tool in short("tools").and_then(array_of).unwrap_or_default() {
        write_tool(&mut json, tool);
    }
    json.end_array();
    String::from_utf8(json.out).unwrap_or_default()
}

fn write_reasoning(json: &mut JsonWriter, request: &Fields<'_>) {
    let reasoning = request.object("reasoning").unwrap_or_default();
    json.key("reasoning").begin_object();
    for name in ["effort", "summary"] {
        json.field_raw(name, reasoning.get(name).map_or("null", RawValue::get));
    }
    json.end_object();
}

fn write_text(json: &mut JsonWriter, request: &Fields<'_>) {
    let text = request.object("text").unwrap_or_default();
    json.key("text").begin_object().key("format");
    let schema = text
        .object("format")
        .filter(|format| format.text("type").as_deref() == Some("json_schema"));
    if let Some(schema) = schema {
        json.begin_object().field_str("type", "json_schema");
        for (name, absent) in [
            ("name", "\"answer\""),
            ("description", "null"),
            ("schema", "{}"),
            ("strict", "false"),
        ] {
            json.field_raw(name, schema.get(name).map_or(absent, RawValue::get));
        }
        json.end_object();
    } else {
        json.raw(
            text.get("format")
                .map_or(r#"{"type":"text"}"#, RawValue::get),
        );
    }
    if let Some(verbosity) = text.get("verbosity") {
        json.field_raw("verbosity", verbosity.get());
    }
    json.end_object();
}

/// A tool; a function with every member that its schema has.
fn write_tool(json: &mut JsonWriter, raw: &RawValue) {
    let Some(tool) = fields_of(raw).filter(|tool| tool.text("type").as_deref() == Some("function"))
    else {
        json.raw(raw.get());
        return;
    };
    json.begin_object();
    for (name, value) in &tool.0 {
        json.field_raw(name, value.get());
    }
    for name in ["description", "parameters", "strict"] {
        if !tool.0.iter().any(|(known, _)| known == name) {
            json.field_raw(name, "null");
        }
    }
    json.end_object();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn repeated(request: &Value) -> Value {
        let text = request.to_string();
        let fields: Fields<'_> = serde_json::from_str(&text).unwrap();
        serde_json::from_str(&format!("{{{}}}", members(&fields))).unwrap()
    }

    #[test]
    fn parameters_are_repeated_and_absent_ones_have_their_default() {
        let empty = repeated(&json!({"model": "m"}));
        assert_eq!(
            empty,
            json!({
                "background": false, "frequency_penalty": 0, "instructions": null,
                "max_output_tokens": null, "max_tool_calls": null, "metadata": {},
                "parallel_tool_calls": true, "presence_penalty": 0, "previous_response_id": null,
                "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null},
                "safety_identifier": null, "store": false, "temperature": 1,
                "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
                "top_logprobs": 0, "top_p": 1, "truncation": "disabled", "user": null,
            })
        );
        let given = json!({
            "instructions": "Be brief.", "max_output_tokens": 99, "temperature": 0.2, "top_p": 0.5,
            "metadata": {"a": "b"}, "tool_choice": {"type": "function", "name": "f"},
            "reasoning": {"effort": "low"}, "store": true, "parallel_tool_calls": false,
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
            "safety_identifier": "s", "prompt_cache_key": "k", "max_tool_calls": 3,
        });
        let answer = repeated(&given);
        for name in [
            "instructions",
            "max_output_tokens",
            "temperature",
            "top_p",
            "metadata",
            "tool_choice",
            "parallel_tool_calls",
            "safety_identifier",
            "prompt_cache_key",
            "max_tool_calls",
        ] {
            assert_eq!(answer[name], given[name], "{name}");
        }
        assert_eq!(answer["store"], false);
        assert_eq!(
            answer["reasoning"],
            json!({"effort": "low", "summary": null})
        );
        assert_eq!(
            answer["text"],
            json!({"format": {"type": "json_schema", "name": "n", "description": null, "schema": {}, "strict": false}, "verbosity": "low"})
        );
        assert_eq!(
            answer["tools"],
            json!([{"type": "function", "name": "f", "description": null, "parameters": null, "strict": null}, {"type": "custom", "name": "c"}])
        );
    }

    #[test]
    fn the_long_texts_of_an_agent_are_not_sent_back() {
        let long = "x".repeat(MAX_REPEATED);
        let answer =
            repeated(&json!({"instructions": long, "tools": [{"type": "custom", "name": long}]}));
        assert_eq!(
            (&answer["instructions"], &answer["tools"]),
            (&Value::Null, &json!([]))
        );
    }
}
