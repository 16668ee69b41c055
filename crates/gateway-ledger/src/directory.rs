//! A snapshot of who may call and what limits them: keys, teams, budgets. Servers keep one in
//! memory and read it again when [`Ledger::changes`] says so; looking a key up touches no store.

use std::collections::HashMap;
use std::time::Duration;

use gateway_policy::limit::{Budget, Limits, Scope, ScopeLimits, Window};
use gateway_policy::{AuthRoute, Billing};
use jiff::Timestamp;
use serde::Serialize;

use crate::db::{Link, Row};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ledger::Ledger;
use crate::secret;

/// A gateway key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// Names the key in the ledger, in limits and in commands.
    pub id: String,
    /// The secret's last four characters.
    pub ending: String,
    /// What its maker called it.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// The team it belongs to.
    pub team: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Globs over the models it may use; empty: all.
    pub models: Vec<String>,
    /// The auth routes it may use; empty: all.
    pub routes: Vec<AuthRoute>,
    /// Its limits on speed.
    #[serde(flatten)]
    pub limits: Limits,
    #[serde(skip)]
    pub(crate) hash: String,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TeamRecord {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its limits on speed.
    #[serde(flatten)]
    pub limits: Limits,
}

/// Whether a secret opens the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCheck<'d> {
    /// It does.
    Valid(&'d KeyRecord),
    /// It did, until it was revoked.
    Revoked(&'d KeyRecord),
    /// It did, until it expired.
    Expired(&'d KeyRecord),
    /// It never did.
    Unknown,
}

/// Keys, teams and budgets at one moment.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    keys: Vec<KeyRecord>,
    by_hash: HashMap<String, usize>,
    by_id: HashMap<String, usize>,
    teams: Vec<TeamRecord>,
    budgets: Vec<(Scope, Budget)>,
}

impl Directory {
    /// All keys, the revoked ones too, by name.
    pub fn keys(&self) -> &[KeyRecord] {
        &self.keys
    }

    /// All teams, by name.
    pub fn teams(&self) -> &[TeamRecord] {
        &self.teams
    }

    /// All budgets, by scope.
    pub fn budgets(&self) -> &[(Scope, Budget)] {
        &self.budgets
    }

    /// Looks a secret up. By its hash, so that the time it takes says nothing about how close a
    /// guess was.
    pub fn check(&self, secret: &str, now: Timestamp) -> KeyCheck<'_> {
        let index = self.by_hash.get(&secret::hash(secret));
        let Some(key) = index.and_then(|index| self.keys.get(*index)) else {
            return KeyCheck::Unknown;
        };
        if key.revoked_at.is_some() {
            return KeyCheck::Revoked(key);
        }
        if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return KeyCheck::Expired(key);
        }
        KeyCheck::Valid(key)
    }

    /// The key with this id.
    pub fn key(&self, id: &str) -> Option<&KeyRecord> {
        self.keys.get(*self.by_id.get(id)?)
    }

    /// Everything that limits a caller: its key, its team and the gateway, as far as they limit
    /// anything.
    pub fn limits(&self, key: Option<&KeyRecord>) -> Vec<ScopeLimits> {
        self.limits_of(key, key.and_then(|key| key.team.as_ref()))
    }

    /// The same for a key that is thought to be in a team.
    pub fn limits_of(&self, key: Option<&KeyRecord>, team: Option<&String>) -> Vec<ScopeLimits> {
        let team_limits = team.and_then(|name| self.teams.iter().find(|team| team.name == *name));
        let scopes = [
            key.map(|key| (Scope::Key(key.id.clone()), key.limits)),
            team.map(|name| {
                (
                    Scope::Team(name.clone()),
                    team_limits.map(|team| team.limits).unwrap_or_default(),
                )
            }),
            Some((Scope::Gateway, Limits::default())),
        ];
        let limits = scopes.into_iter().flatten().map(|(scope, limits)| {
            let budgets = self
                .budgets
                .iter()
                .filter(|(of, _)| *of == scope)
                .map(|(_, budget)| *budget)
                .collect();
            ScopeLimits {
                scope,
                budgets,
                limits,
            }
        });
        limits.filter(|limits| !limits.is_unlimited()).collect()
    }
}

