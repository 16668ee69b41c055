//! The guard before `/api`, and what is behind it.

mod openapi;
mod params;
mod plan;
mod policy;
mod team;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::error::{ErrorCode, GatewayError};
use crate::app::App;

/// Everything below `/api`; nothing of it is reachable without the admin token.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/version", get(version))
        .route("/explain", get(policy::explained))
        .route("/models", get(policy::catalogue))
        .route("/facts", get(policy::facts).delete(policy::clear_facts))
        .route("/usage", get(usage::usage))
        .route("/exchanges", get(usage::exchanges))
        .route("/plan", get(plan::plan))
        .route("/openapi.json", get(openapi::document))
        .merge(team::routes())
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard))
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

/// Denies by default: unknown paths are refused before they are found to be unknown.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !is_admin(&app, request.headers()) {
        return GatewayError::new(
            ErrorCode::AdminRequired,
            "the admin API asks for the admin token as bearer token; it is in the file `admin-token` of the gateway's data directory",
        )
        .into_response();
    }
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a request carries the admin token.
pub fn is_admin(app: &App, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer") && app.admin_token.matches(token.trim())
        })
}
