//! Sign-in links and sessions of the dashboard, in the store so that every replica knows them.
//! Secrets are stored hashed. Servers keep no session in memory, so that a change need not be
//! announced.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::audit::{self, Actor};
use crate::db::Link;
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::secret::{self, IssuedSecret};
use crate::time::{micros, stored_time};

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionSecretKind {
    SignIn,
    Session,
}

impl SessionSecretKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Session => "session",
        }
    }
}

/// A session that has not ended.
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
    pub secret: IssuedSecret,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// The beginning of a hash of 192 random bits: tells sessions apart, opens nothing.
fn name(hash: &str) -> String {
    format!("session {}", hash.chars().take(8).collect::<String>())
}

impl Ledger {
    /// Makes the secret of a one-time sign-in link.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn create_sign_in(
        &self,
        lifetime: Duration,
        actor: impl Into<Actor>,
    ) -> Result<IssuedSecret, LedgerError> {
        let mut connection = self.pool().begin().await?;
        let mut link = connection.link();
        let (secret, _) = self
            .insert(&mut link, SessionSecretKind::SignIn, lifetime)
            .await?;
        let detail = json!({ "minutes": lifetime.as_secs() / 60 });
        self.record(&mut link, actor, "sign_in.create", "dashboard", detail)
            .await?;
        connection.commit().await?;
        Ok(secret)
    }

    /// Turns a sign-in secret into a session. `None`: it is unknown, used or expired. Of two that
    /// try at once, one gets it.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn redeem_sign_in(
        &self,
        secret: &str,
        lifetime: Duration,
        actor: impl Into<Actor>,
    ) -> Result<Option<NewSession>, LedgerError> {
        let sql = "DELETE FROM sessions WHERE hash = $1 AND kind = 'sign_in' AND expires_at > $2";
        let mut connection = self.pool().begin().await?;
        let mut link = connection.link();
        let cells = vec![secret::hash(secret).into(), self.now().into()];
        if link.execute(sql, cells).await? == 0 {
            connection.rollback().await?;
            return Ok(None);
        }
        let (secret, expires_at) = self
            .insert(&mut link, SessionSecretKind::Session, lifetime)
            .await?;
        let subject = name(&secret.hash());
        self.record(&mut link, actor, "session.begin", &subject, json!({}))
            .await?;
        connection.commit().await?;
        Ok(Some(NewSession { secret, expires_at }))
    }

    /// The session that a secret opens; `None`: it opens none, or none any more.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn session(&self, secret: &str) -> Result<Option<Session>, LedgerError> {
        let sql = "SELECT expires_at FROM sessions \
                   WHERE hash = $1 AND kind = 'session' AND expires_at > $2";
        let hash = secret::hash(secret);
        let mut connection = self.pool().acquire().await?;
        let cells = vec![hash.as_str().into(), self.now().into()];
        let rows = connection.link().fetch(sql, cells).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Session {
            name: name(&hash),
            expires_at: stored_time(row.some_int(0)?)?,
        }))
    }

    /// Ends one session, or, without a secret, all of them and every sign-in link. Answers how many
    /// ended.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn end_sessions(
        &self,
        secret: Option<&str>,
        actor: impl Into<Actor>,
    ) -> Result<u64, LedgerError> {
        let mut connection = self.pool().begin().await?;
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
            self.record(&mut link, actor, "session.end", &subject, detail)
                .await?;
        }
        connection.commit().await?;
        Ok(ended)
    }

    async fn record(
        &self,
        link: &mut Link<'_>,
        actor: impl Into<Actor>,
        action: &str,
        subject: &str,
        detail: serde_json::Value,
    ) -> Result<(), LedgerError> {
        let record = audit::record(self.timestamp(), actor, action, subject, detail);
        audit::write(link, &record).await
    }

    async fn insert(
        &self,
        link: &mut Link<'_>,
        kind: SessionSecretKind,
        lifetime: Duration,
    ) -> Result<(IssuedSecret, Timestamp), LedgerError> {
        let secret = IssuedSecret::new("")?;
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
        Ok((secret, stored_time(expires_at)?))
    }
}
