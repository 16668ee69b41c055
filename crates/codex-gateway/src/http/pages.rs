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
mod plan;
mod session;
mod sessions;
mod story;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gateway_ledger::{Ledger, LedgerError};
use http::{HeaderValue, StatusCode, header};
use maud::{Markup, html};

use crate::access::client_address::ClientAddr;
use crate::admin_auth::AdminAuth;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::http::dashboard::{HTML, secured};
use crate::http::state::HttpState;
use crate::learned::Learned;
use crate::plan_limits::PlanWatch;
use crate::running::Running;
use crate::tasks::Tasks;

/// What pages are made from.
#[derive(Clone)]
struct Sources {
    ledger: Ledger,
    clock: Clock,
    config: SharedConfig,
    learned: Arc<Learned>,
    plan_limits: Arc<PlanWatch>,
    running: Arc<Running>,
    tasks: Tasks,
}

impl FromRef<HttpState> for Sources {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            ledger: FromRef::from_ref(state),
            clock: FromRef::from_ref(state),
            config: FromRef::from_ref(state),
            learned: FromRef::from_ref(state),
            plan_limits: FromRef::from_ref(state),
            running: FromRef::from_ref(state),
            tasks: FromRef::from_ref(state),
        }
    }
}

/// A whole page.
struct Page {
    title: String,
    /// Its path in the navigation.
    place: &'static str,
    content: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let page = layout::page(&self.title, self.place, &self.content);
        secured(HTML, page.into_string().into_response())
    }
}

/// Why a page cannot be shown, as a page.
struct Failed(GatewayError);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let content = html! {
            p.warn { (error.message) }
            p { a href="/dashboard" { "What is happening now" } }
        };
        let page = Page {
            title: "This page cannot be shown".to_owned(),
            place: "",
            content,
        };
        (error.status(), page).into_response()
    }
}

impl<E: Into<GatewayError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

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

/// There is no such session or exchange.
fn not_found(what: &str) -> Failed {
    Failed(GatewayError::new(ErrorCode::NotFound, what.to_owned()))
}

/// A file to save.
fn download(kind: &'static str, name: &'static str, text: String) -> Response {
    let mut response = secured(kind, (StatusCode::OK, text).into_response());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

/// The result of a question to the ledger.
type Asked<T> = Result<T, LedgerError>;
