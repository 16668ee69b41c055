//! The endpoint table and the layers: both, and only here. No layer looks at a model.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, on, post};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue, header};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::client_address::Peer;
use crate::config::active::SharedConfig;
use crate::endpoint::{Deprecation, Endpoint, Route};
use crate::error::{ErrorCode, GatewayError};
use crate::exchange;
use crate::exchange::proxy::Proxy;
use crate::http::listener::ListenerRole;
use crate::http::state::HttpState;
use crate::http::{admin, connection_check, cross_origin, dashboard, me, models, ops, pages};
use crate::ids::RequestId;
use crate::websocket;

/// Largest body of a request that only asks what arrives.
const CHECK_BYTES: usize = 64 << 10;

/// A path and what answers there.
pub type OwnRoute = (&'static str, fn() -> MethodRouter<HttpState>);

/// On every listener.
pub const EVERYWHERE: [OwnRoute; 3] = [
    ("/healthz", || get(ops::healthz)),
    ("/readyz", || get(ops::readyz)),
    // Not an administrator's: the holder of a key asks for what is theirs.
    ("/api/me/usage", || get(me::usage)),
];
/// Not on a listener for proxied requests alone.
pub const METRICS: [OwnRoute; 1] = [("/metrics", || get(ops::metrics))];
/// Beside the endpoint table, below `/v1` and without it.
pub const BESIDE_ENDPOINTS: [OwnRoute; 4] = [
    ("/doctor", || {
        post(connection_check::answer).layer(DefaultBodyLimit::max(CHECK_BYTES))
    }),
    ("/responses", || get(upgrade)),
    ("/models", || get(models::list)),
    ("/models/{*id}", || get(models::one)),
];

fn with(router: Router<HttpState>, routes: &[OwnRoute]) -> Router<HttpState> {
    routes.iter().fold(router, |router, (path, handler)| {
        router.route(path, handler())
    })
}

/// Everything that is served. Callable without a socket.
pub fn router(state: HttpState, role: ListenerRole) -> Router {
    let mut router = with(Router::new(), &EVERYWHERE);
    if role != ListenerRole::Administration {
        // Codex appends `/responses` to whatever `base_url` says, so everything answers with and
        // without `/v1`.
        let proxied = proxied();
        router = router.merge(proxied.clone()).nest("/v1", proxied);
    }
    if role != ListenerRole::Proxy {
        router = with(router, &METRICS)
            .merge(dashboard::router())
            .merge(pages::router(&state))
            .merge(admin::router(&state));
    }
    router
        .layer(Extension(role))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // Inner to outer: a panic becomes an answer; Host and Origin are checked; every answer
        // carries an id.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .layer(middleware::from_fn(identify))
        .with_state(state)
}

fn proxied() -> Router<HttpState> {
    let mut router = Router::new();
    for endpoint in Endpoint::ALL {
        for route in endpoint.row().routes {
            router = router.route(route.path, proxy(endpoint, *route));
        }
    }
    with(router, &BESIDE_ENDPOINTS)
}

fn proxy(endpoint: Endpoint, route: Route) -> MethodRouter<HttpState> {
    let run = move |State(proxy): State<Arc<Proxy>>, request: Request| {
        exchange::run(proxy, endpoint, request)
    };
    match route.methods {
        Some(methods) => on(methods, run),
        None => any(run),
    }
}

/// A WebSocket, for a client that asks for one.
async fn upgrade(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    if !request.headers().contains_key(header::UPGRADE) {
        let mut error = method_not_allowed(request).await;
        error.allow = Some("POST");
        return error.into_response();
    }
    websocket::accept(proxy, request).await
}

async fn not_found(request: Request) -> GatewayError {
    let path: String = request.uri().path().chars().take(120).collect();
    GatewayError::new(
        ErrorCode::NotFound,
        format!(
            "nothing is served at `{path}`; Codex's base_url is this gateway's address followed by \
             `/v1`"
        ),
    )
}

async fn method_not_allowed(request: Request) -> GatewayError {
    let method = request
        .method()
        .as_str()
        .chars()
        .take(20)
        .collect::<String>();
    let path: String = request.uri().path().chars().take(120).collect();
    GatewayError::new(
        ErrorCode::MethodNotAllowed,
        format!("`{path}` does not support {method}"),
    )
}

async fn guard(State(config): State<SharedConfig>, mut request: Request, next: Next) -> Response {
    let (checked, listed) = {
        let live = config.load();
        let peer = request.extensions().get::<Peer>();
        let client = live
            .settings
            .server
            .trusted_proxies
            .client_addr(peer, request.headers());
        request.extensions_mut().insert(client);
        let hosts = &live.settings.server.hosts;
        let headers = request.headers();
        let listed = hosts.listed_origin(headers).cloned();
        (hosts.check(request.uri(), headers), listed)
    };
    match (checked, listed) {
        (Ok(()), None) => next.run(request).await,
        (Ok(()), Some(origin)) => cross_origin::run(origin, request, next).await,
        (Err(error), listed) => {
            tracing::debug!(
                error.code = error.code.as_str(),
                "request refused before it was processed"
            );
            cross_origin::readable(listed, error.into_response())
        }
    }
}

async fn identify(mut request: Request, next: Next) -> Response {
    let id = RequestId::generate();
    request.extensions_mut().insert(id.clone());
    let deprecation = Endpoint::deprecation_at(request.uri().path());
    let mut response = next.run(request).await;
    if !response.headers().contains_key("x-request-id")
        && let Ok(value) = HeaderValue::from_str(id.as_str())
    {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    if let Some(deprecation) = deprecation {
        deprecate(response.headers_mut(), deprecation);
    }
    response
}

/// Every response of a deprecated endpoint says so, refusals included.
fn deprecate(headers: &mut http::HeaderMap, deprecation: Deprecation) {
    headers.insert(
        HeaderName::from_static("deprecation"),
        HeaderValue::from_static(deprecation.since),
    );
    headers.append(
        header::LINK,
        HeaderValue::from_static(deprecation.successor),
    );
}

/// The panic's own text stays in the log: it may quote data.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    tracing::error!("a request panicked; please report this");
    GatewayError::internal().into_response()
}
