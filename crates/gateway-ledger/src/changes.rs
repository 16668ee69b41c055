//! Tells running gateways that something administered has changed: keys, teams, budgets, facts. One
//! counter in the store, raised in the transaction of the change; who serves looks at it every half
//! second, and on PostgreSQL also whenever a notification says so. The counter is the truth: a
//! notification lost while a connection was down costs half a second.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::db::{Dialect, Link, Pool, Pooled};
use crate::error::LedgerError;
use crate::ledger::Ledger;

/// Raises the counter. Part of every transaction that changes what servers keep in memory.
pub(crate) async fn raise(link: &mut Link<'_>) -> Result<(), LedgerError> {
    link.execute(
        "UPDATE changes SET revision = revision + 1 WHERE id = 1",
        Vec::new(),
    )
    .await?;
    if link.dialect() == Dialect::Postgres {
        // Delivered when the transaction commits.
        link.fetch("SELECT pg_notify($1, '')", vec![CHANNEL.into()])
            .await?;
    }
    Ok(())
}

const CHANNEL: &str = "codex_gateway_changes";

/// How long one look at the counter may take. When the network to the store comes back, requests
/// are let in again within two seconds; by then it has to be known which keys were revoked
/// meanwhile.
const LOOK_DEADLINE: Duration = Duration::from_secs(1);

/// Hears of changes at once, where the store can tell.
pub(crate) struct Notices {
    pool: Pool,
    listener: Option<PgListener>,
}

impl Notices {
    pub(crate) const fn new(pool: Pool) -> Self {
        Self {
            pool,
            listener: None,
        }
    }

    /// Waits for the next notice; for ever on a store that gives none. Dropping this future loses
    /// no notice that matters, since whoever drops it looks at the counter.
    pub(crate) async fn next(&mut self) {
        let Pool::Postgres(pool) = &self.pool else {
            return std::future::pending().await;
        };
        if self.listener.is_none() {
            let connected = PgListener::connect_with(pool).await;
            let Ok(mut listener) = connected else {
                return std::future::pending().await;
            };
            if listener.listen(CHANNEL).await.is_err() {
                return std::future::pending().await;
            }
            self.listener = Some(listener);
            return;
        }
        if let Some(listener) = &mut self.listener
            && listener.recv().await.is_err()
        {
            self.listener = None;
        }
    }
}

/// Reads the counter.
pub(crate) async fn revision(pool: &Pool) -> Result<i64, LedgerError> {
    let sql = "SELECT revision FROM changes WHERE id = 1";
    pool.briefly(LOOK_DEADLINE, async |link| {
        let rows = link.fetch(sql, Vec::new()).await?;
        rows.first().map_or(Ok(0), |row| row.some_int(0))
    })
    .await
}

impl Ledger {
    /// The revision of everything administered. It changes within two seconds of a change made by
    /// any process on the store, as long as the [`crate::Driver`] runs; what was read before is
    /// stale then. It can change without need.
    pub fn changes(&self) -> watch::Receiver<i64> {
        self.revision().subscribe()
    }

    /// Runs a change and raises the counter, both or neither.
    pub(crate) async fn change(&self) -> Result<Change, LedgerError> {
        let mut connection = self.pool().acquire().await?;
        connection.begin().await?;
        Ok(Change { connection })
    }
}

/// An open change. Dropping it takes it back.
pub(crate) struct Change {
    connection: Pooled,
}

impl Change {
    pub(crate) fn link(&mut self) -> Link<'_> {
        self.connection.link()
    }

    pub(crate) async fn commit(mut self) -> Result<(), LedgerError> {
        raise(&mut self.connection.link()).await?;
        self.connection.commit().await
    }
}
