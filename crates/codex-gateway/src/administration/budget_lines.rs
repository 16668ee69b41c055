//! Budgets and what is spent of them. Changes nothing.

use gateway_ledger::{Directory, Ledger};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Scope, Window};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::administration::error::AdminError;

/// A budget and what is spent of it, in nano-dollars. `resets_at` is absent for the window `total`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BudgetLine {
    pub scope: String,
    /// The name of the key or team.
    pub name: Option<String>,
    /// The owner of the key.
    pub owner: Option<String>,
    pub window: Window,
    pub billing: Billing,
    pub nanos: i64,
    pub soft_percent: Option<u8>,
    pub spent_nanos: i64,
    pub reserved_nanos: i64,
    pub resets_at: Option<Timestamp>,
}

/// All budgets and what is spent of them.
///
/// # Errors
/// [`AdminError::Store`].
pub async fn budgets(ledger: &Ledger) -> Result<Vec<BudgetLine>, AdminError> {
    let directory = ledger.directory().await?;
    lines(ledger, &directory, directory.budgets()).await
}

/// The budgets of some scopes and what is spent of them.
///
/// # Errors
/// [`AdminError::Store`].
pub async fn budgets_of(
    ledger: &Ledger,
    directory: &Directory,
    scopes: &[Scope],
) -> Result<Vec<BudgetLine>, AdminError> {
    let budgets = directory.budgets().iter();
    let of_them: Vec<(Scope, Budget)> = budgets
        .filter(|(scope, _)| scopes.contains(scope))
        .cloned()
        .collect();
    lines(ledger, directory, &of_them).await
}

async fn lines(
    ledger: &Ledger,
    directory: &Directory,
    budgets: &[(Scope, Budget)],
) -> Result<Vec<BudgetLine>, AdminError> {
    let standings = ledger.budget_status(budgets).await?;
    let lines = standings.into_iter().map(|standing| BudgetLine {
        scope: standing.scope.as_text(),
        name: match &standing.scope {
            Scope::Key(id) => directory.key(id).map(|key| key.name.clone()),
            Scope::Team(name) | Scope::Repo(name) => Some(name.clone()),
            Scope::Gateway => None,
        },
        owner: match &standing.scope {
            Scope::Key(id) => directory.key(id).and_then(|key| key.owner.clone()),
            Scope::Team(_) | Scope::Repo(_) | Scope::Gateway => None,
        },
        window: standing.budget.window,
        billing: standing.budget.billing,
        nanos: standing.budget.nanos,
        soft_percent: standing.budget.soft_percent,
        spent_nanos: standing.position.spent,
        reserved_nanos: standing.position.reserved,
        resets_at: standing.resets_at,
    });
    Ok(lines.collect())
}
