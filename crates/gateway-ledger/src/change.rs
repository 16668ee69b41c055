//! A change of something administered: running servers notice it, and the audit log has it, or
//! neither.

use serde_json::Value;
use tokio::sync::watch;

use crate::audit::{self, Actor};
use crate::db::{Link, PooledConnection};
use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::revision;

impl Ledger {
    /// The revision of everything administered. It changes within two seconds of a change made by
    /// any process on the store, as long as the [`crate::Driver`] runs; what was read before is
    /// stale then. It can change without need.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.revision().subscribe()
    }

    /// Begins a change. It waits for the one that is being made, so what it reads stays true until
    /// it is committed.
    pub(crate) async fn change(&self) -> Result<OpenChange, LedgerError> {
        let mut connection = self.pool().begin().await?;
        revision::lock(&mut connection.link()).await?;
        Ok(OpenChange {
            connection,
            at: self.timestamp(),
        })
    }
}

/// An open change. Dropping it takes it back.
pub(crate) struct OpenChange {
    connection: PooledConnection,
    at: jiff::Timestamp,
}

impl OpenChange {
    pub(crate) fn link(&mut self) -> Link<'_> {
        self.connection.link()
    }

    /// Commits it without an audit record: no person made it.
    pub(crate) async fn commit(mut self) -> Result<(), LedgerError> {
        revision::raise(&mut self.connection.link()).await?;
        self.connection.commit().await
    }

    /// Commits it and records who did what to which subject.
    pub(crate) async fn commit_audited(
        mut self,
        actor: impl Into<Actor>,
        action: &str,
        subject: &str,
        detail: Value,
    ) -> Result<(), LedgerError> {
        let record = audit::record(self.at, actor, action, subject, detail);
        audit::write(&mut self.connection.link(), &record).await?;
        self.commit().await
    }
}
