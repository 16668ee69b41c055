//! Makes, rotates and revokes gateway keys, and sets teams and budgets. Each change is one
//! transaction with its audit record, and running servers notice it.

use gateway_policy::limit::{Budget, Limits, Scope, Window};
use gateway_policy::{AuthRoute, Billing};
use jiff::Timestamp;
use serde_json::json;

use crate::audit::Actor;
use crate::db::{Cell, Link};
use crate::directory::{self, KeyRecord, TeamRecord};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::key_update::{self, KeyUpdate};
use crate::ledger::Ledger;
use crate::secret::{self, IssuedSecret};

/// What every key begins with.
pub const KEY_PREFIX: &str = "cgw_";

/// What a new key is to be.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What to call it; not empty.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// Its team; made if there is none of that name.
    pub team: Option<String>,
    /// When it stops working by itself.
    pub expires_at: Option<Timestamp>,
    /// Globs over the models it may use; empty: all.
    pub models: Vec<String>,
    /// The auth routes it may use; empty: all.
    pub routes: Vec<AuthRoute>,
    /// Its limits on speed.
    pub limits: Limits,
    /// Its budgets.
    pub budgets: Vec<Budget>,
}

/// A key that was just made or rotated.
#[derive(Debug, Clone)]
pub struct CreatedKey {
    /// The key's id.
    pub id: String,
    /// The secret; this is the only time it is seen.
    pub secret: IssuedSecret,
}

fn cell(limit: Option<u64>) -> Cell {
    Cell::Int(limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)))
}

