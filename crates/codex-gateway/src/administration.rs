//! Keys, teams and budgets, once for the command line and the admin API. Uses the store through the
//! ledger; prints nothing and answers no request.

pub mod budget_lines;
pub mod error;
pub mod key_update_spec;
pub mod keys;
pub mod spec;

use gateway_ledger::{Actor, Directory, Ledger};
use gateway_policy::Billing;
use gateway_policy::limit::{Scope, Window};
use gateway_policy::problem::did_you_mean;

use crate::administration::error::AdminError;
use crate::administration::spec::{BudgetSpec, RateLimitSpec};

/// Creates a team or replaces its rate limits.
///
/// # Errors
/// [`AdminError::Invalid`] when the name or a limit is not valid, [`AdminError::Store`].
pub async fn put_team(
    ledger: &Ledger,
    team: &str,
    limits: &RateLimitSpec,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    let team = spec::name("a team", team)?;
    Ok(ledger.put_team(&team, limits.read()?, actor).await?)
}

/// Deletes a team that has no live keys.
///
/// # Errors
/// [`AdminError::NotFound`], [`AdminError::Conflict`] while it has live keys, [`AdminError::Store`].
pub async fn delete_team(
    ledger: &Ledger,
    team: &str,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    if ledger.delete_team(team, actor).await? {
        return Ok(());
    }
    existing_team(&ledger.directory().await?, team)
}

/// That there is a team of this name.
///
/// # Errors
/// [`AdminError::NotFound`], with the name that was perhaps meant.
pub fn existing_team(directory: &Directory, team: &str) -> Result<(), AdminError> {
    let names = || directory.teams().iter().map(|team| team.name.as_str());
    if names().any(|name| name == team) {
        return Ok(());
    }
    let meant = did_you_mean(team, names()).map(|hint| format!("; {hint}"));
    let meant = meant.unwrap_or_default();
    Err(AdminError::NotFound(format!(
        "there is no team `{team}`{meant}"
    )))
}

/// Reads `gateway`, `team:NAME`, `repo:HOST/PATH` or `key:ID` (or the key's name), and checks that it
/// exists.
async fn existing_scope(ledger: &Ledger, text: &str) -> Result<Scope, AdminError> {
    let directory = ledger.directory().await?;
    match Scope::parse(text) {
        Some(Scope::Gateway) => Ok(Scope::Gateway),
        Some(Scope::Key(key)) => keys::live_key(&directory, &key).map(Scope::Key),
        // A repository needs no record before it gets a budget.
        Some(Scope::Repo(repo)) => spec::repository(&repo).map(Scope::Repo),
        Some(Scope::Team(team)) => existing_team(&directory, &team).map(|()| Scope::Team(team)),
        None => Err(AdminError::invalid(format!(
            "`{text}` is not one of `gateway`, `team:NAME`, `key:ID`, `repo:HOST/PATH`"
        ))),
    }
}

/// Sets the budget of a scope (`gateway`, `team:NAME`, `repo:HOST/PATH` or `key:ID`) for its window
/// and billing.
///
/// # Errors
/// [`AdminError::Invalid`], [`AdminError::NotFound`] when the scope does not exist,
/// [`AdminError::Store`].
pub async fn put_budget(
    ledger: &Ledger,
    of: &str,
    spec: &BudgetSpec,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    let budget = spec.read()?;
    let scope = existing_scope(ledger, of).await?;
    Ok(ledger.put_budget(&scope, &budget, actor).await?)
}

/// Deletes a budget.
///
/// # Errors
/// [`AdminError::NotFound`] when there is no such budget, [`AdminError::Store`].
pub async fn delete_budget(
    ledger: &Ledger,
    of: &str,
    window: Window,
    billing: Billing,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    // A revoked key may still have a budget to delete.
    let scope = match Scope::parse(of) {
        Some(Scope::Key(id)) if ledger.directory().await?.key(&id).is_some() => Scope::Key(id),
        Some(_) | None => existing_scope(ledger, of).await?,
    };
    if ledger.delete_budget(&scope, window, billing, actor).await? {
        return Ok(());
    }
    Err(AdminError::NotFound(format!(
        "`{of}` has no {} budget for `{}`",
        billing.as_str(),
        window.as_str()
    )))
}
