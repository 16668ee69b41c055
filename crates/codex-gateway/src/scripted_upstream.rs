//! A small upstream on loopback that answers every model with the same text, for `doctor` and
//! `demo`: what is sent to it leaves neither the machine nor a trace.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{self, Listener};
use crate::tasks::Tasks;

/// What it says.
pub const ANSWER: &str = "Hello from the scripted upstream of codex-gateway. \
                          Nothing of this left the machine.";
/// Largest request.
const MOST_BYTES: usize = 64 << 20;
/// Between two words, so that a stream looks like one.
const PAUSE: Duration = Duration::from_millis(15);
/// Most requests that are remembered.
const MOST_SEEN: usize = 1000;

/// What is known about a request that arrived; no content and no credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRequest {
    pub path: &'static str,
    pub model: Option<String>,
    /// How the body was compressed.
    pub encoding: Option<String>,
}

/// The requests that arrived.
pub type SeenRequests = Arc<Mutex<Vec<SeenRequest>>>;

/// An upstream that is bound and not served yet.
pub struct ScriptedUpstream {
    socket: TcpListener,
    address: SocketAddr,
    seen: SeenRequests,
}

impl ScriptedUpstream {
    /// Takes a free port on loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn bind() -> std::io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            seen: SeenRequests::default(),
        })
    }

    /// The base URL for the configuration of a gateway.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What will have arrived.
    pub fn seen(&self) -> SeenRequests {
        Arc::clone(&self.seen)
    }

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, tasks: &Tasks, stop: CancellationToken) {
        let router = Router::new()
            .route("/v1/responses", post(responses))
            .route("/v1/chat/completions", post(chat))
            .route("/v1/models", get(models))
            .layer(DefaultBodyLimit::max(MOST_BYTES))
            .with_state(self.seen);
        let listener = Listener {
            socket: self.socket,
            router,
            tls: None,
        };
        server::serve(listener, tasks, stop).await;
    }
}

async fn models() -> Response {
    axum::Json(json!({"object": "list", "data": [], "models": []})).into_response()
}

async fn responses(State(seen): State<SeenRequests>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(request) = note(&seen, "/responses", &headers, &body) else {
        return unreadable();
    };
    let usage = MadeUpUsage::of(&body);
    let id = format!("resp_{}", uuid::Uuid::now_v7().simple());
    let whole = json!({
        "id": id, "object": "response", "status": "completed", "model": request.model,
        "output": [{"type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": ANSWER, "annotations": []}]}],
        "usage": usage.responses(),
    });
    if !request.is_stream {
        return axum::Json(whole).into_response();
    }
    let open = json!({"type": "message", "id": "msg_scripted", "role": "assistant", "content": []});
    let mut events = vec![
        json!({"type": "response.created", "response": {"id": id, "status": "in_progress", "model": request.model}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": open}),
    ];
    events.extend(words().map(|word| {
        json!({"type": "response.output_text.delta", "item_id": "msg_scripted", "output_index": 0,
            "content_index": 0, "delta": word})
    }));
    let item = whole.pointer("/output/0").cloned();
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": whole}));
    let mut number = 0;
    stream(events.into_iter().map(move |mut event| {
        if let Some(fields) = event.as_object_mut() {
            fields.insert("sequence_number".to_owned(), json!(number));
            number += 1;
        }
        let kind = event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        format!("event: {kind}\ndata: {event}\n\n")
    }))
}

async fn chat(State(seen): State<SeenRequests>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(request) = note(&seen, "/chat/completions", &headers, &body) else {
        return unreadable();
    };
    let usage = MadeUpUsage::of(&body).chat();
    let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
    if !request.is_stream {
        return axum::Json(json!({
            "id": id, "object": "chat.completion", "created": 0, "model": request.model,
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": ANSWER}}],
            "usage": usage,
        }))
        .into_response();
    }
    let model = request.model;
    let chunk = move |delta: Value, end: Value, usage: Value| {
        json!({"id": id, "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": end}], "usage": usage})
    };
    let mut chunks: Vec<Value> = words()
        .map(|word| {
            chunk(
                json!({"role": "assistant", "content": word}),
                Value::Null,
                Value::Null,
            )
        })
        .collect();
    chunks.push(chunk(json!({}), json!("stop"), usage));
    let lines = chunks.into_iter().map(|chunk| format!("data: {chunk}\n\n"));
    stream(lines.chain(std::iter::once("data: [DONE]\n\n".to_owned())))
}

fn stream(parts: impl Iterator<Item = String> + Send + 'static) -> Response {
    let parts = futures_util::stream::iter(parts).then(|part| async move {
        tokio::time::sleep(PAUSE).await;
        Ok::<_, Infallible>(part)
    });
    let mut response = Body::from_stream(parts).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn words() -> impl Iterator<Item = &'static str> {
    ANSWER.split_inclusive(' ')
}

/// What of a request shapes the answer.
struct Asked {
    model: Option<String>,
    is_stream: bool,
}

fn note(
    seen: &SeenRequests,
    path: &'static str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<Asked> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let decoded = match encoding {
        Some("zstd") => {
            let mut decoded = Vec::new();
            let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
            let decoder = zstd::stream::read::Decoder::new(body).ok()?;
            decoder.take(limit).read_to_end(&mut decoded).ok()?;
            decoded
        }
        Some(_) | None => body.to_vec(),
    };
    let request: Value = serde_json::from_slice(&decoded).ok()?;
    let model = request
        .get("model")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.len() < MOST_SEEN {
        seen.push(SeenRequest {
            path,
            model: model.clone(),
            encoding: encoding.map(str::to_owned),
        });
    }
    Some(Asked {
        model,
        is_stream: request
            .get("stream")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

fn unreadable() -> Response {
    let error =
        json!({"error": {"message": "the body is not JSON", "type": "invalid_request_error"}});
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// Token counts that look like a turn of a session: most of the input was there before.
struct MadeUpUsage {
    input: usize,
    cached: usize,
    output: usize,
}

impl MadeUpUsage {
    fn of(body: &[u8]) -> Self {
        let input = body.len() / 4 + 1;
        Self {
            input,
            cached: input / 4 * 3,
            output: words().count() * 2,
        }
    }

    fn responses(&self) -> Value {
        json!({"input_tokens": self.input, "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": self.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input + self.output})
    }

    fn chat(&self) -> Value {
        json!({"prompt_tokens": self.input, "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens": self.output, "total_tokens": self.input + self.output})
    }
}
