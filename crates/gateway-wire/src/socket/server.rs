//! What a server sends: the events of a stream, one JSON text each, and `error` messages with the
//! status that a response would have had.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::json::span::{self, Members};
use crate::sse::{data_of, event_type_bytes};
use crate::synthesize;

/// Begins the id of a response that was warmed up here and nowhere else.
pub const WARMUP_ID: &str = "resp_warmup_";

/// Longest text of an error that is no JSON, in bytes.
const MAX_TEXT: usize = 2048;

/// What an event means for a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// An item of the answer is complete: its JSON.
    Item(Bytes),
    /// The response is over, and can be continued under this id.
    Completed(Option<String>),
    /// The response is over and cannot be continued.
    Failed,
    /// An `error` message, which ends a response as well.
    Error,
    /// Anything else.
    Other,
}

impl EventKind {
    /// Whether no event of the response follows.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Completed(_) | Self::Failed | Self::Error)
    }
}

/// Reads what an event means for a conversation.
pub fn read_event(data: &Bytes) -> EventKind {
    match event_type_bytes(data).as_deref() {
        Some(b"response.output_item.done") => span::member(data, 0, "item")
            .and_then(|item| data.get(item))
            .map_or(EventKind::Other, |item| {
                EventKind::Item(Bytes::copy_from_slice(item))
            }),
        Some(b"response.completed" | b"response.incomplete") => {
            let response = span::find(data, 0, "response");
            EventKind::Completed(response.and_then(|at| span::text_of(data, at, "id")))
        }
        Some(b"response.failed") => EventKind::Failed,
        Some(b"error") => EventKind::Error,
        Some(_) | None => EventKind::Other,
    }
}

/// The first message of an upstream, as far as it says how the response begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// An `error`, with the status and the headers that it states.
    Error {
        /// `status` or `status_code`.
        status: Option<u16>,
        /// `error.code`.
        code: Option<String>,
        /// `headers`: texts and numbers.
        headers: Vec<(String, String)>,
    },
    /// Something about the account, which can come at any time.
    Account,
    /// An event of a response.
    Event,
}

impl ServerFrame {
    /// Reads a message.
    pub fn read(data: &[u8]) -> Self {
        match event_type_bytes(data).as_deref() {
            Some(b"error") => {
                let number = |name| {
                    let value = data.get(span::member(data, 0, name)?)?;
                    std::str::from_utf8(value).ok()?.parse().ok()
                };
                let error = span::find(data, 0, "error");
                Self::Error {
                    status: number("status").or_else(|| number("status_code")),
                    code: error.and_then(|at| span::text_of(data, at, "code")),
                    headers: span::find(data, 0, "headers")
                        .map(|at| headers_at(data, at))
                        .unwrap_or_default(),
                }
            }
            Some(name) if !name.starts_with(b"response.") => Self::Account,
            Some(_) => Self::Event,
            None => Self::Account,
        }
    }
}

fn headers_at(data: &[u8], at: usize) -> Vec<(String, String)> {
    let members = Members::new(data, at);
    let texts = members.filter_map(|member| {
        let name = span::text_at(data, &member.key)?;
        let value = match span::text_at(data, &member.value) {
            Some(text) => text,
            None => std::str::from_utf8(data.get(member.value)?)
                .ok()?
                .to_owned(),
        };
        Some((name, value))
    });
    texts.collect()
}

/// A message as an event of a stream. White space of the JSON that would end a line is left out.
pub fn as_event(message: &Bytes) -> Bytes {
    let mut out = Vec::with_capacity(message.len() + 8);
    out.extend_from_slice(b"data: ");
    if message.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
        out.extend(message.iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
    } else {
        out.extend_from_slice(message);
    }
    out.extend_from_slice(b"\n\n");
    Bytes::from(out)
}

/// The message in an event of a stream; `None` for a comment and for the marks of a stream's end.
pub fn as_text(event: &Bytes) -> Option<Bytes> {
    let data = data_of(event)?;
    let data = data.trim_ascii();
    data.starts_with(b"{").then(|| Bytes::copy_from_slice(data))
}

