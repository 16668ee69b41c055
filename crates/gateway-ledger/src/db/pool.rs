//! Connections for readers and for rare writes; the two lanes that a request waits for have
//! connections of their own.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use sqlx::{Postgres, Sqlite};

use super::connection::Link;
use crate::error::LedgerError;

#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Waits at most the pool's own acquire timeout.
    pub(crate) async fn acquire(&self) -> Result<PooledConnection, LedgerError> {
        let connection = match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Either::Sqlite),
            Self::Postgres(pool) => pool.acquire().await.map(Either::Postgres),
        };
        let connection =
            connection.map_err(|error| LedgerError::sql("the store does not respond", error))?;
        Ok(PooledConnection {
            connection,
            is_in_transaction: false,
        })
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(&self) -> Result<PooledConnection, LedgerError> {
        let mut connection = self.acquire().await?;
        connection.is_in_transaction = true;
        connection.link().begin().await?;
        Ok(connection)
    }

    /// Reads what servers act on, such as whether a key is revoked. An answer that a network
    /// swallowed is waited for briefly, and its connection is given up instead of used again.
    pub(crate) async fn briefly<T>(
        &self,
        most: Duration,
        read: impl AsyncFnOnce(&mut Link<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut connection = self.acquire().await?;
        connection.note_transaction(true);
        let answer = tokio::time::timeout(most, read(&mut connection.link()))
            .await
            .unwrap_or_else(|_| Err(LedgerError::late()))?;
        connection.note_transaction(false);
        Ok(answer)
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

enum Either {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A borrowed connection. Dropping it inside a transaction, or before an answer, closes it; that
/// rolls back.
pub(crate) struct PooledConnection {
    connection: Either,
    is_in_transaction: bool,
}

impl PooledConnection {
    pub(crate) fn link(&mut self) -> Link<'_> {
        match &mut self.connection {
            Either::Sqlite(connection) => Link::Sqlite(connection),
            Either::Postgres(connection) => Link::Postgres(connection),
        }
    }

    /// Notes that a caller begins, or has ended, something on the link that the next user must not
    /// find half done.
    pub(crate) const fn note_transaction(&mut self, is_in_transaction: bool) {
        self.is_in_transaction = is_in_transaction;
    }

    pub(crate) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.link().commit().await?;
        self.is_in_transaction = false;
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), LedgerError> {
        self.link().rollback().await?;
        self.is_in_transaction = false;
        Ok(())
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if self.is_in_transaction {
            match &mut self.connection {
                Either::Sqlite(connection) => connection.close_on_drop(),
                Either::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}
