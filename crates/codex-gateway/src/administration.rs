//! Keys, teams and budgets, once for the command line and the admin API. Uses the store through the
//! ledger; prints nothing and answers no request.

pub mod error;
pub mod spec;

use gateway_ledger::{Actor, CreatedKey, Directory, KeyRecord, Ledger, TeamRecord};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Scope, Window};
use gateway_policy::problem::did_you_mean;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::administration::error::AdminError;
use crate::administration::spec::{BudgetSpec, KeySpec, RateLimitSpec};

/// A key that was created or rotated, with its secret, which is shown only this once.
#[derive(Serialize, ToSchema)]
pub struct ShownKey {
    pub id: String,
    pub key: String,
}

impl From<CreatedKey> for ShownKey {
    fn from(created: CreatedKey) -> Self {
        Self {
            key: created.secret.reveal().to_owned(),
            id: created.id,
        }
    }
}

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

/// Creates a key.
///
/// # Errors
/// [`AdminError::Invalid`] when the description is not valid, [`AdminError::Conflict`] when a live key
/// has the name, [`AdminError::NotFound`] for a team that looks misspelt, [`AdminError::Store`].
pub async fn create_key(
    ledger: &Ledger,
    spec: &KeySpec,
    now: Timestamp,
    actor: impl Into<Actor>,
) -> Result<ShownKey, AdminError> {
    let new = spec.read(now)?;
    let directory = ledger.directory().await?;
    let mut live = directory.keys().iter();
    if let Some(key) = live.find(|key| key.revoked_at.is_none() && key.name == new.name) {
        return Err(AdminError::Conflict(format!(
            "a key `{}` exists already ({}); choose another name, or rotate or revoke that key",
            key.name, key.id
        )));
    }
    if let Some(team) = &new.team {
        check_spelling(&directory, team)?;
    }
    Ok(ledger.create_key(&new, actor).await?.into())
}

/// A team that does not exist is created with its first key, unless its name looks like a
/// misspelling of one that exists.
fn check_spelling(directory: &Directory, team: &str) -> Result<(), AdminError> {
    let names = || directory.teams().iter().map(|team| team.name.as_str());
    if names().any(|name| name == team) {
        return Ok(());
    }
    let meant = did_you_mean(team, names().filter(|name| !is_another(name, team)));
    meant.map_or(Ok(()), |hint| {
        Err(AdminError::NotFound(format!(
            "there is no team `{team}`; {hint} Otherwise, create `{team}` first, for example with \
             `teams create`"
        )))
    })
}

/// Whether two similar names are meant to differ: one is longer by a part (`core`, `core-ops`), or
/// they are numbered or lettered (`team-1`, `team-b`).
fn is_another(one: &str, two: &str) -> bool {
    let stem = |name: &str| {
        let mut letters = name.chars();
        letters.next_back();
        letters.collect::<String>()
    };
    let without_digits = |name: &str| name.replace(|letter: char| letter.is_ascii_digit(), "");
    one.chars().count().abs_diff(two.chars().count()) > 1
        || stem(one) == stem(two)
        || without_digits(one) == without_digits(two)
}

/// Replaces the secret of a key, named by its id or by a name that only one live key has.
///
/// # Errors
/// [`AdminError::NotFound`], [`AdminError::Conflict`] for an ambiguous name, [`AdminError::Store`].
pub async fn rotate_key(
    ledger: &Ledger,
    key: &str,
    actor: impl Into<Actor>,
) -> Result<ShownKey, AdminError> {
    let id = live_key(&ledger.directory().await?, key)?;
    Ok(ledger.rotate_key(&id, actor).await?.into())
}

/// Revokes a key for good; returns its id.
///
/// # Errors
/// [`AdminError::NotFound`], [`AdminError::Conflict`] for an ambiguous name, [`AdminError::Store`].
pub async fn revoke_key(
    ledger: &Ledger,
    key: &str,
    actor: impl Into<Actor>,
) -> Result<String, AdminError> {
    let id = live_key(&ledger.directory().await?, key)?;
    if ledger.revoke_key(&id, actor).await? {
        return Ok(id);
    }
    Err(AdminError::NotFound(format!(
        "key `{key}` is already revoked"
    )))
}

/// The id of a live key, by its id or by a name that only one live key has.
fn live_key(directory: &Directory, wanted: &str) -> Result<String, AdminError> {
    let live = |key: &&KeyRecord| key.revoked_at.is_none();
    if let Some(key) = directory.key(wanted).filter(live) {
        return Ok(key.id.clone());
    }
    let named: Vec<&KeyRecord> = directory
        .keys()
        .iter()
        .filter(live)
        .filter(|key| key.name == wanted)
        .collect();
    match named.as_slice() {
        [key] => Ok(key.id.clone()),
        [] => Err(AdminError::NotFound(format!(
            "there is no active key with the id or name `{wanted}`"
        ))),
        [_, _, ..] => Err(AdminError::Conflict(format!(
            "several keys are named `{wanted}`; use the id"
        ))),
    }
}

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
    Err(AdminError::NotFound(format!("there is no team `{team}`")))
}

/// Reads `gateway`, `team:NAME` or `key:ID` (or the key's name), and checks that it exists.
async fn existing_scope(ledger: &Ledger, text: &str) -> Result<Scope, AdminError> {
    let directory = ledger.directory().await?;
    match Scope::parse(text) {
        Some(Scope::Gateway) => Ok(Scope::Gateway),
        Some(Scope::Key(key)) => live_key(&directory, &key).map(Scope::Key),
        Some(Scope::Team(team)) => {
            let is_there = directory
                .teams()
                .iter()
                .any(|known: &TeamRecord| known.name == team);
            if is_there {
                return Ok(Scope::Team(team));
            }
            Err(AdminError::NotFound(format!("there is no team `{team}`")))
        }
        None => Err(AdminError::invalid(format!(
            "`{text}` is not one of `gateway`, `team:NAME`, `key:ID`"
        ))),
    }
}

/// Sets the budget of a scope (`gateway`, `team:NAME` or `key:ID`) for its window and billing.
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
            Scope::Team(name) => Some(name.clone()),
            Scope::Gateway => None,
        },
        owner: match &standing.scope {
            Scope::Key(id) => directory.key(id).and_then(|key| key.owner.clone()),
            Scope::Team(_) | Scope::Gateway => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_meant_to_differ_are_no_misspellings() {
        for (one, two, is_meant) in [
            ("platform", "platfrom", false),
            ("core", "cor", false),
            ("design", "desing", false),
            ("core", "core-ops", true),
            ("team-a", "team-b", true),
            ("team1", "team12", true),
        ] {
            assert_eq!(is_another(one, two), is_meant, "{one} {two}");
        }
    }
}