const KEYS: &str = "SELECT id, hash, ending, name, owner, team, created_at, expires_at, revoked_at, models, routes, \
     requests_per_minute, tokens_per_minute, concurrency FROM gateway_keys ORDER BY name, id";
const TEAMS: &str = "SELECT name, created_at, requests_per_minute, tokens_per_minute, concurrency FROM teams ORDER BY name";
const BUDGETS: &str = "SELECT scope, billing, period, nanos, soft_percent FROM budgets ORDER BY scope, billing, period";

/// How long reading all keys may take. Above what thousands of them take on a busy machine.
const READ_DEADLINE: Duration = Duration::from_secs(5);

impl Ledger {
    /// Reads keys, teams and budgets.
    pub async fn directory(&self) -> Result<Directory, LedgerError> {
        self.pool()
            .briefly(READ_DEADLINE, async |link| read(link).await)
            .await
    }
}

pub(crate) async fn read(link: &mut Link<'_>) -> Result<Directory, LedgerError> {
    let keys = link
        .fetch(KEYS, Vec::new())
        .await?
        .iter()
        .map(key_of)
        .collect::<Result<Vec<_>, _>>()?;
    let teams = link
        .fetch(TEAMS, Vec::new())
        .await?
        .iter()
        .map(team_of)
        .collect::<Result<Vec<_>, _>>()?;
    let budgets = link
        .fetch(BUDGETS, Vec::new())
        .await?
        .iter()
        .map(budget_of)
        .collect::<Result<Vec<_>, _>>()?;
    let index = |word: fn(&KeyRecord) -> &String| {
        let keys = keys.iter().enumerate();
        keys.map(|(index, key)| (word(key).clone(), index))
            .collect()
    };
    let (by_hash, by_id) = (index(|key| &key.hash), index(|key| &key.id));
    Ok(Directory {
        keys,
        by_hash,
        by_id,
        teams,
        budgets,
    })
}

fn corrupt(context: &'static str) -> LedgerError {
    LedgerError::bare(LedgerErrorKind::Corrupt, context)
}

fn time(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros).map_err(|_| corrupt("a stored time is out of range"))
}

fn limits_of(row: &Row, first: usize) -> Result<Limits, LedgerError> {
    let limit = |index| {
        Ok::<_, LedgerError>(
            row.int(index)?
                .map(|limit| u64::try_from(limit).unwrap_or(0)),
        )
    };
    Ok(Limits {
        requests_per_minute: limit(first)?,
        tokens_per_minute: limit(first + 1)?,
        concurrency: limit(first + 2)?,
    })
}

fn key_of(row: &Row) -> Result<KeyRecord, LedgerError> {
    let list = |index| row.some_text(index);
    Ok(KeyRecord {
        id: row.some_text(0)?,
        hash: row.some_text(1)?,
        ending: row.some_text(2)?,
        name: row.some_text(3)?,
        owner: row.text(4)?,
        team: row.text(5)?,
        created_at: time(row.some_int(6)?)?,
        expires_at: row.int(7)?.map(time).transpose()?,
        revoked_at: row.int(8)?.map(time).transpose()?,
        models: serde_json::from_str(&list(9)?)
            .map_err(|_| corrupt("a key's models cannot be read"))?,
        routes: serde_json::from_str(&list(10)?)
            .map_err(|_| corrupt("a key's routes cannot be read"))?,
        limits: limits_of(row, 11)?,
    })
}

fn team_of(row: &Row) -> Result<TeamRecord, LedgerError> {
    Ok(TeamRecord {
        name: row.some_text(0)?,
        created_at: time(row.some_int(1)?)?,
        limits: limits_of(row, 2)?,
    })
}

fn budget_of(row: &Row) -> Result<(Scope, Budget), LedgerError> {
    let scope =
        Scope::parse(&row.some_text(0)?).ok_or_else(|| corrupt("a stored scope is unknown"))?;
    let budget = Budget {
        billing: Billing::parse(&row.some_text(1)?)
            .ok_or_else(|| corrupt("a stored billing is unknown"))?,
        window: Window::parse(&row.some_text(2)?)
            .ok_or_else(|| corrupt("a stored window is unknown"))?,
        nanos: row.some_int(3)?,
        soft_percent: row.int(4)?.and_then(|percent| u8::try_from(percent).ok()),
    };
    Ok((scope, budget))
}
