//! Reads a storage URL, connects, and brings the schema up to date. Chooses every setting that
//! durability rests on.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlSafeStr};

use super::{Connection, Pool};
use crate::error::{LedgerError, LedgerErrorKind};

/// Migrations that are the same text on both databases. The older ones are pairs of files, since a
/// migration that has run must not change.
const FREE_ENTRIES: &str = include_str!("../../migrations/shared/free_entries.sql");
const FREE_INTENTS: &str = include_str!("../../migrations/shared/free_intents.sql");

const SQLITE: &[(i64, &str, &str)] = &[
    (
        1,
        "entries",
        include_str!("../../migrations/sqlite/0001_entries.sql"),
    ),
    (
        2,
        "administration",
        include_str!("../../migrations/sqlite/0002_administration.sql"),
    ),
    (
        3,
        "audit_address",
        include_str!("../../migrations/sqlite/0003_audit_address.sql"),
    ),
    (
        4,
        "unknown_usage",
        include_str!("../../migrations/sqlite/0004_unknown_usage.sql"),
    ),
    (5, "free_entries", FREE_ENTRIES),
];
const SQLITE_LIVE: &[(i64, &str, &str)] = &[
    (
        1,
        "live",
        include_str!("../../migrations/sqlite_live/0001_live.sql"),
    ),
    (2, "free_intents", FREE_INTENTS),
];
const POSTGRES: &[(i64, &str, &str)] = &[
    (
        1,
        "entries",
        include_str!("../../migrations/postgres/0001_entries.sql"),
    ),
    (
        2,
        "live",
        include_str!("../../migrations/postgres/0002_live.sql"),
    ),
    (
        3,
        "administration",
        include_str!("../../migrations/postgres/0003_administration.sql"),
    ),
    (
        4,
        "audit_address",
        include_str!("../../migrations/postgres/0004_audit_address.sql"),
    ),
    (
        5,
        "unknown_usage",
        include_str!("../../migrations/postgres/0005_unknown_usage.sql"),
    ),
    (6, "free_entries", FREE_ENTRIES),
    (7, "free_intents", FREE_INTENTS),
];

/// How long connecting may take. Requests wait for it, so it stays below their own deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long a call may wait for a free connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long SQLite waits for another process's write lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Readers and rare writers at the same time; the two hot lanes have connections of their own.
const POOL_SIZE: u32 = 6;
/// Pages of the write-ahead log after which the writer itself writes them back: 16 MiB.
const WAL_PAGES: &str = "4096";

/// A storage URL, read.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    Sqlite { file: PathBuf },
    Postgres { options: Box<PgConnectOptions> },
}

/// What a lane connects to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Sqlite {
        options: Box<SqliteConnectOptions>,
        attach: Option<PathBuf>,
    },
    Postgres {
        options: Box<PgConnectOptions>,
        is_durable: bool,
    },
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
                return Err(LedgerError::bare(
                    LedgerErrorKind::Invalid,
                    "the storage url names no file",
                ));
            }
            return Ok(Self::Sqlite {
                file: PathBuf::from(path),
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The error is not kept as the source: it can quote the URL, and the URL can hold a
            // password.
            let options = PgConnectOptions::from_str(url).map_err(|_| {
                LedgerError::bare(LedgerErrorKind::Invalid, "the postgres url cannot be read")
            })?;
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
        Err(LedgerError::bare(
            LedgerErrorKind::Invalid,
            "the storage url is none of `sqlite`, `sqlite:///path/file.db`, `postgres://user@host/db`",
        ))
    }

    /// Where settled entries go: every commit reaches the disk.
    pub(crate) fn writer(&self) -> Target {
        match self {
            Self::Sqlite { file } => Target::Sqlite {
                options: Box::new(sqlite(file, Sync::Full)),
                attach: None,
            },
            Self::Postgres { options } => Target::Postgres {
                options: options.clone(),
                is_durable: true,
            },
        }
    }

    /// Where intents, leases and reservations go: commits survive the end of the process, not of
    /// the power. On SQLite this is a file of its own, so that an intent never waits for the fsync
    /// of a settled entry.
    pub(crate) fn live(&self) -> Target {
        match self {
            Self::Sqlite { file } => Target::Sqlite {
                options: Box::new(sqlite(&live_file(file), Sync::Off)),
                attach: Some(file.clone()),
            },
            Self::Postgres { options } => Target::Postgres {
                options: options.clone(),
                is_durable: false,
            },
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        match self {
            Self::Sqlite { file } => {
                let pool = SqlitePoolOptions::new()
                    .max_connections(POOL_SIZE)
                    .acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Sqlite(pool.connect_lazy_with(sqlite(file, Sync::Full)))
            }
            Self::Postgres { options } => {
                let pool = PgPoolOptions::new()
                    .max_connections(POOL_SIZE)
                    .acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Postgres(pool.connect_lazy_with((**options).clone()))
            }
        }
    }

    /// Brings the schema up to date. Safe to run from several processes at once on PostgreSQL,
    /// which locks; on SQLite the second one finds the tables and tries again.
    pub(crate) async fn migrate(&self) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite { file } => {
                if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                    std::fs::create_dir_all(dir).map_err(|error| {
                        LedgerError::io("the data directory cannot be made", error)
                    })?;
                }
                let mut tries = 0;
                loop {
                    let migrated = self.migrate_sqlite(file).await;
                    tries += 1;
                    if migrated.is_ok() || tries == 3 {
                        return migrated;
                    }
                }
            }
            Self::Postgres { .. } => {
                let mut connection = self.writer().connect().await?;
                run(&mut connection, POSTGRES).await?;
                connection.close().await
            }
        }
    }

    async fn migrate_sqlite(&self, file: &Path) -> Result<(), LedgerError> {
        let mut connection = self.writer().connect().await?;
        run(&mut connection, SQLITE).await?;
        connection.close().await?;
        let live = live_file(file);
        if !is_sound(&live).await {
            set_aside(&live)?;
        }
        let target = Target::Sqlite {
            options: Box::new(sqlite(&live, Sync::Off)),
            attach: None,
        };
        let mut connection = target.connect().await?;
        run(&mut connection, SQLITE_LIVE).await?;
        connection.close().await
    }
}

