//! `/api/budgets`: what `codex-gateway budgets` does. Checks nothing itself: `administration.rs`
//! does.

use axum::Extension;
use axum::extract::{Path, State};
use gateway_ledger::Ledger;
use gateway_policy::Billing;
use gateway_policy::limit::Window;

use crate::admin_auth::AdminPrincipal;
use crate::administration;
use crate::administration::budget_lines::{self, BudgetLine};
use crate::administration::spec::{self, BudgetSpec};
use crate::error::GatewayError;
use crate::http::admin::json::{Done, Items, Json};
use crate::http::admin::path::ScopeName;

/// All budgets with what is spent of them.
#[utoipa::path(get, path = "/budgets", responses((status = 200, body = Items<BudgetLine>)))]
pub(super) async fn list_budgets(
    State(ledger): State<Ledger>,
) -> Result<Json<Items<BudgetLine>>, GatewayError> {
    let items = budget_lines::budgets(&ledger).await?;
    Ok(Json(Items { items }))
}

/// Sets the budget of a scope for its window and billing.
#[utoipa::path(
    put,
    path = "/budgets/{scope}",
    params(("scope" = inline(ScopeName), Path)),
    responses((status = 200, body = Done)),
)]
pub(super) async fn put_budget(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path(scope): Path<String>,
    Json(spec): Json<BudgetSpec>,
) -> Result<Json<Done>, GatewayError> {
    administration::put_budget(&ledger, &scope, &spec, &principal.actor).await?;
    Ok(Done::OK)
}

/// Deletes a budget.
#[utoipa::path(
    delete,
    path = "/budgets/{scope}/{window}/{billing}",
    params(
        ("scope" = inline(ScopeName), Path),
        ("window" = inline(Window), Path),
        ("billing" = inline(Billing), Path),
    ),
    responses((status = 200, body = Done)),
)]
pub(super) async fn delete_budget(
    State(ledger): State<Ledger>,
    Extension(principal): Extension<AdminPrincipal>,
    Path((scope, window, billing)): Path<(String, String, String)>,
) -> Result<Json<Done>, GatewayError> {
    let window = spec::window(&window)?;
    let billing = spec::billing(Some(&billing))?;
    administration::delete_budget(&ledger, &scope, window, billing, &principal.actor).await?;
    Ok(Done::OK)
}
