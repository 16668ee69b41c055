//! From a `response.create` message to the request that it would have been over HTTP.

use std::sync::Arc;

use axum::body::Body;
use gateway_wire::socket::CreateFrame;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};

use crate::exchange::socket_turn::SocketTurn;
use crate::ids::RequestId;
use crate::upstream::headers::LITE_HEADER;

/// What the handshake says of a turn, and each message says anew.
const OF_A_TURN: [&str; 6] = [
    "x-codex-turn-metadata",
    "x-codex-turn-state",
    "x-codex-window-id",
    "x-codex-parent-thread-id",
    "x-openai-subagent",
    "x-openai-memgen-request",
];
/// Where a message says what only a header can say over HTTP.
const LITE_MEMBER: &str = "ws_request_header_x_openai_internal_codex_responses_lite";
/// How Codex asks for the protocol of the socket.
const BETA: &str = "openai-beta";

/// The handshake as the start of every request: without what belongs to the connection.
pub(super) fn template(mut parts: Parts) -> Parts {
    parts.method = Method::POST;
    let headers = &mut parts.headers;
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("sec-websocket-"))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
    for name in [header::CONNECTION, header::UPGRADE, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    remove_beta(headers);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("text/event-stream"),
    );
    parts
}

/// A request over HTTP asks for no protocol of sockets.
fn remove_beta(headers: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = headers
        .get_all(BETA)
        .iter()
        .filter(|value| !value.as_bytes().starts_with(b"responses_websockets="))
        .cloned()
        .collect();
    headers.remove(BETA);
    for value in kept {
        headers.append(BETA, value);
    }
}

/// The request for one message.
pub(super) fn request(template: &Parts, turn: SocketTurn) -> Request<Body> {
    let mut request = Request::new(Body::from(turn.frame().body()));
    *request.method_mut() = template.method.clone();
    *request.uri_mut() = template.uri.clone();
    *request.headers_mut() = template.headers.clone();
    *request.extensions_mut() = template.extensions.clone();
    add_turn(request.headers_mut(), turn.frame());
    request.extensions_mut().insert(RequestId::generate());
    request.extensions_mut().insert(Arc::new(turn));
    request
}

/// What belongs to the turn: the handshake's is old by the second one.
fn add_turn(headers: &mut HeaderMap, frame: &CreateFrame) {
    for name in OF_A_TURN {
        headers.remove(name);
    }
    headers.remove(LITE_HEADER);
    for (key, value) in frame.client_metadata() {
        let name = if key == LITE_MEMBER {
            LITE_HEADER
        } else if let Some(name) = OF_A_TURN.iter().find(|name| *name == key) {
            name
        } else {
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.insert(name, value);
        }
    }
}
