//! The guard before `/api`, and what is behind it.

mod json_body;
mod openapi;
pub mod params;
mod plan;
mod policy;
mod session;
mod team;
#[cfg(test)]
mod tests;
mod usage;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, Method, header};
use serde_json::{Value, json};

use crate::access::client_address::ClientAddr;
use crate::error::{ErrorCode, GatewayError};
use crate::http::state::HttpState;

/// Everything below `/api`; nothing of it is reachable without the admin token or a session.
pub fn router(state: &HttpState) -> Router<HttpState> {
    Router::new()
        .route("/version", get(version))
        .route("/explain", get(policy::explained))
        .route("/models", get(policy::catalogue))
        .route("/facts", get(policy::facts).delete(policy::clear_facts))
        .route("/usage", get(usage::usage))
        .route("/exchanges", get(usage::exchanges))
        .route("/plan", get(plan::plan))
        .route("/openapi.json", get(openapi::document))
        .route(
            "/session",
            get(session::state)
                .post(session::sign_in)
                .delete(session::sign_out),
        )
        .merge(team::routes())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(state.clone(), guard))
}

async fn version() -> Json<Value> {
    Json(json!({"name": "codex-gateway", "version": env!("CARGO_PKG_VERSION")}))
}

async fn nothing_here() -> GatewayError {
    GatewayError::new(
        ErrorCode::NotFound,
        "the admin API has nothing at this path",
    )
}

/// Denies by default: unknown paths are refused before they are found to be unknown. The one thing
/// that needs no token is to hand a one-time link in.
async fn guard(State(app): State<HttpState>, mut request: Request, next: Next) -> Response {
    let is_sign_in = request.method() == Method::POST && request.uri().path() == "/session";
    if !is_sign_in {
        // HTTP/2 says in the target alone whom it calls; whether an origin is the dashboard's own
        // is decided by that name.
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        if !request.headers().contains_key(header::HOST)
            && let Some(Ok(host)) = authority.map(HeaderValue::from_str)
        {
            request.headers_mut().insert(header::HOST, host);
        }
        let client = request.extensions().get::<ClientAddr>().copied();
        let (method, headers) = (request.method(), request.headers());
        let authorized = match client {
            Some(client) => app.admin.authorize(method, headers, client).await,
            None => Err(GatewayError::new(
                ErrorCode::InternalError,
                "internal error; please report this",
            )),
        };
        match authorized {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
            }
            Err(error) => return sealed(error.into_response()),
        }
    }
    sealed(next.run(request).await)
}

/// Nothing of this API belongs into a cache.
fn sealed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
