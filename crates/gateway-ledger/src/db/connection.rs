//! A connection to either database, and the rows that it answers with.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{ColumnIndex, Connection as _, Row as _, SqlSafeStr};

use super::value::{Cell, SqlDialect};
use crate::error::{LedgerError, LedgerErrorKind};

/// A row on its way out.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A column of a row: its name, or its place from 0 on.
pub(crate) trait RowIndex: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> {}

impl<C: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>> RowIndex for C {}

impl Row {
    pub(crate) fn text(&self, column: impl RowIndex) -> Result<Option<String>, LedgerError> {
        let text = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        text.map_err(|error| LedgerError::sql("a stored text cannot be read", error))
    }

    pub(crate) fn int(&self, column: impl RowIndex) -> Result<Option<i64>, LedgerError> {
        let number = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        number.map_err(|error| LedgerError::sql("a stored number cannot be read", error))
    }

    pub(crate) fn some_text(&self, column: impl RowIndex) -> Result<String, LedgerError> {
        let text = self.text(column)?;
        text.ok_or_else(|| LedgerError::corrupt("a stored text is missing"))
    }

    pub(crate) fn some_int(&self, column: impl RowIndex) -> Result<i64, LedgerError> {
        let number = self.int(column)?;
        number.ok_or_else(|| LedgerError::corrupt("a stored number is missing"))
    }

    /// A word of a fixed vocabulary, read by `parse`.
    pub(crate) fn word<T>(
        &self,
        column: impl RowIndex,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, LedgerError> {
        let word = self.some_text(column)?;
        parse(&word).ok_or_else(|| {
            let context = "a stored word is unknown";
            LedgerError::caused(LedgerErrorKind::Corrupt, context, format!("`{word}`"))
        })
    }

    /// JSON that was stored as text.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: impl RowIndex,
    ) -> Result<T, LedgerError> {
        serde_json::from_str(&self.some_text(column)?).map_err(|error| {
            LedgerError::caused(
                LedgerErrorKind::Corrupt,
                "stored JSON cannot be read",
                error,
            )
        })
    }
}

/// A connection of one's own.
pub(crate) enum Connection {
    Sqlite(Box<SqliteConnection>),
    Postgres(Box<PgConnection>),
}

impl Connection {
    pub(crate) fn link(&mut self) -> Link<'_> {
        match self {
            Self::Sqlite(connection) => Link::Sqlite(connection),
            Self::Postgres(connection) => Link::Postgres(connection),
        }
    }

    pub(crate) async fn close(self) -> Result<(), LedgerError> {
        let closed = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
        closed.map_err(|error| LedgerError::sql("closing the store failed", error))
    }
}

/// Either connection, borrowed.
pub(crate) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// How long an answer of PostgreSQL may take. A network can swallow one; the database's own limit
/// on a statement (30 seconds) is below this.
const NETWORK_DEADLINE: Duration = Duration::from_secs(35);

/// Gives up on an answer that does not come.
pub(crate) async fn answered<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(NETWORK_DEADLINE, work)
        .await
        .unwrap_or_else(late)
}

/// The error of a statement that did not run.
pub(crate) fn failed(error: sqlx::Error) -> LedgerError {
    LedgerError::sql("the store refused a statement or went away", error)
}

macro_rules! bound {
    ($sql:expr, $cells:expr) => {{
        let mut query = sqlx::query($sql);
        for cell in $cells {
            query = match cell {
                Cell::Text(text) => query.bind(text),
                Cell::Int(number) => query.bind(number),
            };
        }
        query
    }};
}

impl Link<'_> {
    pub(crate) const fn dialect(&self) -> SqlDialect {
        match self {
            Self::Sqlite(_) => SqlDialect::Sqlite,
            Self::Postgres(_) => SqlDialect::Postgres,
        }
    }

    /// Runs a statement; `$1`, `$2` … are the cells. Answers the number of rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: impl SqlSafeStr,
        cells: Vec<Cell>,
    ) -> Result<u64, LedgerError> {
        let done = match self {
            Self::Sqlite(connection) => bound!(sql, cells)
                .execute(&mut **connection)
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(connection) => answered(bound!(sql, cells).execute(&mut **connection))
                .await
                .map(|done| done.rows_affected()),
        };
        done.map_err(failed)
    }

    /// Runs a query and collects its rows; callers bound them with `LIMIT` or by grouping.
    pub(crate) async fn fetch(
        &mut self,
        sql: impl SqlSafeStr,
        cells: Vec<Cell>,
    ) -> Result<Vec<Row>, LedgerError> {
        let rows = match self {
            Self::Sqlite(connection) => bound!(sql, cells)
                .fetch_all(&mut **connection)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect()),
            Self::Postgres(connection) => answered(bound!(sql, cells).fetch_all(&mut **connection))
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(failed)
    }

    /// Runs text without cells, perhaps several statements.
    pub(crate) async fn raw(&mut self, sql: impl SqlSafeStr) -> Result<(), LedgerError> {
        let done = match self {
            Self::Sqlite(connection) => sqlx::raw_sql(sql)
                .execute(&mut **connection)
                .await
                .map(drop),
            Self::Postgres(connection) => answered(sqlx::raw_sql(sql).execute(&mut **connection))
                .await
                .map(drop),
        };
        done.map_err(failed)
    }

    /// Begins a transaction that will write. On SQLite it takes the write lock at once, since a
    /// reader that turns writer can fail without waiting.
    pub(crate) async fn begin(&mut self) -> Result<(), LedgerError> {
        match self.dialect() {
            SqlDialect::Sqlite => self.raw("BEGIN IMMEDIATE").await,
            SqlDialect::Postgres => self.raw("BEGIN").await,
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.raw("COMMIT").await
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), LedgerError> {
        self.raw("ROLLBACK").await
    }
}
