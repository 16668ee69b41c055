//! A whole answer as the stream that the client asked for: the same events in the same order as if
//! it had been streamed.

use serde_json::value::RawValue;

use super::read::{ReplyError, plain, read_answer, unreadable};
use crate::WireApi;
use crate::chat::{Choice, Message};
use crate::json::raw::{Fields, Literal, fields_of, text_of};
use crate::json::write::JsonWriter;
use crate::responses::{Item, parts_of};
use crate::stream::{Step, StepKind};
use crate::translate::chat_content::{ContentPiece, TextKind, pieces_of};
use crate::translate::chunk_writer::{CallHead, ChunkWriter};
use crate::translate::emit::Emitter;

/// Expands a plain JSON answer of `wire` into a stream of the same wire. `wants_usage` counts for
/// Chat alone.
///
/// # Errors
/// When the body is an error, or not an answer that can be read.
pub fn json_as_stream(
    wire: WireApi,
    body: &[u8],
    wants_usage: bool,
) -> Result<Vec<Step>, ReplyError> {
    let mut emit = match wire {
        WireApi::Responses => responses(&read_answer(body, "output")?.fields()?)?,
        WireApi::Chat => chat(&read_answer(body, "choices")?.fields()?, wants_usage)?,
    };
    let mut steps = Vec::new();
    emit.flush(&mut steps);
    Ok(steps)
}

fn responses(response: &Fields<'_>) -> Result<Emitter, ReplyError> {
    let mut emit = Emitter::new(false);
    for name in ["response.created", "response.in_progress"] {
        emit.event(StepKind::Preamble, name, |json| {
            json.key("response").begin_object();
            for (key, value) in &response.0 {
                match &**key {
                    "status" => json.field_str("status", "in_progress"),
                    "output" => json.field_raw("output", "[]"),
                    "usage" | "error" | "incomplete_details" | "completed_at" => {
                        json.field_raw(key, "null")
                    }
                    _ => json.field_raw(key, value.get()),
                };
            }
            json.end_object();
        });
    }
    for (index, raw) in response
        .array("output")
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        item(&mut emit, index as u64, raw)
            .ok_or_else(|| unreadable(format!("`output[{index}]` cannot be read")))?;
    }
    let name = match response.text("status").as_deref() {
        Some("failed") => "response.failed",
        Some("incomplete") => "response.incomplete",
        Some(_) | None => "response.completed",
    };
    emit.event(StepKind::Terminal, name, |json| {
        json.key("response").begin_object();
        for (key, value) in &response.0 {
            json.field_raw(key, value.get());
        }
        json.end_object();
    });
    Ok(emit)
}

/// One item: added empty, its parts, done whole. `None` when it cannot be read.
fn item(emit: &mut Emitter, index: u64, raw: &RawValue) -> Option<()> {
    let fields: Fields<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let item = Item::read(raw)?;
    let id = plain(item.id);
    emit.event(StepKind::Output, "response.output_item.added", |json| {
        json.field_number("output_index", index)
            .key("item")
            .begin_object();
        for (key, value) in &fields.0 {
            match (&**key, item.kind()) {
                ("status", _) => json.field_str("status", "in_progress"),
                ("content", "message") | ("summary", "reasoning") => json.field_raw(key, "[]"),
                ("arguments", "function_call") | ("input", "custom_tool_call") => {
                    json.field_str(key, "")
                }
                _ => json.field_raw(key, value.get()),
            };
        }
        json.end_object();
    });
    let refer = |json: &mut JsonWriter| {
        json.field_str("item_id", &id)
            .field_number("output_index", index);
    };
    match item.kind() {
        "message" => message_parts(emit, &refer, item.content)?,
        "reasoning" => summary_parts(emit, &refer, item.summary)?,
        "function_call" => whole(
            emit,
            &refer,
            "response.function_call_arguments",
            "arguments",
            item.arguments,
        ),
        "custom_tool_call" => whole(
            emit,
            &refer,
            "response.custom_tool_call_input",
            "input",
            item.input,
        ),
        _ => {}
    }
    emit.event(StepKind::Output, "response.output_item.done", |json| {
        json.field_number("output_index", index)
            .field_raw("item", raw.get());
    });
    Some(())
}

/// One delta and one `done` with all of a text.
fn whole(
    emit: &mut Emitter,
    refer: &impl Fn(&mut JsonWriter),
    name: &str,
    field: &str,
    text: Option<&RawValue>,
) {
    let text = text
        .and_then(Literal::of)
        .unwrap_or_else(|| Literal::plain(""));
    for (suffix, field) in [("delta", "delta"), ("done", field)] {
        emit.event(StepKind::Output, &format!("{name}.{suffix}"), |json| {
            refer(json);
            json.key(field).literal(&text);
        });
    }
}

fn message_parts(
    emit: &mut Emitter,
    refer: &impl Fn(&mut JsonWriter),
    content: Option<&RawValue>,
) -> Option<()> {
    for (n, part) in parts_of(content)?.into_iter().enumerate() {
        let (kind, text) = match part.refusal.filter(|_| part.text.is_none()) {
            Some(refusal) => ("refusal", Some(refusal)),
            None => ("text", part.text),
        };
        let text = text
            .and_then(Literal::of)
            .unwrap_or_else(|| Literal::plain(""));
        let logprobs = part.logprobs.map_or("[]", RawValue::get);
        let place = |json: &mut JsonWriter| {
            refer(json);
            json.field_number("content_index", n as u64);
        };
        emit.event(StepKind::Output, "response.content_part.added", |json| {
            place(json);
            write_part(json, kind, &Literal::plain(""), ["[]", "[]"]);
        });
        let base = if kind == "refusal" {
            "response.refusal"
        } else {
            "response.output_text"
        };
        for (suffix, field) in [("delta", "delta"), ("done", kind)] {
            emit.event(StepKind::Output, &format!("{base}.{suffix}"), |json| {
                place(json);
                json.key(field).literal(&text);
                if kind == "text" {
                    json.field_raw("logprobs", logprobs);
                }
            });
        }
        emit.event(StepKind::Output, "response.content_part.done", |json| {
            place(json);
            let annotations = part.annotations.map_or("[]", RawValue::get);
            write_part(json, kind, &text, [annotations, logprobs]);
        });
    }
    Some(())
}

