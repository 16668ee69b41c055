//! `POST /v1/doctor`: tells a client what of its request has arrived here, in events with pauses
//! between them. `codex-gateway doctor` finds out by it what lies on the way: a proxy that drops
//! headers, decodes bodies or holds a stream back.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The headers that are looked for: those that Codex sends, and that proxies lose.
pub const HEADERS: [&str; 7] = [
    "authorization",
    "session-id",
    "session_id",
    "thread-id",
    "x-codex-turn-metadata",
    "x-codex-window-id",
    "x-gateway-key",
];
/// How many events are sent.
pub const EVENTS: u32 = 4;
/// Before each event but the first.
pub const PAUSE: Duration = Duration::from_millis(250);

/// What has arrived. Names and digests, no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Those of [`HEADERS`] that arrived.
    pub headers: Vec<String>,
    /// How the body is compressed.
    pub encoding: Option<String>,
    /// The SHA-256 of the body as it arrived.
    pub sha256: String,
    /// The version of the gateway.
    pub version: String,
}

/// Answers for at most a second, to anybody: it says what the caller has sent, and nothing else.
pub async fn answer(headers: HeaderMap, body: Bytes) -> Response {
    let arrived = Arrived {
        headers: HEADERS
            .into_iter()
            .filter(|name| headers.contains_key(*name))
            .map(str::to_owned)
            .collect(),
        encoding: headers
            .get(header::CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.chars().take(20).collect()),
        sha256: hex::encode(Sha256::digest(&body)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let text = serde_json::to_string(&arrived).unwrap_or_default();
    let events = futures_util::stream::iter(0..EVENTS).then(move |number| {
        let event = format!("event: {number}\ndata: {text}\n\n");
        async move {
            if number > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            Ok::<_, Infallible>(event)
        }
    });
    let mut response = Body::from_stream(events).into_response();
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
