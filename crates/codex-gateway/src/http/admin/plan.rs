//! `GET /api/plan`: what ChatGPT accounts were told about their plans, by hashed account.

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::error::GatewayError;
use crate::http::admin::params::{Params, ledger_error};
use crate::http::state::HttpState;
use crate::plan_limits::PlanReport;

/// `GET /api/plan`, the newest first.
pub(super) async fn plan(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Json<PlanReport>, GatewayError> {
    Params::read(&uri)?.done()?;
    let stored = app.ledger.account_limits().await;
    let stored = stored.map_err(|error| ledger_error(&error))?;
    Ok(Json(app.plan_limits.report(&stored)))
}
