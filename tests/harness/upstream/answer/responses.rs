//! An answer in the Responses wire, with all the events the real service sends.

use super::{Ask, Ending, ModelAnswer, Output, Usage};
use serde_json::{Value, json};

/// The body for a request that does not stream.
pub fn whole(answer: &ModelAnswer, ask: &Ask<'_>) -> Value {
    let items: Vec<Value> = answer
        .output
        .iter()
        .enumerate()
        .filter_map(|(index, output)| item(output, ask, index))
        .collect();
    response(answer, ask, final_status(&answer.ending), &items)
}

/// The events of a stream, without their frames.
pub fn events(answer: &ModelAnswer, ask: &Ask<'_>) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "response.created", "response": response(answer, ask, "in_progress", &[])}),
        json!({"type": "response.in_progress", "response": response(answer, ask, "in_progress", &[])}),
    ];
    let mut items = Vec::new();
    for (index, output) in answer.output.iter().enumerate() {
        if let Output::Event(event) = output {
            events.push(event.clone());
        } else if let Some(item) = item(output, ask, index) {
            item_events(&mut events, output, &item, items.len());
            items.push(item);
        }
    }
    match &answer.ending {
        Ending::Completed | Ending::Incomplete { .. } | Ending::Failed { .. } => {
            let status = final_status(&answer.ending);
            events.push(json!({"type": format!("response.{status}"), "response": response(answer, ask, status, &items)}));
        }
        Ending::ErrorEvent { code, message } => {
            events.push(json!({"type": "error", "code": code, "message": message, "param": null}));
        }
        Ending::Missing => {}
    }
    for (number, event) in events.iter_mut().enumerate() {
        if let Some(event) = event.as_object_mut() {
            event
                .entry("sequence_number")
                .or_insert_with(|| json!(number));
        }
    }
    events
}

fn final_status(ending: &Ending) -> &'static str {
    match ending {
        Ending::Completed | Ending::Missing => "completed",
        Ending::Incomplete { .. } => "incomplete",
        Ending::Failed { .. } | Ending::ErrorEvent { .. } => "failed",
    }
}

fn response(answer: &ModelAnswer, ask: &Ask<'_>, status: &str, items: &[Value]) -> Value {
    let done = status != "in_progress";
    let reported = answer.raw_usage.clone().or_else(|| answer.usage.map(usage));
    let mut response = json!({
        "id": id(answer, ask),
        "object": "response",
        "created_at": 1_795_000_000,
        "status": status,
        "model": answer.model.as_deref().unwrap_or(ask.model),
        "output": items,
        "parallel_tool_calls": true,
        "usage": if done { reported } else { None },
        "error": null,
        "incomplete_details": null,
    });
    if let Some(tier) = &answer.service_tier {
        response["service_tier"] = json!(tier);
    }
    match (&answer.ending, done) {
        (Ending::Failed { code, message }, true) => {
            response["error"] = json!({"code": code, "message": message});
        }
        (Ending::Incomplete { reason }, true) => {
            response["incomplete_details"] = json!({"reason": reason});
        }
        (Ending::Completed | Ending::ErrorEvent { .. } | Ending::Missing, _) | (_, false) => {}
    }
    response
}

pub fn id(answer: &ModelAnswer, ask: &Ask<'_>) -> String {
    answer
        .id
        .clone()
        .unwrap_or_else(|| format!("resp_sim{}", ask.number))
}

pub fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

fn item(output: &Output, ask: &Ask<'_>, index: usize) -> Option<Value> {
    let number = ask.number;
    Some(match output {
        Output::Text(text) => message(&format!("msg_sim{number}_{index}"), text),
        Output::Deltas(deltas) => message(&format!("msg_sim{number}_{index}"), &deltas.concat()),
        Output::Reasoning { summary, encrypted } => json!({
            "type": "reasoning", "id": format!("rs_sim{number}_{index}"),
            "summary": [{"type": "summary_text", "text": summary}], "encrypted_content": encrypted,
        }),
        Output::Call {
            name,
            namespace,
            arguments,
            call_id,
        } => with_namespace(
            json!({
                "type": "function_call", "id": format!("fc_sim{number}_{index}"), "status": "completed",
                "name": name, "arguments": arguments, "call_id": call_id,
            }),
            namespace.as_deref(),
        ),
        Output::CustomCall {
            name,
            namespace,
            input,
            call_id,
        } => with_namespace(
            json!({
                "type": "custom_tool_call", "id": format!("ctc_sim{number}_{index}"), "status": "completed",
                "name": name, "input": input, "call_id": call_id,
            }),
            namespace.as_deref(),
        ),
        Output::Item(item) => item.clone(),
        Output::Event(_) => return None,
    })
}

