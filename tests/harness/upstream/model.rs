//! The model that answers when no rule does: a short text, or first a tool call where the prompt
//! asks for one and the request offers a tool that runs commands. Works on both wires and for
//! Codex's ordinary and Lite requests.

use super::answer::{Ask, ModelAnswer, Output, Usage, Wire};
use super::script::{FixedResponse, ModelSettings, Payload};
use serde_json::{Value, json};

/// What the model says to one request.
pub(super) fn answer(
    settings: &ModelSettings,
    ask: &Ask<'_>,
    body: &Value,
    body_length: usize,
) -> ModelAnswer {
    let history = match ask.wire {
        Wire::Responses => &body["input"],
        Wire::Chat => &body["messages"],
    };
    let wants_tool = !has_tool_output(history) && history.to_string().contains(&settings.tool_word);
    let call = if wants_tool {
        tool_call(settings, body)
    } else {
        None
    };
    let output = if let Some(call) = call {
        vec![call]
    } else {
        vec![Output::Deltas(vec![
            settings.text.clone();
            settings.deltas.max(1)
        ])]
    };
    let grown = || {
        let words = (settings.text.split_whitespace().count() * settings.deltas.max(1)) as u64;
        let input = (body_length as u64 / 4).max(1);
        Usage {
            input,
            cached: input / 2,
            cache_write: 0,
            output: words.max(1),
            reasoning: 0,
        }
    };
    ModelAnswer {
        usage: Some(settings.usage.unwrap_or_else(grown)),
        headers: settings.headers.clone(),
        cuts: settings.cuts.clone(),
        delay_ms: settings.delay_ms,
        ..ModelAnswer::of(output)
    }
}

/// The answer to what is no model request.
pub(super) fn other(path: &str, target: &str, is_upgrade: bool) -> FixedResponse {
    if is_upgrade {
        return FixedResponse {
            status: 426,
            headers: vec![("upgrade".to_owned(), "none".to_owned())],
            body: Payload::default(),
        };
    }
    if path.ends_with("/models") && !target.contains("client_version=") {
        let models = json!([{"id": "gpt-5.5", "object": "model", "created": 1_795_000_000, "owned_by": "sim"}]);
        return FixedResponse::json(200, json!({"object": "list", "data": models}));
    }
    let error = json!({"message": format!("the scripted upstream has nothing at `{path}`"),
        "type": "invalid_request_error", "code": "not_found", "param": null});
    FixedResponse::json(404, json!({"error": error}))
}

fn has_tool_output(history: &Value) -> bool {
    let Some(items) = history.as_array() else {
        return false;
    };
    items.iter().any(|item| {
        item["role"] == "tool"
            || item["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("call_output"))
    })
}

/// Tools that run a command, by the names Codex gives them, in the order of preference.
fn tool_call(settings: &ModelSettings, body: &Value) -> Option<Output> {
    let offered = offered_tools(body);
    let has = |name: &str| offered.iter().any(|tool| tool == name);
    let command = &settings.tool_command;
    let call_id = "call_sim1".to_owned();
    let call = |name: &str, arguments: Value| Output::Call {
        name: name.to_owned(),
        namespace: None,
        arguments: arguments.to_string(),
        call_id: call_id.clone(),
    };
    if has("exec_command") {
        Some(call("exec_command", json!({"cmd": command})))
    } else if has("exec") {
        let input = format!(
            "const r = await tools.exec_command({}); text(r.output);\n",
            json!({"cmd": command})
        );
        Some(Output::CustomCall {
            name: "exec".to_owned(),
            namespace: None,
            input,
            call_id,
        })
    } else if has("shell_command") {
        Some(call("shell_command", json!({"command": command})))
    } else if has("shell") {
        Some(call("shell", json!({"command": ["bash", "-lc", command]})))
    } else {
        None
    }
}

/// Names of tools, wherever the two wires and Responses Lite keep them.
fn offered_tools(body: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let lists = [&body["tools"]].into_iter().chain(
        body["input"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item["type"] == "additional_tools")
            .map(|item| &item["tools"]),
    );
    for tool in lists.filter_map(Value::as_array).flatten() {
        let name = tool["name"]
            .as_str()
            .or_else(|| tool["function"]["name"].as_str());
        if tool["type"] == "namespace" && name == Some("functions") {
            let inner = tool["tools"].as_array().into_iter().flatten();
            names.extend(
                inner
                    .filter_map(|tool| tool["name"].as_str())
                    .map(str::to_owned),
            );
        }
        names.extend(name.map(str::to_owned));
    }
    names
}
