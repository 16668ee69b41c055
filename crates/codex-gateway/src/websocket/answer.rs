//! The answer to one message: what an exchange responds over HTTP, as messages.

use std::future::Future;
use std::pin::Pin;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use gateway_wire::socket::{
    ErrorParts, EventKind, as_text, error_frame, metadata_event, read_event, whole_reply,
};
use gateway_wire::sse::{Frame, Splitter};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::error::ErrorCode;

/// Longest body of an error that is put into a message.
const MAX_ERROR: usize = 1 << 20;
/// Where a server keeps what belongs to one turn.
const TURN_STATE: &str = "x-codex-turn-state";

type Pending = Pin<Box<dyn Future<Output = Response> + Send>>;

/// An answer that arrives.
pub(super) struct Answer {
    source: Source,
    max: usize,
    /// Whether the client is told in events what HTTP says in headers.
    wants_metadata: bool,
    metadata: Vec<Bytes>,
}

enum Source {
    Head(Pending),
    Events(Splitter, Body),
    /// An error, or a response that does not stream.
    Whole(StatusCode, HeaderMap, BytesMut, Body),
    Over,
}

/// Messages for the client, with what they mean.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) texts: Vec<Bytes>,
    pub(super) items: Vec<Bytes>,
    /// How the response ended, if it did.
    pub(super) end: Option<EventKind>,
}

impl Answer {
    /// An answer that `response` resolves to. `max`: the largest event, and the largest response
    /// that does not stream.
    pub(super) fn new(
        response: impl Future<Output = Response> + Send + 'static,
        max: usize,
        wants_metadata: bool,
    ) -> Self {
        Self {
            source: Source::Head(Box::pin(response)),
            max,
            wants_metadata,
            metadata: Vec::new(),
        }
    }

    /// The next messages. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Messages {
        match &mut self.source {
            Source::Head(response) => {
                let response = response.await;
                self.begin(response);
                Messages::default()
            }
            Source::Events(_, body) => {
                let piece = body.frame().await;
                self.take_events(piece.map(|piece| piece.map(http_body::Frame::into_data)))
            }
            Source::Whole(_, _, _, body) => {
                let piece = body.frame().await;
                self.take_whole(piece.map(|piece| piece.map(http_body::Frame::into_data)))
            }
            Source::Over => Messages::default(),
        }
    }

    fn begin(&mut self, response: Response) {
        let (parts, body) = response.into_parts();
        let content = parts.headers.get(header::CONTENT_TYPE);
        let is_stream = content.is_some_and(|value| value.as_bytes() == b"text/event-stream");
        self.source = if parts.status.is_success() && is_stream {
            if self.wants_metadata {
                self.metadata = metadata(&parts.headers);
            }
            // Room for the framing of an event that is as large as allowed.
            Source::Events(Splitter::new(self.max.saturating_add(64 * 1024)), body)
        } else {
            Source::Whole(parts.status, parts.headers, BytesMut::new(), body)
        };
    }

    fn take_events(
        &mut self,
        piece: Option<Result<Result<Bytes, http_body::Frame<Bytes>>, axum::Error>>,
    ) -> Messages {
        let Source::Events(splitter, _) = &mut self.source else {
            return Messages::default();
        };
        let mut frames: Vec<Frame> = Vec::new();
        let is_open = match piece {
            Some(Ok(Ok(piece))) => splitter.push(piece, &mut frames).is_ok(),
            Some(Ok(Err(_trailers))) => true,
            Some(Err(_)) => false,
            None => {
                frames.extend(splitter.finish());
                false
            }
        };
        let mut messages = Messages::default();
        for text in frames.iter().filter_map(|frame| as_text(&frame.raw)) {
            let kind = read_event(&text);
            if let EventKind::Item(item) = kind {
                messages.items.push(item);
                messages.texts.push(text);
                continue;
            }
            let is_end = kind.is_end();
            if kind == EventKind::Error {
                messages.texts.push(with_status(&text));
            } else {
                messages.texts.push(text);
            }
            messages.texts.append(&mut self.metadata);
            if is_end {
                // Nothing that follows is of use, and the body is dropped with it.
                messages.end = Some(kind);
                self.source = Source::Over;
                return messages;
            }
        }
        if !is_open {
            messages.texts.push(cut_off());
            messages.end = Some(EventKind::Error);
            self.source = Source::Over;
        }
        messages
    }

    fn take_whole(
        &mut self,
        piece: Option<Result<Result<Bytes, http_body::Frame<Bytes>>, axum::Error>>,
    ) -> Messages {
        let Source::Whole(status, headers, collected, _) = &mut self.source else {
            return Messages::default();
        };
        let max = if status.is_success() {
            self.max
        } else {
            MAX_ERROR
        };
        let is_over = match piece {
            Some(Ok(Ok(piece))) if collected.len() + piece.len() <= max => {
                collected.extend_from_slice(&piece);
                false
            }
            Some(Ok(Err(_trailers))) => false,
            Some(Ok(Ok(_)) | Err(_)) | None => true,
        };
        if !is_over {
            return Messages::default();
        }
        let body = std::mem::take(collected).freeze();
        let mut messages = Messages::default();
        if status.is_success() {
            messages.texts = whole_reply(&body);
            for event in &messages.texts {
                match read_event(event) {
                    EventKind::Item(item) => messages.items.push(item),
                    EventKind::Other => {}
                    end @ (EventKind::Completed(_) | EventKind::Failed | EventKind::Error) => {
                        messages.end = Some(end);
                    }
                }
            }
        } else {
            let headers = told(headers);
            let parts = ErrorParts {
                status: status.as_u16(),
                headers: &headers,
                body: &body,
            };
            messages.texts.push(error_frame(parts));
            messages.end = Some(EventKind::Error);
        }
        self.source = Source::Over;
        messages
    }
}

/// An error of our own as a message.
pub(super) fn refusal(error: crate::error::GatewayError) -> Answer {
    use axum::response::IntoResponse as _;
    Answer::new(std::future::ready(error.into_response()), MAX_ERROR, false)
}

/// An `error` in the middle of an answer; Codex waits for more unless it has a status.
fn with_status(text: &Bytes) -> Bytes {
    error_frame(ErrorParts {
        status: 500,
        headers: &[],
        body: text,
    })
}

/// The answer ended before its last event.
fn cut_off() -> Bytes {
    let code = ErrorCode::UpstreamTruncated;
    let body = gateway_wire::synthesize::error_body(
        "the response was cut off",
        code.row().kind,
        Some(code.as_str()),
        None,
    );
    error_frame(ErrorParts {
        status: code.row().status.as_u16(),
        headers: &[],
        body: &body,
    })
}

/// The headers of an error that a client acts on.
fn told(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let is_told = |name: &str| {
        name == "retry-after" || name.starts_with("x-codex-") || name == "x-request-id"
    };
    let texts = headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        is_told(name.as_str()).then_some((name.as_str(), value))
    });
    texts.collect()
}

/// What Codex reads from headers over HTTP and from events over a socket.
fn metadata(headers: &HeaderMap) -> Vec<Bytes> {
    let value = |name: &'static str| headers.get(name)?.to_str().ok().map(|value| (name, value));
    let event = |kind, header: (&str, &str)| metadata_event(kind, &[header]);
    let state = value(TURN_STATE).map(|header| event("response.metadata", header));
    let etag = value("x-models-etag").map(|header| event("codex.response.metadata", header));
    state.into_iter().chain(etag).collect()
}
