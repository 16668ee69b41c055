//! What a lane connects to. Chooses every setting that durability rests on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::connection::Connection;
use crate::error::LedgerError;

/// How long connecting may take. Requests wait for it, so it stays below their own deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long SQLite waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages of the write-ahead log after which the writer itself writes them back: 16 MiB.
const WAL_PAGES: &str = "4096";

#[derive(Debug, Clone)]
pub(crate) enum DatabaseTarget {
    Sqlite {
        options: Box<SqliteConnectOptions>,
        attach: Option<PathBuf>,
    },
    Postgres {
        options: Box<PgConnectOptions>,
        is_durable: bool,
    },
}

impl DatabaseTarget {
    pub(crate) async fn connect(&self) -> Result<Connection, LedgerError> {
        match self {
            Self::Sqlite { options, attach } => {
                let connection = options.connect().await;
                let connection = connection.map_err(|error| {
                    LedgerError::sql("the database cannot be opened", error)
                        .at(options.get_filename())
                })?;
                let mut connection = Connection::Sqlite(Box::new(connection));
                if let Some(file) = attach {
                    let file = file.to_string_lossy().into_owned();
                    let sql = "ATTACH DATABASE $1 AS ledger";
                    connection.link().execute(sql, vec![file.into()]).await?;
                }
                Ok(connection)
            }
            Self::Postgres {
                options,
                is_durable,
            } => {
                let connection = in_time(options.connect()).await?;
                let connection = connection
                    .map_err(|error| LedgerError::sql("the database cannot be reached", error))?;
                let mut connection = Connection::Postgres(Box::new(connection));
                let setting = if *is_durable {
                    // Only the one value that would lose settled entries is overruled;
                    // `remote_apply` and the like stay.
                    "SELECT set_config('synchronous_commit', 'on', false) \
                     WHERE current_setting('synchronous_commit') = 'off'"
                } else {
                    "SELECT set_config('synchronous_commit', 'off', false)"
                };
                in_time(connection.link().fetch(setting, Vec::new())).await??;
                Ok(connection)
            }
        }
    }
}

async fn in_time<T>(connecting: impl Future<Output = T>) -> Result<T, LedgerError> {
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| LedgerError::late())
}

/// How a database file is opened.
pub(crate) fn sqlite_options(file: &Path, synchronous: SqliteSynchronous) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        // Before WAL: afterwards it would be ignored, and the file would never shrink.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16384")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}
