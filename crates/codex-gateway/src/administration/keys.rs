//! Gateway keys: create, show, change, rotate, revoke. Budgets of keys are set like all others.

use gateway_ledger::{Actor, CreatedKey, Directory, KeyRecord, Ledger};
use gateway_policy::limit::Scope;
use gateway_policy::problem::did_you_mean;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::administration::budget_lines::{BudgetLine, budgets_of};
use crate::administration::error::AdminError;
use crate::administration::key_update_spec::KeyUpdateSpec;
use crate::administration::spec::KeySpec;

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

/// Whether a key works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    Live,
    Revoked,
    Expired,
    /// The store knows none of that name or id.
    Unknown,
}

impl KeyState {
    /// The state of a key at a moment.
    pub fn of(key: &KeyRecord, now: Timestamp) -> Self {
        if key.revoked_at.is_some() {
            Self::Revoked
        } else if key.expires_at.is_some_and(|at| at <= now) {
            Self::Expired
        } else {
            Self::Live
        }
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Unknown => "not in the store",
        }
    }
}

/// A key without its secret, with its budgets and what is spent of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyDetail {
    #[serde(flatten)]
    pub key: KeyRecord,
    pub state: KeyState,
    pub budgets: Vec<BudgetLine>,
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
    if let Some(team) = &new.team {
        check_spelling(&ledger.directory().await?, team)?;
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

/// Changes a live key; the values that the description does not name stay.
///
/// # Errors
/// [`AdminError::Invalid`] when the description is not valid, [`AdminError::NotFound`] without such a
/// live key or for a team that looks misspelt, [`AdminError::Conflict`] for an ambiguous name or one
/// that another live key has, [`AdminError::Store`].
pub async fn update_key(
    ledger: &Ledger,
    key: &str,
    spec: &KeyUpdateSpec,
    now: Timestamp,
    actor: impl Into<Actor>,
) -> Result<KeyRecord, AdminError> {
    let update = spec.read(now)?;
    let directory = ledger.directory().await?;
    let id = live_key(&directory, key)?;
    if let Some(team) = update.team.value() {
        check_spelling(&directory, team)?;
    }
    Ok(ledger.update_key(&id, &update, actor).await?)
}

/// A key with its budgets, by its id, or by the name of a live key, or of a single one that is not.
///
/// # Errors
/// [`AdminError::NotFound`], [`AdminError::Conflict`] for an ambiguous name, [`AdminError::Store`].
pub async fn show_key(
    ledger: &Ledger,
    wanted: &str,
    now: Timestamp,
) -> Result<KeyDetail, AdminError> {
    let directory = ledger.directory().await?;
    let key = match live_key(&directory, wanted) {
        Ok(id) => directory.key(&id),
        Err(AdminError::NotFound(_)) => stopped_key(&directory, wanted)?,
        Err(error) => return Err(error),
    };
    let Some(key) = key.cloned() else {
        return Err(AdminError::NotFound(unknown_key(&directory, wanted)));
    };
    let scopes = [Scope::Key(key.id.clone())];
    Ok(KeyDetail {
        state: KeyState::of(&key, now),
        budgets: budgets_of(ledger, &directory, &scopes).await?,
        key,
    })
}

/// A revoked key, by its id or by a name that it alone has.
fn stopped_key<'d>(
    directory: &'d Directory,
    wanted: &str,
) -> Result<Option<&'d KeyRecord>, AdminError> {
    if let Some(key) = directory.key(wanted) {
        return Ok(Some(key));
    }
    let mut named = directory.keys().iter().filter(|key| key.name == wanted);
    match (named.next(), named.next()) {
        (Some(_), Some(_)) => Err(AdminError::Conflict(format!(
            "several revoked keys were named `{wanted}`; use the id"
        ))),
        (key, _) => Ok(key),
    }
}

fn unknown_key(directory: &Directory, wanted: &str) -> String {
    let live = |key: &&KeyRecord| key.revoked_at.is_none();
    let names = directory.keys().iter().filter(live);
    let meant = did_you_mean(wanted, names.map(|key| key.name.as_str()));
    let meant = meant.map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("there is no active key with the id or name `{wanted}`{meant}")
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
pub(super) fn live_key(directory: &Directory, wanted: &str) -> Result<String, AdminError> {
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
        [] => Err(AdminError::NotFound(unknown_key(directory, wanted))),
        [_, _, ..] => Err(AdminError::Conflict(format!(
            "several keys are named `{wanted}`; use the id"
        ))),
    }
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
