//! Sign-in links and sessions of the dashboard, in the store so that every replica knows them.
//! Secrets are stored hashed.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::audit::{self, Actor};
use crate::db::{Link, Pooled};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::keeper::micros;
use crate::ledger::Ledger;
use crate::secret::{self, Secret};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SignIn,
    Session,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Session => "session",
        }
    }
}

/// A session that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is called in the audit log: the beginning of its hash. Opens nothing.
    pub name: String,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// A session that was just begun.
#[derive(Debug)]
pub struct NewSession {
    /// The secret; this is the only time it is seen.
    pub secret: Secret,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// The beginning of a hash of 192 random bits: tells sessions apart, opens nothing.
fn name(hash: &str) -> String {
    format!("session {}", hash.chars().take(8).collect::<String>())
}

fn time(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| LedgerError::bare(LedgerErrorKind::Corrupt, "a stored time is out of range"))
}

impl Ledger {
    /// Makes the secret of a one-time sign-in link.
    pub async fn create_sign_in(
        &self,
        lifetime: Duration,
        actor: impl Into<Actor>,
    ) -> Result<Secret, LedgerError> {
        let actor = actor.into();
        let mut connection = self.begin_change().await?;
        let mut link = connection.link();
        let (secret, _) = self.insert(&mut link, Kind::SignIn, lifetime).await?;
        let detail = json!({ "minutes": lifetime.as_secs() / 60 });
        self.record(&mut link, &actor, "sign_in.create", "dashboard", &detail)
            .await?;
        connection.commit().await?;
        Ok(secret)
    }

    /// Turns a sign-in secret into a session. `None`: it is unknown, used or expired. Of two that
    /// try at once, one gets it.
    pub async fn redeem_sign_in(
        &self,
        secret: &str,
        lifetime: Duration,
        actor: impl Into<Actor>,
    ) -> Result<Option<NewSession>, LedgerError> {
        let actor = actor.into();
        let sql = "DELETE FROM sessions WHERE hash = $1 AND kind = 'sign_in' AND expires_at > $2";
        let mut connection = self.begin_change().await?;
        let mut link = connection.link();
        let cells = vec![secret::hash(secret).into(), self.now().into()];
        if link.execute(sql, cells).await? == 0 {
            link.rollback().await?;
            connection.note_transaction(false);
            return Ok(None);
        }
        let (secret, expires_at) = self.insert(&mut link, Kind::Session, lifetime).await?;
        let subject = name(&secret.hash());
        self.record(&mut link, &actor, "session.begin", &subject, &json!({}))
            .await?;
        connection.commit().await?;
        Ok(Some(NewSession { secret, expires_at }))
    }

    /// The session that a secret opens; `None`: none, or no more.
    pub async fn session(&self, secret: &str) -> Result<Option<Session>, LedgerError> {
        let sql = "SELECT expires_at FROM sessions WHERE hash = $1 AND kind = 'session' AND expires_at > $2";
        let hash = secret::hash(secret);
        let mut connection = self.pool().acquire().await?;
        let cells = vec![hash.as_str().into(), self.now().into()];
        let rows = connection.link().fetch(sql, cells).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Session {
            name: name(&hash),
            expires_at: time(row.some_int(0)?)?,
        }))
    }

    /// Ends one session, or, without a secret, all of them and every sign-in link. Answers how many
    /// ended.
    pub async fn end_sessions(
        &self,
        secret: Option<&str>,
        actor: impl Into<Actor>,
    ) -> Result<u64, LedgerError> {
        let actor = actor.into();
        let mut connection = self.begin_change().await?;
        let mut link = connection.link();
        let (ended, subject) = if let Some(hash) = secret.map(secret::hash) {
            let sql = "DELETE FROM sessions WHERE hash = $1";
            let ended = link.execute(sql, vec![hash.as_str().into()]).await?;
            (ended, name(&hash))
        } else {
            let ended = link.execute("DELETE FROM sessions", Vec::new()).await?;
            (ended, "*".to_owned())
        };
        if ended > 0 {
            let detail = json!({ "ended": ended });
            self.record(&mut link, &actor, "session.end", &subject, &detail)
                .await?;
        }
        connection.commit().await?;
        Ok(ended)
    }

    /// Opens a transaction. Servers keep no session in memory, so nothing has to be told to them.
    async fn begin_change(&self) -> Result<Pooled, LedgerError> {
        let mut connection = self.pool().acquire().await?;
        connection.begin().await?;
        Ok(connection)
    }

    async fn record(
        &self,
        link: &mut Link<'_>,
        actor: &Actor,
        action: &str,
        subject: &str,
        detail: &serde_json::Value,
    ) -> Result<(), LedgerError> {
        audit::write(link, self.timestamp(), actor, action, subject, detail).await
    }

    async fn insert(
        &self,
        link: &mut Link<'_>,
        kind: Kind,
        lifetime: Duration,
    ) -> Result<(Secret, Timestamp), LedgerError> {
        let secret = Secret::new("")?;
        let now = self.now();
        let expired = "DELETE FROM sessions WHERE expires_at <= $1";
        link.execute(expired, vec![now.into()]).await?;
        let expires_at = now.saturating_add(micros(lifetime));
        let cells = vec![
            secret.hash().into(),
            kind.as_str().into(),
            expires_at.into(),
        ];
        let sql = "INSERT INTO sessions (hash, kind, expires_at) VALUES ($1, $2, $3)";
        link.execute(sql, cells).await?;
        Ok((secret, time(expires_at)?))
    }
}
