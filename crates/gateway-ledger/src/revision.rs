//! Tells running gateways that something administered has changed: keys, teams, budgets, model
//! refusals. One counter in the store is raised in the transaction of the change; servers look at it
//! every half second, and on PostgreSQL also whenever a notification says so. The counter is the
//! truth: a notification lost while a connection was down costs half a second.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::db::{Link, Pool, SqlDialect};
use crate::error::LedgerError;

/// Raises the counter. Part of every transaction that changes what servers keep in memory.
pub(crate) async fn raise(link: &mut Link<'_>) -> Result<(), LedgerError> {
    let sql = "UPDATE changes SET revision = revision + 1 WHERE id = 1";
    link.execute(sql, Vec::new()).await?;
    if link.dialect() == SqlDialect::Postgres {
        // Delivered when the transaction commits.
        link.fetch("SELECT pg_notify($1, '')", vec![CHANNEL.into()])
            .await?;
    }
    Ok(())
}

/// Waits for the change that another transaction is making, and makes others wait for this one. First
/// in a transaction, so that no two wait for each other.
pub(crate) async fn lock(link: &mut Link<'_>) -> Result<(), LedgerError> {
    // SQLite has one writer at a time anyway.
    if link.dialect() == SqlDialect::Postgres {
        let sql = "SELECT revision FROM changes WHERE id = 1 FOR UPDATE";
        link.fetch(sql, Vec::new()).await?;
    }
    Ok(())
}

const CHANNEL: &str = "codex_gateway_changes";

/// How long one look at the counter may take. When the network to the store comes back, requests
/// are let in again within two seconds; by then it has to be known which keys were revoked
/// meanwhile.
const LOOK_DEADLINE: Duration = Duration::from_secs(1);

/// Receives notifications of changes, where the store sends any.
pub(crate) struct Notifications {
    pool: Pool,
    listener: Option<PgListener>,
}

impl Notifications {
    pub(crate) const fn new(pool: Pool) -> Self {
        Self {
            pool,
            listener: None,
        }
    }

    /// Waits for the next notification; for ever on a store that sends none. Dropping this future
    /// loses none that matters, since the caller then looks at the counter.
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
