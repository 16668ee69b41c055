//! What operators' machines ask: is it alive, is it ready, what are the figures.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse as _, Response};
use gateway_ledger::Ledger;
use http::{HeaderValue, StatusCode, header};

use crate::access::client_address::ClientAddr;
use crate::admin_auth::AdminAuth;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::http::listener::ListenerRole;
use crate::http::state::HttpState;
use crate::identity::keys::Keys;
use crate::metrics::Metrics;
use crate::plan_limits::PlanWatch;
use crate::tasks::Tasks;

/// How long a scrape waits for the store.
const STANDINGS_DEADLINE: Duration = Duration::from_secs(1);

/// `GET /healthz`: the process runs.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can serve, i.e. it is not stopping and the ledger takes entries.
pub async fn readyz(State(tasks): State<Tasks>, State(ledger): State<Ledger>) -> Response {
    if tasks.draining().is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if !ledger.health().ok {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the ledger is not available\n",
        )
            .into_response();
    }
    (StatusCode::OK, "ready\n").into_response()
}

/// `GET /metrics`: open on loopback and on the listener for administration, elsewhere for the admin
/// token.
pub async fn metrics(
    State(config): State<SharedConfig>,
    State(admin): State<Arc<AdminAuth>>,
    State(scrape): State<Scrape>,
    Extension(role): Extension<ListenerRole>,
    Extension(client): Extension<ClientAddr>,
    request: Request,
) -> Response {
    let is_open = role == ListenerRole::Administration
        || client.is_local && config.load().settings.server.listen.ip().is_loopback();
    if !is_open && let Err(error) = admin.authorize_token(request.headers(), client) {
        return error.into_response();
    }
    let mut response = scrape.render().await.into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// What a scrape reads: the metrics, and what the gauges among them are set from.
pub struct Scrape {
    metrics: Arc<Metrics>,
    ledger: Ledger,
    keys: Arc<Keys>,
    plan_limits: Arc<PlanWatch>,
    clock: Clock,
}

impl FromRef<HttpState> for Scrape {
    fn from_ref(state: &HttpState) -> Self {
        Self {
            metrics: FromRef::from_ref(state),
            ledger: FromRef::from_ref(state),
            keys: FromRef::from_ref(state),
            plan_limits: FromRef::from_ref(state),
            clock: FromRef::from_ref(state),
        }
    }
}

impl Scrape {
    async fn render(&self) -> String {
        let health = self.ledger.health();
        let waiting = health.queue_depth + health.spool_depth;
        self.metrics
            .ledger_queue_depth
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.plan_limits.set_gauges(&self.metrics, self.clock.now());
        self.observe_budgets().await;
        self.metrics.render()
    }

    /// Asks the store where budgets stand, where there are any. A store that does not answer leaves
    /// the figures as they were.
    async fn observe_budgets(&self) {
        let budgets = self.keys.shared_budgets();
        if budgets.is_empty() {
            return self.metrics.observe_budgets(&[]);
        }
        let standings = self.ledger.budget_status(&budgets);
        match tokio::time::timeout(STANDINGS_DEADLINE, standings).await {
            Ok(Ok(standings)) => self.metrics.observe_budgets(&standings),
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot read the current budgets"
            ),
            Err(_) => tracing::warn!("the store does not return the current budgets in time"),
        }
    }
}
