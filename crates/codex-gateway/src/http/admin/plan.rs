//! `/api/plan`: the plan limits of ChatGPT accounts, by hashed account.

use std::sync::Arc;

use axum::extract::State;
use gateway_ledger::Ledger;

use crate::error::GatewayError;
use crate::http::admin::json::Json;
use crate::http::admin::query::{NoParameters, Query};
use crate::plan_limits::{PlanReport, PlanWatch};

/// What the latest answers report about the plans of ChatGPT accounts, the newest first.
#[utoipa::path(get, path = "/plan", responses((status = 200, body = PlanReport)))]
pub(super) async fn list_plan_limits(
    State(ledger): State<Ledger>,
    State(watch): State<Arc<PlanWatch>>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<PlanReport>, GatewayError> {
    let stored = ledger.account_limits().await?;
    Ok(Json(watch.report(&stored)))
}