impl Target {
    pub(crate) async fn connect(&self) -> Result<Connection, LedgerError> {
        match self {
            Self::Sqlite { options, attach } => {
                let connection = options.connect().await;
                let connection = connection
                    .map_err(|error| LedgerError::sql("the database cannot be opened", error))?;
                let mut connection = Connection::Sqlite(Box::new(connection));
                if let Some(file) = attach {
                    let file = file.to_string_lossy().into_owned();
                    connection
                        .link()
                        .execute("ATTACH DATABASE $1 AS ledger", vec![file.into()])
                        .await?;
                }
                Ok(connection)
            }
            Self::Postgres {
                options,
                is_durable,
            } => {
                let connecting = tokio::time::timeout(CONNECT_TIMEOUT, options.connect());
                let connection = connecting
                    .await
                    .map_err(|_| LedgerError::unavailable("the database does not answer in time"))?
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
                tokio::time::timeout(
                    CONNECT_TIMEOUT,
                    connection.link().fetch(setting, Vec::new()),
                )
                .await
                .map_err(|_| LedgerError::unavailable("the database does not answer in time"))??;
                Ok(connection)
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Full,
    Off,
}

fn sqlite(file: &Path, sync: Sync) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        // Before WAL: afterwards it would be ignored, and the file would never shrink.
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match sync {
            Sync::Full => SqliteSynchronous::Full,
            Sync::Off => SqliteSynchronous::Off,
        })
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16384")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

fn live_file(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_os_string();
    name.push("-live.db");
    file.with_file_name(name)
}

/// Written without fsync, the live file can be torn by a power cut. What it held is lost then, by
/// contract; a torn file must not keep the gateway from starting.
async fn is_sound(file: &Path) -> bool {
    if !file.exists() {
        return true;
    }
    let target = Target::Sqlite {
        options: Box::new(sqlite(file, Sync::Off)),
        attach: None,
    };
    let Ok(mut connection) = target.connect().await else {
        return false;
    };
    let checked = connection
        .link()
        .fetch("PRAGMA quick_check(1)", Vec::new())
        .await;
    let is_sound = checked.is_ok_and(|rows| {
        rows.first()
            .is_some_and(|row| row.text(0).is_ok_and(|text| text.as_deref() == Some("ok")))
    });
    is_sound && connection.close().await.is_ok()
}

fn set_aside(file: &Path) -> Result<(), LedgerError> {
    tracing::warn!(file = %file.display(), "the file of open intents is damaged and is set aside as `*.damaged`");
    for suffix in ["", "-wal", "-shm"] {
        let mut from = file.as_os_str().to_os_string();
        from.push(suffix);
        let mut to = from.clone();
        to.push(".damaged");
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(LedgerError::io("a damaged file cannot be set aside", error)),
        }
    }
    Ok(())
}

async fn run(
    connection: &mut Connection,
    scripts: &'static [(i64, &'static str, &'static str)],
) -> Result<(), LedgerError> {
    let migrations = scripts.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let ran = match connection {
        Connection::Sqlite(connection) => migrator.run(&mut **connection).await,
        Connection::Postgres(connection) => migrator.run(&mut **connection).await,
    };
    ran.map_err(|error| {
        let is_busy = matches!(
            error,
            sqlx::migrate::MigrateError::Execute(_)
                | sqlx::migrate::MigrateError::ExecuteMigration(..)
        );
        let kind = if is_busy {
            LedgerErrorKind::Unavailable
        } else {
            LedgerErrorKind::Corrupt
        };
        LedgerError::caused(kind, "the schema cannot be brought up to date", error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts by name, without the one clause that only SQLite has.
    fn texts(lists: &[&[(i64, &'static str, &'static str)]]) -> Vec<(&'static str, String)> {
        let all = lists.iter().copied().flatten();
        let mut texts: Vec<_> = all
            .map(|(_, name, sql)| (*name, sql.replace(" WITHOUT ROWID", "")))
            .collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn both_databases_get_the_same_tables() {
        assert_eq!(texts(&[SQLITE, SQLITE_LIVE]), texts(&[POSTGRES]));
    }
}
