//! An answer in the Chat Completions wire.

use super::{Ask, Ending, ModelAnswer, Output, Usage};
use serde_json::{Value, json};

/// The body for a request that does not stream.
pub fn whole(answer: &ModelAnswer, ask: &Ask<'_>) -> Value {
    let mut text = String::new();
    let mut reasoning = String::new();
    let mut calls = Vec::new();
    for output in &answer.output {
        match output {
            Output::Text(part) => text.push_str(part),
            Output::Deltas(parts) => text.push_str(&parts.concat()),
            Output::Reasoning { summary, .. } => reasoning.push_str(summary),
            Output::Call {
                name,
                arguments,
                call_id,
                ..
            } => calls.push(call(name, arguments, call_id)),
            Output::CustomCall {
                name,
                input,
                call_id,
                ..
            } => calls.push(call(name, input, call_id)),
            Output::Item(_) | Output::Event(_) => {}
        }
    }
    let mut message =
        json!({"role": "assistant", "content": if text.is_empty() { None } else { Some(text) }});
    if !reasoning.is_empty() {
        message["reasoning_content"] = json!(reasoning);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let mut body = envelope(answer, ask, "chat.completion");
    body["choices"] = json!([{"index": 0, "message": message, "finish_reason": finish(answer)}]);
    if let Some(reported) = reported(answer) {
        body["usage"] = reported;
    }
    body
}

/// The chunks of a stream, `[DONE]` included, without their frames.
pub fn events(answer: &ModelAnswer, ask: &Ask<'_>) -> Vec<Value> {
    let chunk = |delta: Value, finish: Option<&str>| {
        let mut chunk = envelope(answer, ask, "chat.completion.chunk");
        chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        if ask.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    let mut calls = 0;
    for output in &answer.output {
        match output {
            Output::Text(text) => events.push(chunk(json!({"content": text}), None)),
            Output::Deltas(deltas) => events.extend(
                deltas
                    .iter()
                    .map(|text| chunk(json!({"content": text}), None)),
            ),
            Output::Reasoning { summary, .. } => {
                events.push(chunk(json!({"reasoning_content": summary}), None));
            }
            Output::Call {
                name,
                arguments: input,
                call_id,
                ..
            }
            | Output::CustomCall {
                name,
                input,
                call_id,
                ..
            } => {
                let mut first = call(name, "", call_id);
                first["index"] = json!(calls);
                events.push(chunk(json!({"tool_calls": [first]}), None));
                let rest = json!({"index": calls, "function": {"arguments": input}});
                events.push(chunk(json!({"tool_calls": [rest]}), None));
                calls += 1;
            }
            Output::Item(_) => {}
            Output::Event(event) => events.push(event.clone()),
        }
    }
    match &answer.ending {
        Ending::Completed | Ending::Incomplete { .. } => {
            events.push(chunk(json!({}), Some(finish(answer))));
            if let (true, Some(reported)) = (ask.include_usage, reported(answer)) {
                let mut last = envelope(answer, ask, "chat.completion.chunk");
                last["choices"] = json!([]);
                last["usage"] = reported;
                events.push(last);
            }
            events.push(json!("[DONE]"));
        }
        Ending::Failed { code, message } | Ending::ErrorEvent { code, message } => {
            events.push(json!({"error": {"message": message, "code": code, "type": "server_error", "param": null}}));
        }
        Ending::Missing => {}
    }
    events
}

pub fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

fn envelope(answer: &ModelAnswer, ask: &Ask<'_>, object: &str) -> Value {
    json!({
        "id": answer.id.clone().unwrap_or_else(|| format!("chatcmpl-sim{}", ask.number)),
        "object": object,
        "created": 1_795_000_000,
        "model": answer.model.as_deref().unwrap_or(ask.model),
    })
}

fn reported(answer: &ModelAnswer) -> Option<Value> {
    answer.raw_usage.clone().or_else(|| answer.usage.map(usage))
}

fn call(name: &str, arguments: &str, call_id: &str) -> Value {
    json!({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn finish(answer: &ModelAnswer) -> &'static str {
    let calls = answer
        .output
        .iter()
        .any(|output| matches!(output, Output::Call { .. } | Output::CustomCall { .. }));
    match &answer.ending {
        Ending::Incomplete { reason } if reason == "content_filter" => "content_filter",
        Ending::Incomplete { .. } => "length",
        _ if calls => "tool_calls",
        _ => "stop",
    }
}
