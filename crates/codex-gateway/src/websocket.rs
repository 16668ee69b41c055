//! Responses over WebSocket: takes over the connection of a handshake, and runs one exchange for each
//! `response.create` message, through the same walk as a request over HTTP.
//!
//! A handshake is refused with 426 alone: Codex then goes over to HTTP at once and silently, and hears
//! there what is wrong. Any other status costs its user seven attempts.

mod answer;
mod frame_request;
mod history;
mod io;
mod session;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::exchange::authenticate::{Keyless, authenticate, check_route};
use crate::exchange::proxy::Proxy;
use crate::identity::caller::Caller;
use crate::message_socket::{self, Side};
use crate::socket_budget::SocketLimits;
use history::History;
use session::Session;

/// How long the connection may take to be handed over.
const HANDOVER: Duration = Duration::from_secs(10);

/// Answers a request for a WebSocket, and serves it.
pub async fn accept(proxy: Arc<Proxy>, mut request: Request<Body>) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (parts, _) = request.into_parts();
    let config = proxy.config.load_full();
    let server = &config.settings.server;
    let is_served = server.websocket
        && !proxy.tasks.draining().is_cancelled()
        && is_handshake(&parts.method, parts.version, &parts.headers);
    let (true, Some(upgrade)) = (is_served, upgrade) else {
        return refused();
    };
    let instance = &proxy.instance;
    let caller = authenticate(
        &proxy.keys,
        &config.settings,
        instance,
        &parts,
        Keyless::Refused,
    );
    let Ok(caller) = caller.await else {
        return refused();
    };
    if check_route(&caller).is_err() {
        return refused();
    }
    let limits = SocketLimits {
        total: server.max_websockets,
        per_caller: server.max_websockets_per_caller,
    };
    let Some(permit) = proxy.sockets.try_acquire(&socket_owner(&caller), limits) else {
        proxy
            .metrics
            .limit_rejections
            .with_label_values(&["websockets"])
            .inc();
        return refused();
    };
    let max = server.max_request_body;
    let response = switching(&parts.headers, max);
    let tasks = proxy.tasks.clone();
    let history = History::new(permit, max);
    let session = Session::new(proxy, frame_request::template(parts), history);
    tasks.spawn_exchange(async move {
        let Ok(Ok(connection)) = tokio::time::timeout(HANDOVER, upgrade).await else {
            return;
        };
        let connection = Box::new(TokioIo::new(connection));
        let (writer, reader) = message_socket::open(connection, Side::Server, max).await;
        session.run(writer, reader).await;
    });
    response
}

/// Whose sockets are counted together: those of a gateway key, else of a credential.
fn socket_owner(caller: &Caller) -> String {
    caller.label.clone()
}

/// 426 with an empty body: on this, and on nothing else, Codex goes over to HTTP at once.
fn refused() -> Response {
    let mut response = StatusCode::UPGRADE_REQUIRED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether a request asks for a WebSocket as RFC 6455 §4.2.1 has it.
fn is_handshake(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, word: &str| {
        let values = headers.get_all(name).iter();
        let words = values.filter_map(|value| value.to_str().ok());
        words
            .flat_map(|value| value.split(','))
            .any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    method == Method::GET
        && version == Version::HTTP_11
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13")
        && headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

/// 101. Names no extension and no sub-protocol: what a client offers is declined.
fn switching(request: &HeaderMap, max_message: usize) -> Response {
    let key = request.get(header::SEC_WEBSOCKET_KEY);
    let accept = message_socket::accept_key(key.map_or(b"", HeaderValue::as_bytes));
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    headers.insert(
        HeaderName::from_static("x-codex-websocket-max-message-bytes"),
        HeaderValue::from(max_message),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_handshake_is_one() {
        let complete = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers = |left_out: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in complete {
                if Some(name) != left_out {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            headers
        };
        let check = |headers| is_handshake(&Method::GET, Version::HTTP_11, &headers);
        assert!(check(headers(None)));
        for (name, _) in complete {
            assert!(!check(headers(Some(name))), "{name}");
        }
        let response = switching(&headers(None), 7);
        // The example of RFC 6455.
        assert_eq!(
            response.headers().get("sec-websocket-accept").unwrap(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(
            response
                .headers()
                .get("x-codex-websocket-max-message-bytes")
                .unwrap(),
            "7"
        );
    }
}
