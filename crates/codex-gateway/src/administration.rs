//! Keys, teams and budgets as people and scripts describe them: words are read and checked here,
//! once for the command line and the admin API. Speaks to the store through the ledger; prints and
//! answers nothing.

use gateway_ledger::{
    Actor, CreatedKey, Directory, KeyRecord, Ledger, LedgerError, LedgerErrorKind, NewKey,
    TeamRecord,
};
use gateway_policy::limit::{Budget, Limits, Scope, Window};
use gateway_policy::units::parse_duration;
use gateway_policy::{AuthRoute, Billing, ModelPattern};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest name of a key, an owner or a team, in characters: they stand in tables and log lines.
const LONGEST_NAME: usize = 100;

/// Highest limit on speed that means anything.
const HIGHEST_LIMIT: u64 = 1_000_000_000;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The description is at fault; the text says how.
    #[error("{0}")]
    Invalid(String),
    /// Nothing of that name is there.
    #[error("{0}")]
    NotFound(String),
    /// What is there stands in the way.
    #[error("{0}")]
    Conflict(String),
    /// The store did not do it.
    #[error("the store did not take the change: {0}")]
    Store(#[source] LedgerError),
}

impl From<LedgerError> for AdminError {
    fn from(error: LedgerError) -> Self {
        match error.kind() {
            LedgerErrorKind::Invalid => Self::Invalid(error.to_string()),
            LedgerErrorKind::NotFound => Self::NotFound(error.to_string()),
            LedgerErrorKind::Conflict => Self::Conflict(error.to_string()),
            LedgerErrorKind::Unavailable | LedgerErrorKind::Rejected | LedgerErrorKind::Corrupt => {
                Self::Store(error)
            }
        }
    }
}

fn invalid(text: impl Into<String>) -> AdminError {
    AdminError::Invalid(text.into())
}

/// A key to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    pub name: String,
    pub team: Option<String>,
    pub owner: Option<String>,
    /// A duration from now such as `90d`, or a moment such as `2027-01-31T00:00:00Z`.
    pub expires: Option<String>,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default)]
    pub routes: Vec<String>,
    #[serde(default)]
    pub budgets: Vec<BudgetSpec>,
    #[serde(default, deserialize_with = "whole")]
    pub requests_per_minute: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub tokens_per_minute: Option<u64>,
    #[serde(default, deserialize_with = "whole")]
    pub concurrency: Option<u64>,
}

/// A whole number as JSON writes it: some programs say `5.0`.
pub(crate) fn whole<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(from)? else {
        return Ok(None);
    };
    let read = number.as_u64().or_else(|| {
        let text = number.to_string();
        text.strip_suffix(".0")?.parse().ok()
    });
    let wrong = || serde::de::Error::custom(format!("`{number}` is no whole number from 1 on"));
    read.map(Some).ok_or_else(wrong)
}

/// A budget as words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// `5.00/day`.
    pub amount: String,
    /// `80%`.
    pub soft: Option<String>,
    /// `metered` (default) or `plan`.
    pub billing: Option<String>,
}

impl BudgetSpec {
    /// Reads the words.
    pub fn read(&self) -> Result<Budget, AdminError> {
        let billing = billing(self.billing.as_deref())?;
        Budget::parse(&self.amount, self.soft.as_deref(), billing)
            .map_err(|error| invalid(format!("budget `{}`: {error}", self.amount)))
    }
}

/// Reads `metered` or `plan`; metered when nothing is said.
pub fn billing(word: Option<&str>) -> Result<Billing, AdminError> {
    let word = word.unwrap_or("metered");
    Billing::parse(word).ok_or_else(|| invalid(format!("`{word}` is neither `metered` nor `plan`")))
}

/// Reads `day`, `week`, `month` or `total`.
pub fn window(word: &str) -> Result<Window, AdminError> {
    Window::parse(word).ok_or_else(|| {
        invalid(format!(
            "`{word}` is none of `day`, `week`, `month`, `total`"
        ))
    })
}

/// Limits on speed; zero would be a revoked key by another name.
pub fn limits(
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    concurrency: Option<u64>,
) -> Result<Limits, AdminError> {
    let all = [requests_per_minute, tokens_per_minute, concurrency];
    if all.contains(&Some(0)) {
        return Err(invalid("a limit is at least 1; to stop a key, revoke it"));
    }
    if all.into_iter().flatten().any(|limit| limit > HIGHEST_LIMIT) {
        return Err(invalid(format!(
            "a limit is at most {HIGHEST_LIMIT}; without one, leave it out"
        )));
    }
    Ok(Limits {
        requests_per_minute,
        tokens_per_minute,
        concurrency,
    })
}

fn name(what: &str, text: &str) -> Result<String, AdminError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid(format!("{what} needs a name")));
    }
    if text.chars().count() > LONGEST_NAME || text.chars().any(char::is_control) {
        return Err(invalid(format!(
            "the name of {what} has more than {LONGEST_NAME} characters or control characters"
        )));
    }
    Ok(text.to_owned())
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, AdminError> {
    let at = match parse_duration(text) {
        Ok(duration) => jiff::SignedDuration::try_from(duration)
            .ok()
            .and_then(|duration| now.checked_add(duration).ok()),
        Err(_) => text.parse().ok(),
    };
    at.filter(|at| *at > now).ok_or_else(|| {
        invalid(format!(
            "expiry `{text}` is neither a duration such as `90d` nor a moment to come such as \
             `2027-01-31T00:00:00Z`"
        ))
    })
}

