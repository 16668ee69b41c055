//! `/dashboard`: the pages for people, as HTML. Each figure comes from the report that the admin API
//! answers with; each change goes through the admin API.

mod chart;
mod exchange;
mod exchanges;
mod format;
mod health;
mod keys;
mod layout;
mod models;
mod now;
mod page;
mod plan;
mod session;
mod sessions;
mod story;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::access::client_address::ClientAddr;
use crate::admin_auth::AdminAuth;
use crate::error::GatewayError;
use crate::http::dashboard::{HTML, secured};
use crate::http::state::HttpState;

/// The pages, behind the check of who asks.
pub(super) fn router(state: &HttpState) -> Router<HttpState> {
    Router::new()
        .route("/dashboard", get(now::page))
        .route("/dashboard/live", get(now::live))
        .route("/dashboard/usage", get(usage::page))
        .route("/dashboard/usage.csv", get(usage::csv))
        .route("/dashboard/sessions", get(sessions::page))
        .route("/dashboard/sessions/{id}", get(session::page))
        .route("/dashboard/exchanges", get(exchanges::page))
        .route("/dashboard/exchanges/{id}", get(exchange::page))
        .route("/dashboard/plan", get(plan::page))
        .route("/dashboard/models", get(models::page))
        .route("/dashboard/keys", get(keys::page))
        .route("/dashboard/health", get(health::page))
        .layer(middleware::from_fn_with_state(state.clone(), authorize))
}

/// Denies by default: whoever is not signed in sees how to sign in, on every page.
async fn authorize(State(auth): State<Arc<AdminAuth>>, request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ClientAddr>().copied();
    let (method, headers) = (request.method(), request.headers());
    let authorized = match client {
        Some(client) => auth.authorize(method, headers, client).await,
        None => Err(GatewayError::internal()),
    };
    let Err(error) = authorized else {
        return next.run(request).await;
    };
    // Someone without any credential has done nothing wrong.
    let is_plain = !headers_name_a_credential(request.headers());
    let why = (!is_plain).then_some(error.message.as_str());
    let page = layout::sign_in(why).into_string().into_response();
    let mut response = secured(HTML, page);
    if request.uri().path() != "/dashboard" || !is_plain {
        *response.status_mut() = error.status();
    }
    response
}

fn headers_name_a_credential(headers: &http::HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE)
}