impl Ledger {
    /// Makes a key. `actor` says in the audit log who did.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Invalid`] without a name; [`LedgerErrorKind::Conflict`] while another live
    /// key has it; [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn create_key(
        &self,
        new: &NewKey,
        actor: impl Into<Actor>,
    ) -> Result<CreatedKey, LedgerError> {
        if new.name.trim().is_empty() {
            return Err(LedgerError::invalid("a key needs a name"));
        }
        let secret = IssuedSecret::new(KEY_PREFIX)?;
        // The id is public and says nothing about the secret.
        let id: String = IssuedSecret::new("")?.reveal().chars().take(12).collect();
        let id = format!("key_{id}");
        let now = self.timestamp();
        let mut change = self.change().await?;
        if let Some(team) = &new.team {
            ensure_team(&mut change.link(), team, now).await?;
        }
        expect_free_name(&mut change.link(), &new.name, &id).await?;
        insert_key(&mut change.link(), &id, &secret, new, now).await?;
        for budget in &new.budgets {
            put_budget(&mut change.link(), &Scope::Key(id.clone()), budget).await?;
        }
        let detail = json!({
            "name": new.name, "owner": new.owner, "team": new.team, "expires_at": new.expires_at, "models": new.models,
            "routes": new.routes, "limits": new.limits, "budgets": new.budgets,
        });
        change
            .commit_audited(actor, "key.create", &id, detail)
            .await?;
        Ok(CreatedKey { id, secret })
    }

    /// Changes what is said of a live key; its secret, its id and its budgets stay.
    ///
    /// # Errors
    /// [`LedgerErrorKind::NotFound`] when no live key has this id; [`LedgerErrorKind::Conflict`]
    /// when another live key has the new name; [`LedgerErrorKind::Unavailable`] when the store does
    /// not answer.
    pub async fn update_key(
        &self,
        id: &str,
        update: &KeyUpdate,
        actor: impl Into<Actor>,
    ) -> Result<KeyRecord, LedgerError> {
        let now = self.timestamp();
        let mut change = self.change().await?;
        let directory = directory::read(&mut change.link()).await?;
        let live = directory.key(id).filter(|key| key.revoked_at.is_none());
        let before = live.ok_or_else(not_active)?;
        let after = update.apply(before);
        if after == *before {
            return Ok(after);
        }
        if let Some(team) = &after.team {
            ensure_team(&mut change.link(), team, now).await?;
        }
        expect_free_name(&mut change.link(), &after.name, id).await?;
        write_key(&mut change.link(), &after).await?;
        change
            .commit_audited(actor, "key.update", id, key_update::changed(before, &after))
            .await?;
        Ok(after)
    }

    /// Gives a key a new secret. The old one stops working.
    ///
    /// # Errors
    /// [`LedgerErrorKind::NotFound`] when no live key has this id;
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn rotate_key(
        &self,
        id: &str,
        actor: impl Into<Actor>,
    ) -> Result<CreatedKey, LedgerError> {
        let secret = IssuedSecret::new(KEY_PREFIX)?;
        let mut change = self.change().await?;
        let sql =
            "UPDATE gateway_keys SET hash = $1, ending = $2 WHERE id = $3 AND revoked_at IS NULL";
        let cells = vec![secret.hash().into(), secret.ending().into(), id.into()];
        if change.link().execute(sql, cells).await? == 0 {
            return Err(not_active());
        }
        change
            .commit_audited(actor, "key.rotate", id, json!({}))
            .await?;
        Ok(CreatedKey {
            id: id.to_owned(),
            secret,
        })
    }

    /// Stops a key for good. Answers whether it worked until now.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn revoke_key(&self, id: &str, actor: impl Into<Actor>) -> Result<bool, LedgerError> {
        let mut change = self.change().await?;
        let sql = "UPDATE gateway_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
        let cells = vec![self.now().into(), id.into()];
        if change.link().execute(sql, cells).await? == 0 {
            return Ok(false);
        }
        change
            .commit_audited(actor, "key.revoke", id, json!({}))
            .await?;
        Ok(true)
    }

    /// Whether a secret is that of a key, perhaps of a revoked one.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn has_key(&self, secret: &str) -> Result<bool, LedgerError> {
        let sql = "SELECT id FROM gateway_keys WHERE hash = $1";
        let mut connection = self.pool().acquire().await?;
        let rows = connection
            .link()
            .fetch(sql, vec![secret::hash(secret).into()])
            .await?;
        Ok(!rows.is_empty())
    }

    /// All keys, the revoked ones too.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        Ok(self.directory().await?.keys().to_vec())
    }

    /// Makes a team, or changes its limits on speed.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Invalid`] without a name; [`LedgerErrorKind::Unavailable`] when the store
    /// does not answer.
    pub async fn put_team(
        &self,
        name: &str,
        limits: Limits,
        actor: impl Into<Actor>,
    ) -> Result<(), LedgerError> {
        if name.trim().is_empty() {
            return Err(LedgerError::invalid("a team needs a name"));
        }
        let now = self.timestamp();
        let mut change = self.change().await?;
        ensure_team(&mut change.link(), name, now).await?;
        let sql = "UPDATE teams SET requests_per_minute = $1, tokens_per_minute = $2, \
                   concurrency = $3 WHERE name = $4";
        let cells = vec![
            cell(limits.requests_per_minute),
            cell(limits.tokens_per_minute),
            cell(limits.concurrency),
            name.into(),
        ];
        change.link().execute(sql, cells).await?;
        change
            .commit_audited(actor, "team.put", name, json!({ "limits": limits }))
            .await
    }

    /// Deletes a team and its budgets. Answers whether there was one.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Conflict`] while live keys belong to it;
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn delete_team(
        &self,
        name: &str,
        actor: impl Into<Actor>,
    ) -> Result<bool, LedgerError> {
        let mut change = self.change().await?;
        let sql = "SELECT COUNT(*) FROM gateway_keys WHERE team = $1 AND revoked_at IS NULL";
        let rows = change.link().fetch(sql, vec![name.into()]).await?;
        if rows.first().map_or(Ok(0), |row| row.some_int(0))? > 0 {
            return Err(LedgerError::bare(
                LedgerErrorKind::Conflict,
                "active keys belong to this team",
            ));
        }
        let sql = "DELETE FROM teams WHERE name = $1";
        if change.link().execute(sql, vec![name.into()]).await? == 0 {
            return Ok(false);
        }
        let scope = Scope::Team(name.to_owned()).as_text();
        let sql = "DELETE FROM budgets WHERE scope = $1";
        change.link().execute(sql, vec![scope.into()]).await?;
        change
            .commit_audited(actor, "team.delete", name, json!({}))
            .await?;
        Ok(true)
    }

    /// All teams.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn teams(&self) -> Result<Vec<TeamRecord>, LedgerError> {
        Ok(self.directory().await?.teams().to_vec())
    }

    /// Sets the budget of a scope for its window and kind of money.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn put_budget(
        &self,
        scope: &Scope,
        budget: &Budget,
        actor: impl Into<Actor>,
    ) -> Result<(), LedgerError> {
        let mut change = self.change().await?;
        put_budget(&mut change.link(), scope, budget).await?;
        change
            .commit_audited(actor, "budget.put", &scope.as_text(), json!(budget))
            .await
    }

    /// Deletes a budget. Answers whether there was one.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer.
    pub async fn delete_budget(
        &self,
        scope: &Scope,
        window: Window,
        billing: Billing,
        actor: impl Into<Actor>,
    ) -> Result<bool, LedgerError> {
        let mut change = self.change().await?;
        let sql = "DELETE FROM budgets WHERE scope = $1 AND billing = $2 AND period = $3";
        let cells = vec![
            scope.as_text().into(),
            billing.as_str().into(),
            window.as_str().into(),
        ];
        if change.link().execute(sql, cells).await? == 0 {
            return Ok(false);
        }
        let detail = json!({ "window": window, "billing": billing });
        change
            .commit_audited(actor, "budget.delete", &scope.as_text(), detail)
            .await?;
        Ok(true)
    }
}

