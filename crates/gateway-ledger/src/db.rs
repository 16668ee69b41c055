//! One way to talk to two databases: cells in, rows out. All SQL of the crate goes through here, so
//! that it is written once; what differs between the two is in `db/open.rs` and in the few places
//! that ask [`Link::dialect`].

pub(crate) mod open;
mod table;

use std::future::Future;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Connection as _, Postgres, Row as _, SqlSafeStr, Sqlite};

use crate::error::{LedgerError, LedgerErrorKind};

pub(crate) use table::Table;

/// Which database, where the SQL has to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A value on its way in. Everything stored is text or a 64-bit integer: times in microseconds,
/// money in nano-dollars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Text(Option<String>),
    Int(Option<i64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(Some(clean(text)))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(Some(clean(&text)))
    }
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(clean))
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

/// PostgreSQL refuses a NUL in text, and one such row would fail its whole batch.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The kind of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
}

/// SQL put together from constants, with its values beside it.
pub(crate) struct Statement {
    sql: String,
    cells: Vec<Cell>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            cells: Vec::new(),
        }
    }

    /// Appends SQL; never a value.
    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a placeholder and binds a value to it.
    pub(crate) fn bind(&mut self, value: impl Into<Cell>) -> &mut Self {
        self.cells.push(value.into());
        self.sql.push('$');
        self.sql.push_str(&self.cells.len().to_string());
        self
    }

    pub(crate) async fn fetch(self, link: &mut Link<'_>) -> Result<Vec<Row>, LedgerError> {
        link.fetch(sqlx::AssertSqlSafe(self.sql), self.cells).await
    }
}

/// A row on its way out.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, index: usize) -> Result<Option<String>, LedgerError> {
        let text = match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        };
        text.map_err(|error| LedgerError::sql("a stored text cannot be read", error))
    }

    pub(crate) fn int(&self, index: usize) -> Result<Option<i64>, LedgerError> {
        let number = match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        };
        number.map_err(|error| LedgerError::sql("a stored number cannot be read", error))
    }

    pub(crate) fn some_text(&self, index: usize) -> Result<String, LedgerError> {
        self.text(index)?
            .ok_or_else(|| missing("a stored text is missing"))
    }

    pub(crate) fn some_int(&self, index: usize) -> Result<i64, LedgerError> {
        self.int(index)?
            .ok_or_else(|| missing("a stored number is missing"))
    }
}

fn missing(context: &'static str) -> LedgerError {
    LedgerError::bare(LedgerErrorKind::Corrupt, context)
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

/// Connections for readers and for rare writes.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// Waits at most the pool's own acquire timeout.
    pub(crate) async fn acquire(&self) -> Result<Pooled, LedgerError> {
        let connection = match self {
            Self::Sqlite(pool) => pool.acquire().await.map(PooledConnection::Sqlite),
            Self::Postgres(pool) => pool.acquire().await.map(PooledConnection::Postgres),
        };
        let connection =
            connection.map_err(|error| LedgerError::sql("the store does not answer", error))?;
        Ok(Pooled {
            connection,
            is_in_transaction: false,
        })
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
        let late = |_| {
            Err(LedgerError::unavailable(
                "the store does not answer in time",
            ))
        };
        let answer = tokio::time::timeout(most, read(&mut connection.link()))
            .await
            .unwrap_or_else(late)?;
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

enum PooledConnection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

/// A borrowed connection. Dropping it inside a transaction, or before an answer, closes it; that
/// rolls back.
pub(crate) struct Pooled {
    connection: PooledConnection,
    is_in_transaction: bool,
}

impl Pooled {
    pub(crate) fn link(&mut self) -> Link<'_> {
        match &mut self.connection {
            PooledConnection::Sqlite(connection) => Link::Sqlite(connection),
            PooledConnection::Postgres(connection) => Link::Postgres(connection),
        }
    }

    pub(crate) async fn begin(&mut self) -> Result<(), LedgerError> {
        self.is_in_transaction = true;
        self.link().begin().await
    }

    /// Notes that somebody begins, or has ended, something on the link that must not be found half
    /// done by the next user.
    pub(crate) const fn note_transaction(&mut self, is_in_transaction: bool) {
        self.is_in_transaction = is_in_transaction;
    }

    pub(crate) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.link().commit().await?;
        self.is_in_transaction = false;
        Ok(())
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.is_in_transaction {
            match &mut self.connection {
                PooledConnection::Sqlite(connection) => connection.close_on_drop(),
                PooledConnection::Postgres(connection) => connection.close_on_drop(),
            }
        }
    }
}

/// Either connection, borrowed.
pub(crate) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A network can swallow an answer; the database's own limit on a statement (30 seconds) is below
/// this.
const NETWORK_DEADLINE: Duration = Duration::from_secs(35);

async fn answered<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(NETWORK_DEADLINE, work)
        .await
        .unwrap_or_else(late)
}

const FAILED: &str = "the store refused a statement or went away";

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
    pub(crate) const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
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
        done.map_err(|error| LedgerError::sql(FAILED, error))
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
        rows.map_err(|error| LedgerError::sql(FAILED, error))
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
        done.map_err(|error| LedgerError::sql(FAILED, error))
    }

    /// Begins a transaction that will write. On SQLite it takes the write lock at once, since a
    /// reader that turns writer can fail without waiting.
    pub(crate) async fn begin(&mut self) -> Result<(), LedgerError> {
        match self.dialect() {
            Dialect::Sqlite => self.raw("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.raw("BEGIN").await,
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<(), LedgerError> {
        self.raw("COMMIT").await
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), LedgerError> {
        self.raw("ROLLBACK").await
    }
}

/// Where to connect, and a connection that is made again when it broke. Each lane belongs to one
/// task.
pub(crate) struct Lane {
    target: open::Target,
    connection: Option<Connection>,
}

impl Lane {
    pub(crate) const fn new(target: open::Target, connection: Connection) -> Self {
        Self {
            target,
            connection: Some(connection),
        }
    }

    /// Connects if there is no connection. Bounded by the target's connect timeout.
    pub(crate) async fn link(&mut self) -> Result<Link<'_>, LedgerError> {
        if self.connection.is_none() {
            self.connection = Some(self.target.connect().await?);
        }
        match &mut self.connection {
            Some(connection) => Ok(connection.link()),
            None => Err(LedgerError::unavailable("the store does not answer")),
        }
    }

    /// Gives a connection up that is in an unknown state; the next use makes a new one.
    pub(crate) fn discard(&mut self) {
        self.connection = None;
    }

    pub(crate) async fn close(&mut self) -> Result<(), LedgerError> {
        match self.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// How long a batch may take before its connection is given up. A local file has no network to
    /// lose an answer in, and giving up there would only leave its worker behind.
    pub(crate) const fn deadline(&self) -> Option<Duration> {
        match self.target {
            open::Target::Sqlite { .. } => None,
            open::Target::Postgres { .. } => Some(Duration::from_secs(5)),
        }
    }
}
