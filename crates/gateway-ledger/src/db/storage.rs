//! Reads a storage URL, and knows what is kept where.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqlitePoolOptions, SqliteSynchronous};

use super::pool::Pool;
use super::target::{DatabaseTarget, sqlite_options};
use crate::error::LedgerError;

/// How long a call may wait for a free connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Readers and rare writers at the same time; the two hot lanes have connections of their own.
const POOL_SIZE: u32 = 6;

/// A storage URL, read.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    Sqlite { file: PathBuf },
    Postgres { options: Box<PgConnectOptions> },
}

impl Storage {
    /// `sqlite`, `sqlite:///path`, `postgres://…`.
    pub(crate) fn parse(url: &str, data_dir: &Path) -> Result<Self, LedgerError> {
        if url == "sqlite" {
            return Ok(Self::Sqlite {
                file: data_dir.join("ledger.db"),
            });
        }
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() {
                return Err(LedgerError::invalid("the storage URL has no file name"));
            }
            return Ok(Self::Sqlite {
                file: PathBuf::from(path),
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The error is not kept as the source: it can quote the URL, and the URL can hold a
            // password.
            let options = PgConnectOptions::from_str(url)
                .map_err(|_| LedgerError::invalid("the postgres url cannot be read"))?;
            // The last one bounds how long a replica that vanishes in mid-admission can keep the
            // others from admitting: its transaction holds the locks of its scopes until the server
            // gives it up. No transaction pauses for so long.
            let limits = [
                ("statement_timeout", "30000"),
                ("lock_timeout", "5000"),
                ("idle_in_transaction_session_timeout", "3000"),
            ];
            let options = options
                .application_name("codex-gateway")
                .options(limits)
                .disable_statement_logging();
            return Ok(Self::Postgres {
                options: Box::new(options),
            });
        }
        Err(LedgerError::invalid(
            "the storage URL is not one of `sqlite`, `sqlite:///path/file.db`, \
             `postgres://user@host/db`",
        ))
    }

    /// Where settled entries go: every commit reaches the disk.
    pub(crate) fn writer(&self) -> DatabaseTarget {
        match self {
            Self::Sqlite { file } => DatabaseTarget::Sqlite {
                options: Box::new(sqlite_options(file, SqliteSynchronous::Full)),
                attach: None,
            },
            Self::Postgres { options } => DatabaseTarget::Postgres {
                options: options.clone(),
                is_durable: true,
            },
        }
    }

    /// Where intents, leases and reservations go: commits survive the end of the process, not of
    /// the power. On SQLite this is a file of its own, so that an intent never waits for the fsync
    /// of a settled entry.
    pub(crate) fn in_flight(&self) -> DatabaseTarget {
        match self {
            Self::Sqlite { file } => DatabaseTarget::Sqlite {
                options: Box::new(sqlite_options(
                    &Self::in_flight_file(file),
                    SqliteSynchronous::Off,
                )),
                attach: Some(file.clone()),
            },
            Self::Postgres { options } => DatabaseTarget::Postgres {
                options: options.clone(),
                is_durable: false,
            },
        }
    }

    /// The file of what is in flight, beside the ledger's.
    pub(crate) fn in_flight_file(file: &Path) -> PathBuf {
        let mut name = file.file_stem().unwrap_or_default().to_os_string();
        name.push("-live.db");
        file.with_file_name(name)
    }

    /// That file alone, without the ledger attached.
    pub(crate) fn in_flight_file_target(in_flight: &Path) -> DatabaseTarget {
        DatabaseTarget::Sqlite {
            options: Box::new(sqlite_options(in_flight, SqliteSynchronous::Off)),
            attach: None,
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        match self {
            Self::Sqlite { file } => {
                let pool = SqlitePoolOptions::new()
                    .max_connections(POOL_SIZE)
                    .acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Sqlite(pool.connect_lazy_with(sqlite_options(file, SqliteSynchronous::Full)))
            }
            Self::Postgres { options } => {
                let pool = PgPoolOptions::new()
                    .max_connections(POOL_SIZE)
                    .acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Postgres(pool.connect_lazy_with((**options).clone()))
            }
        }
    }
}