fn not_active() -> LedgerError {
    LedgerError::bare(
        LedgerErrorKind::NotFound,
        "there is no active key with this id",
    )
}

/// Names of live keys are unique. Nobody can take the name meanwhile: changes wait for each other.
async fn expect_free_name(link: &mut Link<'_>, name: &str, id: &str) -> Result<(), LedgerError> {
    let sql = "SELECT id FROM gateway_keys WHERE name = $1 AND id <> $2 AND revoked_at IS NULL";
    let rows = link.fetch(sql, vec![name.into(), id.into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let other = row.some_text("id")?;
    Err(LedgerError::conflict(format!(
        "a key `{name}` exists already ({other}); choose another name, or rotate or revoke that key"
    )))
}

async fn write_key(link: &mut Link<'_>, key: &KeyRecord) -> Result<(), LedgerError> {
    let cells = vec![
        key.name.as_str().into(),
        key.owner.as_deref().into(),
        key.team.as_deref().into(),
        key.expires_at.map(Timestamp::as_microsecond).into(),
        json!(key.models).to_string().into(),
        json!(key.routes).to_string().into(),
        cell(key.limits.requests_per_minute),
        cell(key.limits.tokens_per_minute),
        cell(key.limits.concurrency),
        key.id.as_str().into(),
    ];
    let sql = "UPDATE gateway_keys SET name = $1, owner = $2, team = $3, expires_at = $4, \
               models = $5, routes = $6, requests_per_minute = $7, tokens_per_minute = $8, \
               concurrency = $9 WHERE id = $10";
    link.execute(sql, cells).await.map(drop)
}

async fn insert_key(
    link: &mut Link<'_>,
    id: &str,
    secret: &IssuedSecret,
    new: &NewKey,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let cells = vec![
        id.into(),
        secret.hash().into(),
        secret.ending().into(),
        new.name.as_str().into(),
        new.owner.as_deref().into(),
        new.team.as_deref().into(),
        now.as_microsecond().into(),
        new.expires_at.map(Timestamp::as_microsecond).into(),
        json!(new.models).to_string().into(),
        json!(new.routes).to_string().into(),
        cell(new.limits.requests_per_minute),
        cell(new.limits.tokens_per_minute),
        cell(new.limits.concurrency),
    ];
    let sql = "INSERT INTO gateway_keys (id, hash, ending, name, owner, team, created_at, \
               expires_at, models, routes, requests_per_minute, tokens_per_minute, concurrency) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    link.execute(sql, cells).await.map(drop)
}

async fn ensure_team(link: &mut Link<'_>, name: &str, now: Timestamp) -> Result<(), LedgerError> {
    let sql = "INSERT INTO teams (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    link.execute(sql, vec![name.into(), now.as_microsecond().into()])
        .await
        .map(drop)
}

async fn put_budget(
    link: &mut Link<'_>,
    scope: &Scope,
    budget: &Budget,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO budgets (scope, billing, period, nanos, soft_percent) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scope, billing, period) \
               DO UPDATE SET nanos = excluded.nanos, soft_percent = excluded.soft_percent";
    let cells = vec![
        scope.as_text().into(),
        budget.billing.as_str().into(),
        budget.window.as_str().into(),
        budget.nanos.into(),
        budget.soft_percent.map(i64::from).into(),
    ];
    link.execute(sql, cells).await.map(drop)
}
