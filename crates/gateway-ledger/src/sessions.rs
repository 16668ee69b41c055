//! Sign-in links and sessions of the dashboard, in the store so that every replica knows them. Secrets are stored hashed.

use std::time::Duration;

use crate::error::LedgerError;
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

impl Ledger {
    /// Makes the secret of a one-time sign-in link.
    pub async fn create_sign_in(&self, lifetime: Duration) -> Result<Secret, LedgerError> {
        self.create_session_secret(Kind::SignIn, lifetime).await
    }

    /// Turns a sign-in secret into a session. `None`: it is unknown, used or expired. Of two that try at once, one gets it.
    pub async fn redeem_sign_in(
        &self,
        secret: &str,
        lifetime: Duration,
    ) -> Result<Option<Secret>, LedgerError> {
        let sql = "DELETE FROM sessions WHERE hash = $1 AND kind = 'sign_in' AND expires_at > $2";
        let mut connection = self.pool().acquire().await?;
        let cells = vec![secret::hash(secret).into(), self.now().into()];
        let redeemed = connection.link().execute(sql, cells).await?;
        drop(connection);
        if redeemed == 0 {
            return Ok(None);
        }
        self.create_session_secret(Kind::Session, lifetime)
            .await
            .map(Some)
    }

    /// Whether a session is good.
    pub async fn is_session(&self, secret: &str) -> Result<bool, LedgerError> {
        let sql = "SELECT 1 FROM sessions WHERE hash = $1 AND kind = 'session' AND expires_at > $2";
        let mut connection = self.pool().acquire().await?;
        let rows = connection
            .link()
            .fetch(sql, vec![secret::hash(secret).into(), self.now().into()])
            .await?;
        Ok(!rows.is_empty())
    }

    /// Ends one session, or, without a secret, all of them and every sign-in link.
    pub async fn end_sessions(&self, secret: Option<&str>) -> Result<u64, LedgerError> {
        let mut connection = self.pool().acquire().await?;
        let mut link = connection.link();
        match secret {
            Some(secret) => {
                link.execute(
                    "DELETE FROM sessions WHERE hash = $1",
                    vec![secret::hash(secret).into()],
                )
                .await
            }
            None => link.execute("DELETE FROM sessions", Vec::new()).await,
        }
    }

    async fn create_session_secret(
        &self,
        kind: Kind,
        lifetime: Duration,
    ) -> Result<Secret, LedgerError> {
        let secret = Secret::new("")?;
        let now = self.now();
        let mut connection = self.pool().acquire().await?;
        let mut link = connection.link();
        link.execute(
            "DELETE FROM sessions WHERE expires_at <= $1",
            vec![now.into()],
        )
        .await?;
        let sql = "INSERT INTO sessions (hash, kind, expires_at) VALUES ($1, $2, $3)";
        let expires_at = now.saturating_add(micros(lifetime));
        link.execute(
            sql,
            vec![
                secret.hash().into(),
                kind.as_str().into(),
                expires_at.into(),
            ],
        )
        .await?;
        Ok(secret)
    }
}