/// A part of a message. Only text has annotations and logprobs.
fn write_part(
    json: &mut JsonWriter,
    kind: &str,
    text: &Literal<'_>,
    [annotations, logprobs]: [&str; 2],
) {
    json.key("part").begin_object();
    if kind == "refusal" {
        json.field_str("type", "refusal")
            .key("refusal")
            .literal(text);
    } else {
        json.field_str("type", "output_text")
            .key("text")
            .literal(text);
        json.field_raw("annotations", annotations)
            .field_raw("logprobs", logprobs);
    }
    json.end_object();
}

fn summary_parts(
    emit: &mut Emitter,
    refer: &impl Fn(&mut JsonWriter),
    summary: Option<&RawValue>,
) -> Option<()> {
    for (n, part) in parts_of(summary)?.into_iter().enumerate() {
        let text = part
            .text
            .and_then(Literal::of)
            .unwrap_or_else(|| Literal::plain(""));
        let place = |json: &mut JsonWriter| {
            refer(json);
            json.field_number("summary_index", n as u64);
        };
        let write_part = |json: &mut JsonWriter, text: &Literal<'_>| {
            place(json);
            json.key("part")
                .begin_object()
                .field_str("type", "summary_text")
                .key("text")
                .literal(text)
                .end_object();
        };
        emit.event(
            StepKind::Output,
            "response.reasoning_summary_part.added",
            |json| write_part(json, &Literal::plain("")),
        );
        for (suffix, field) in [("delta", "delta"), ("done", "text")] {
            emit.event(
                StepKind::Output,
                &format!("response.reasoning_summary_text.{suffix}"),
                |json| {
                    place(json);
                    json.key(field).literal(&text);
                },
            );
        }
        emit.event(
            StepKind::Output,
            "response.reasoning_summary_part.done",
            |json| write_part(json, &text),
        );
    }
    Some(())
}

fn chat(answer: &Fields<'_>, wants_usage: bool) -> Result<Emitter, ReplyError> {
    let choice: Choice<'_> = answer
        .array("choices")
        .and_then(|choices| choices.first().copied())
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or_else(|| unreadable("it has no choice"))?;
    let created = answer
        .get("created")
        .and_then(|created| created.get().parse().ok())
        .unwrap_or(0);
    let model = plain(answer.get("model"));
    let mut chunks = ChunkWriter::named(plain(answer.get("id")), created, &model, wants_usage);
    chunks.role(StepKind::Preamble);
    let message = choice.message.unwrap_or_default();
    chat_texts(&mut chunks, &message, choice.logprobs)
        .ok_or_else(|| unreadable("its content cannot be read"))?;
    for (index, call) in message.tool_calls.iter().flatten().enumerate() {
        let (name, text) = match (&call.function, &call.custom) {
            (_, Some(custom)) => (custom.name.as_ref(), custom.input),
            (Some(function), None) => (function.name.as_ref(), function.arguments),
            (None, None) => continue,
        };
        let id = call.id.and_then(text_of).unwrap_or_default();
        let head = CallHead {
            index,
            id: &id,
            name: name.map_or("", |name| &name.0),
            is_custom: call.custom.is_some(),
        };
        let text = text.map(|raw| Literal::of(raw).unwrap_or_else(|| Literal::plain(raw.get())));
        chunks.call(&head, &text.unwrap_or_else(|| Literal::plain("")));
    }
    let usage = answer.get("usage").map_or("null", RawValue::get);
    let finish = choice
        .finish_reason
        .as_ref()
        .map_or("stop", |finish| &finish.0);
    chunks.finish(finish, usage, answer.text("service_tier").as_deref());
    Ok(chunks.emit)
}

fn chat_texts(
    chunks: &mut ChunkWriter,
    message: &Message<'_>,
    logprobs: Option<&RawValue>,
) -> Option<()> {
    for (name, raw, kind) in [
        (
            "reasoning_content",
            message.reasoning_content,
            TextKind::Reasoning,
        ),
        ("reasoning", message.reasoning, TextKind::Reasoning),
        ("content", message.content, TextKind::Text),
        ("refusal", message.refusal, TextKind::Refusal),
    ] {
        let Some(raw) = raw else { continue };
        for piece in pieces_of(raw, kind)? {
            let (name, text) = match piece {
                ContentPiece::Text(text) => (name, text),
                ContentPiece::Reasoning(text) if kind == TextKind::Reasoning => (name, text),
                ContentPiece::Reasoning(text) => ("reasoning_content", text),
                ContentPiece::Refusal(text) => ("refusal", text),
                ContentPiece::Lost(_) => continue,
            };
            let fields = logprobs.filter(|_| name == "content").and_then(fields_of);
            let logprobs = fields.and_then(|fields| fields.get("content").map(RawValue::get));
            chunks.text(name, &text, logprobs);
        }
    }
    Some(())
}