impl KeySpec {
    /// Reads the words.
    pub fn read(&self, now: Timestamp) -> Result<NewKey, AdminError> {
        for glob in &self.models {
            if glob.is_empty() || ModelPattern::new(glob).is_err() {
                return Err(invalid(format!("`{glob}` is no glob over model ids")));
            }
        }
        let route = |word: &String| {
            AuthRoute::parse(word).ok_or_else(|| {
                let known = AuthRoute::ALL.map(AuthRoute::as_str).join("`, `");
                invalid(format!("`{word}` is no auth route; there are `{known}`"))
            })
        };
        Ok(NewKey {
            name: name("a key", &self.name)?,
            owner: self
                .owner
                .as_deref()
                .map(|owner| name("an owner", owner))
                .transpose()?,
            team: self
                .team
                .as_deref()
                .map(|team| name("a team", team))
                .transpose()?,
            expires_at: self
                .expires
                .as_deref()
                .map(|text| expiry(text, now))
                .transpose()?,
            models: self.models.clone(),
            routes: self.routes.iter().map(route).collect::<Result<_, _>>()?,
            limits: limits(
                self.requests_per_minute,
                self.tokens_per_minute,
                self.concurrency,
            )?,
            budgets: self
                .budgets
                .iter()
                .map(BudgetSpec::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// What is answered when a key was made or rotated: the one time that it is shown.
#[derive(Serialize)]
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

/// A budget and where it stands; `resets_at` is absent for one that never begins anew.
#[derive(Debug, Clone, Serialize)]
pub struct BudgetLine {
    pub scope: String,
    pub window: Window,
    pub billing: Billing,
    pub nanos: i64,
    pub soft_percent: Option<u8>,
    pub spent_nanos: i64,
    pub reserved_nanos: i64,
    pub resets_at: Option<Timestamp>,
}

/// Makes a key.
pub async fn create_key(
    ledger: &Ledger,
    spec: &KeySpec,
    now: Timestamp,
    actor: impl Into<Actor>,
) -> Result<ShownKey, AdminError> {
    let new = spec.read(now)?;
    Ok(ledger.create_key(&new, actor).await?.into())
}

/// Gives a key another secret.
pub async fn rotate_key(
    ledger: &Ledger,
    key: &str,
    actor: impl Into<Actor>,
) -> Result<ShownKey, AdminError> {
    let id = live_key(&ledger.directory().await?, key)?;
    Ok(ledger.rotate_key(&id, actor).await?.into())
}

/// Stops a key for good; answers its id.
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
        "key `{key}` is revoked already"
    )))
}

/// The id of a key that is not revoked, by its id or by a name that only one has.
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
            "there is no live key with the id or name `{wanted}`"
        ))),
        [_, _, ..] => Err(AdminError::Conflict(format!(
            "several keys are called `{wanted}`; name the id"
        ))),
    }
}

/// Makes a team or changes its limits.
pub async fn put_team(
    ledger: &Ledger,
    team: &str,
    limits: Limits,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    let team = name("a team", team)?;
    Ok(ledger.put_team(&team, limits, actor).await?)
}

/// Deletes a team that has no live keys.
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

/// Reads `gateway`, `team:NAME` or `key:ID` (or the key's name) and makes sure that it is there.
pub async fn scope(ledger: &Ledger, text: &str) -> Result<Scope, AdminError> {
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
        None => Err(invalid(format!(
            "`{text}` is none of `gateway`, `team:NAME`, `key:ID`"
        ))),
    }
}

/// Sets a budget.
pub async fn put_budget(
    ledger: &Ledger,
    of: &str,
    spec: &BudgetSpec,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    let budget = spec.read()?;
    let scope = scope(ledger, of).await?;
    Ok(ledger.put_budget(&scope, &budget, actor).await?)
}

/// Takes a budget away.
pub async fn delete_budget(
    ledger: &Ledger,
    of: &str,
    window: Window,
    billing: Billing,
    actor: impl Into<Actor>,
) -> Result<(), AdminError> {
    // Also the budget of a key that was revoked meanwhile.
    let scope = match Scope::parse(of) {
        Some(Scope::Key(id)) if ledger.directory().await?.key(&id).is_some() => Scope::Key(id),
        Some(_) | None => scope(ledger, of).await?,
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

/// All budgets and where they stand.
pub async fn budgets(ledger: &Ledger) -> Result<Vec<BudgetLine>, AdminError> {
    let directory = ledger.directory().await?;
    lines(ledger, directory.budgets()).await
}

/// The budgets of some scopes and where they stand.
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
    lines(ledger, &of_them).await
}

async fn lines(
    ledger: &Ledger,
    budgets: &[(Scope, Budget)],
) -> Result<Vec<BudgetLine>, AdminError> {
    let standings = ledger.standings(budgets).await?;
    let lines = standings.into_iter().map(|standing| BudgetLine {
        scope: standing.scope.as_text(),
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
mod tests;