fn message(id: &str, text: &str) -> Value {
    json!({
        "type": "message", "id": id, "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

fn with_namespace(mut item: Value, namespace: Option<&str>) -> Value {
    if let Some(namespace) = namespace {
        item["namespace"] = json!(namespace);
    }
    item
}

/// How one kind of item is streamed.
struct Shape<'a> {
    /// The field of the item that is empty while it is open, and what it then holds.
    open: (&'static str, Value),
    /// The name of its delta and done events, and the field of the latter that holds the whole.
    deltas: (&'static str, &'static str, Vec<&'a str>),
    /// The part around the deltas: its event name, its index field, its open form.
    part: Option<(&'static str, &'static str, Value)>,
}

impl<'a> Shape<'a> {
    fn of(output: &'a Output) -> Option<Self> {
        Some(match output {
            Output::Text(text) => Self::text(vec![text]),
            Output::Deltas(deltas) => Self::text(deltas.iter().map(String::as_str).collect()),
            Output::Reasoning { summary, .. } => Self {
                open: ("summary", json!([])),
                deltas: ("response.reasoning_summary_text", "text", vec![summary]),
                part: Some((
                    "response.reasoning_summary_part",
                    "summary_index",
                    json!({"type": "summary_text", "text": ""}),
                )),
            },
            Output::Call { arguments, .. } => Self {
                open: ("arguments", json!("")),
                deltas: (
                    "response.function_call_arguments",
                    "arguments",
                    vec![arguments],
                ),
                part: None,
            },
            Output::CustomCall { input, .. } => Self {
                open: ("input", json!("")),
                deltas: ("response.custom_tool_call_input", "input", vec![input]),
                part: None,
            },
            Output::Item(_) | Output::Event(_) => return None,
        })
    }

    fn text(deltas: Vec<&'a str>) -> Self {
        let part = json!({"type": "output_text", "text": "", "annotations": []});
        Self {
            open: ("content", json!([])),
            deltas: ("response.output_text", "text", deltas),
            part: Some(("response.content_part", "content_index", part)),
        }
    }
}

/// The events around one item: added, its deltas, done.
fn item_events(events: &mut Vec<Value>, output: &Output, item: &Value, index: usize) {
    let mut opened = item.clone();
    let Some(Shape {
        open,
        deltas: (name, whole, deltas),
        part,
    }) = Shape::of(output)
    else {
        events.push(
            json!({"type": "response.output_item.added", "output_index": index, "item": opened}),
        );
        events.push(
            json!({"type": "response.output_item.done", "output_index": index, "item": item}),
        );
        return;
    };
    if opened["status"].is_string() {
        opened["status"] = json!("in_progress");
    }
    opened[open.0] = open.1;
    events
        .push(json!({"type": "response.output_item.added", "output_index": index, "item": opened}));
    let at = |kind: &str, field: &str, value: Value| {
        let mut event =
            json!({"type": kind, "item_id": item["id"], "output_index": index, field: value});
        if let Some((_, position, _)) = &part {
            event[*position] = json!(0);
        }
        event
    };
    if let Some((kind, _, empty)) = &part {
        events.push(at(&format!("{kind}.added"), "part", empty.clone()));
    }
    events.extend(
        deltas
            .iter()
            .map(|delta| at(&format!("{name}.delta"), "delta", json!(delta))),
    );
    events.push(at(&format!("{name}.done"), whole, json!(deltas.concat())));
    if let Some((kind, _, _)) = &part {
        events.push(at(&format!("{kind}.done"), "part", item[open.0][0].clone()));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
}
