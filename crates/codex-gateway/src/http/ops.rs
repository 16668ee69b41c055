//! What operators' machines ask: is it alive, is it ready, what are the figures.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};

use crate::access::client_address::ClientAddr;
use crate::app::App;
use crate::http::listener::ListenerRole;

/// How long a scrape waits for the store.
const STANDINGS_DEADLINE: Duration = Duration::from_secs(1);

/// `GET /healthz`: the process runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can serve, i.e. it is not stopping and the ledger takes entries.
pub async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.tasks.draining().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if !app.books.is_healthy() {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger takes no entries\n",
        )
            .into_response();
    }
    (StatusCode::OK, "ready\n").into_response()
}

/// `GET /metrics`: open on loopback and on the listener for administration, elsewhere for the admin
/// token.
pub async fn metrics(
    State(app): State<Arc<App>>,
    Extension(role): Extension<ListenerRole>,
    Extension(client): Extension<ClientAddr>,
    request: Request,
) -> Response {
    let is_open = role == ListenerRole::Administration
        || client.is_local && app.live.load().settings.server.listen.ip().is_loopback();
    if !is_open && let Err(error) = app.admin.authorize_token(request.headers(), client) {
        return error.into_response();
    }
    app.books.observe(&app.metrics);
    app.plan_limits.observe(&app.metrics, app.clock.now());
    observe_budgets(&app).await;
    let mut response = app.metrics.render().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Asks the store where budgets stand, where there are any. A store that does not answer leaves the
/// figures as they were.
async fn observe_budgets(app: &App) {
    let budgets = app.keys.shared_budgets();
    if budgets.is_empty() {
        return app.metrics.observe_budgets(&[]);
    }
    let asked = app.books.ledger().budget_status(&budgets);
    match tokio::time::timeout(STANDINGS_DEADLINE, asked).await {
        Ok(Ok(standings)) => app.metrics.observe_budgets(&standings),
        Ok(Err(error)) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "cannot look where budgets stand"
        ),
        Err(_) => tracing::warn!("the store does not say in time where budgets stand"),
    }
}
