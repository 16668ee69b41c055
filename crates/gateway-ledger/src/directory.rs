//! A snapshot of who may call and what limits them: keys, teams, budgets. Servers keep one in
//! memory and read it again when [`Ledger::changes`] says so; looking a key up touches no store.

use std::collections::HashMap;
use std::time::Duration;

use gateway_policy::limit::{Budget, Limits, Scope, ScopeLimits, Window};
use gateway_policy::{AuthRoute, Billing};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::{Link, Row};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::secret;
use crate::time::stored_time;

/// A gateway key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyRecord {
    /// Names the key in the ledger, in limits and in commands.
    pub id: String,
    /// The secret's last four characters.
    pub ending: String,
    /// What it is called.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TeamRecord {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its limits on speed.
    #[serde(flatten)]
    pub limits: Limits,
}

/// What a presented secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCheck<'d> {
    /// The secret of a key that works.
    Valid(&'d KeyRecord),
    /// The secret of a key that was revoked.
    Revoked(&'d KeyRecord),
    /// The secret of a key that has expired.
    Expired(&'d KeyRecord),
    /// The secret of no key.
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

    /// What limits each repository that has a budget, by its recorded name.
    pub fn repo_limits(&self) -> HashMap<String, ScopeLimits> {
        let mut repos: HashMap<String, ScopeLimits> = HashMap::new();
        for (scope, budget) in &self.budgets {
            let Scope::Repo(name) = scope else { continue };
            let limits = repos.entry(name.clone()).or_insert_with(|| ScopeLimits {
                scope: scope.clone(),
                budgets: Vec::new(),
                limits: Limits::default(),
            });
            limits.budgets.push(*budget);
        }
        repos
    }

    /// The same for a key as if it belonged to a team, whatever its own is.
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

/// How long reading all keys may take. Above what thousands of them take on a busy machine.
const READ_DEADLINE: Duration = Duration::from_secs(5);

impl Ledger {
    /// Reads keys, teams and budgets.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn directory(&self) -> Result<Directory, LedgerError> {
        self.pool()
            .briefly(READ_DEADLINE, async |link| read(link).await)
            .await
    }
}

const KEYS: &str = "SELECT id, hash, ending, name, owner, team, created_at, expires_at, \
                    revoked_at, models, routes, requests_per_minute, tokens_per_minute, \
                    concurrency FROM gateway_keys ORDER BY name, id";
const TEAMS: &str = "SELECT name, created_at, requests_per_minute, tokens_per_minute, concurrency \
                     FROM teams ORDER BY name";
const BUDGETS: &str = "SELECT scope, billing, period, nanos, soft_percent FROM budgets \
                       ORDER BY scope, billing, period";

pub(crate) async fn read(link: &mut Link<'_>) -> Result<Directory, LedgerError> {
    let keys = read_all(link, KEYS, read_key).await?;
    let teams = read_all(link, TEAMS, read_team).await?;
    let budgets = read_all(link, BUDGETS, read_budget).await?;
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

async fn read_all<T>(
    link: &mut Link<'_>,
    sql: &'static str,
    read: fn(&Row) -> Result<T, LedgerError>,
) -> Result<Vec<T>, LedgerError> {
    link.fetch(sql, Vec::new())
        .await?
        .iter()
        .map(read)
        .collect()
}

fn read_limits(row: &Row) -> Result<Limits, LedgerError> {
    let limit = |column: &str| {
        let limit = row.int(column)?;
        Ok::<_, LedgerError>(limit.map(|limit| u64::try_from(limit).unwrap_or(0)))
    };
    Ok(Limits {
        requests_per_minute: limit("requests_per_minute")?,
        tokens_per_minute: limit("tokens_per_minute")?,
        concurrency: limit("concurrency")?,
    })
}

fn read_key(row: &Row) -> Result<KeyRecord, LedgerError> {
    Ok(KeyRecord {
        id: row.some_text("id")?,
        hash: row.some_text("hash")?,
        ending: row.some_text("ending")?,
        name: row.some_text("name")?,
        owner: row.text("owner")?,
        team: row.text("team")?,
        created_at: stored_time(row.some_int("created_at")?)?,
        expires_at: row.int("expires_at")?.map(stored_time).transpose()?,
        revoked_at: row.int("revoked_at")?.map(stored_time).transpose()?,
        models: row.json("models")?,
        routes: row.json("routes")?,
        limits: read_limits(row)?,
    })
}

fn read_team(row: &Row) -> Result<TeamRecord, LedgerError> {
    Ok(TeamRecord {
        name: row.some_text("name")?,
        created_at: stored_time(row.some_int("created_at")?)?,
        limits: read_limits(row)?,
    })
}

fn read_budget(row: &Row) -> Result<(Scope, Budget), LedgerError> {
    let budget = Budget {
        billing: row.word("billing", Billing::parse)?,
        window: row.word("period", Window::parse)?,
        nanos: row.some_int("nanos")?,
        soft_percent: row
            .int("soft_percent")?
            .and_then(|percent| u8::try_from(percent).ok()),
    };
    Ok((row.word("scope", Scope::parse)?, budget))
}