/// What an `error` message is made of.
#[derive(Debug, Clone, Copy)]
pub struct ErrorParts<'a> {
    /// The status of the response.
    pub status: u16,
    /// Headers that a client acts on.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body of the response.
    pub body: &'a Bytes,
}

/// An `error` message in the place of a response that is an error. One that came as a message goes
/// as it came, but never without a status: Codex would wait for more.
pub fn error_frame(parts: ErrorParts<'_>) -> Bytes {
    let ErrorParts {
        status,
        headers,
        body,
    } = parts;
    let is_message = event_type_bytes(body).as_deref() == Some(b"error");
    if is_message
        && let ServerFrame::Error {
            status: Some(_), ..
        } = ServerFrame::read(body)
    {
        return body.clone();
    }
    let found = span::member(body, 0, "error").and_then(|error| body.get(error));
    let found = found.and_then(|error| serde_json::from_slice::<Box<RawValue>>(error).ok());
    let error = match found.filter(|error| error.get().starts_with('{')) {
        Some(error) => error.get().to_owned(),
        None => described(status, is_message, body).to_string(),
    };
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let mut text = format!(r#"{{"type":"error","status":{status},"error":{error}"#);
    if !headers.is_empty() {
        text.push_str(r#","headers":"#);
        text.push_str(&Value::Object(headers).to_string());
    }
    text.push('}');
    Bytes::from(text)
}

/// An error whose body does not describe it the usual way.
fn described(status: u16, is_message: bool, body: &Bytes) -> Value {
    let member = |name| span::text_of(body, 0, name);
    let text = String::from_utf8_lossy(body.get(..MAX_TEXT).unwrap_or(body)).into_owned();
    let message = member("message").or_else(|| member("detail"));
    let kind = if status < 500 {
        "invalid_request_error"
    } else {
        "server_error"
    };
    json!({
        "type": kind,
        "code": if is_message { member("code") } else { None },
        "message": message.unwrap_or(text),
    })
}

/// The events of a response that was warmed up and generates nothing.
pub fn warmup_events(id: &str, model: &str) -> Bytes {
    let response = |status: &str, usage: Value| {
        json!({
            "id": id,
            "object": "response",
            "created_at": 0,
            "status": status,
            "model": model,
            "output": [],
            "usage": usage,
        })
    };
    let usage = json!({
        "input_tokens": 0,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 0,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 0,
    });
    let created =
        json!({ "type": "response.created", "response": response("in_progress", Value::Null) });
    let completed =
        json!({ "type": "response.completed", "response": response("completed", usage) });
    Bytes::from(format!("data: {created}\n\ndata: {completed}\n\n"))
}

/// The messages for a response that came whole instead of as a stream.
pub fn whole_reply(body: &Bytes) -> Vec<Bytes> {
    let Ok(response) = serde_json::from_slice::<Value>(body) else {
        let event = synthesize::response_failed(
            None,
            "upstream_unreadable",
            "the upstream's response is not JSON",
        );
        return as_text(&event).into_iter().collect();
    };
    let mut created = response.clone();
    if let Some(object) = created.as_object_mut() {
        object.insert("output".to_owned(), json!([]));
        object.insert("status".to_owned(), json!("in_progress"));
    }
    let items = response.get("output").and_then(Value::as_array);
    let status = response.get("status").and_then(Value::as_str);
    let last = match status {
        Some("failed") => "response.failed",
        Some("incomplete") => "response.incomplete",
        Some(_) | None => "response.completed",
    };
    let mut events = vec![json!({ "type": "response.created", "response": created })];
    for (index, item) in items.into_iter().flatten().enumerate() {
        let kind = ["response.output_item.added", "response.output_item.done"];
        events
            .extend(kind.map(|kind| json!({ "type": kind, "output_index": index, "item": item })));
    }
    events.push(json!({ "type": last, "response": response }));
    events
        .iter()
        .map(|event| Bytes::from(event.to_string()))
        .collect()
}

/// A message that says in an event what a response over HTTP says in its headers. Codex reads each
/// of them in an event of its own name.
pub fn metadata_event(kind: &str, headers: &[(&str, &str)]) -> Bytes {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    Bytes::from(json!({ "type": kind, "headers": headers }).to_string())
}
