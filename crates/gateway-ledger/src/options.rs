//! How a ledger is opened.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::db::Storage;
use crate::error::LedgerError;
use crate::ids::InstanceId;
use crate::time::Clock;

/// When an entry counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Intents are written before [`Ledger::begin`] returns, entries fsynced before
    /// [`Ledger::settle`] does.
    Committed,
    /// Both follow in the background; a crash can lose what is queued.
    Queued,
}

/// How to open a ledger.
#[derive(Clone)]
pub struct OpenOptions {
    /// `sqlite` (a file in the data directory), `sqlite:///path/file.db`, or
    /// `postgres://user@host/db`.
    pub url: String,
    /// Where the spool and, by default, the database are. The caller holds this directory's lock.
    pub data_dir: PathBuf,
    /// This gateway, the same after a restart.
    pub instance: InstanceId,
    /// When an entry counts as kept.
    pub durability: Durability,
    /// How long entries are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// For how long others believe this instance alive without hearing from it. At least three
    /// times what an outage of the store may take without its live exchanges being swept.
    pub lease: Duration,
    /// Where a day begins, for reports and budgets.
    pub time_zone: TimeZone,
    /// Where the time comes from.
    pub clock: Clock,
}

impl OpenOptions {
    /// The file of the ledger on SQLite, whether it exists or not; `None` on PostgreSQL.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Invalid`](crate::LedgerErrorKind::Invalid) when the URL names no store.
    pub fn sqlite_file(&self) -> Result<Option<PathBuf>, LedgerError> {
        match Storage::parse(&self.url, &self.data_dir)? {
            Storage::Sqlite { file } => Ok(Some(file)),
            Storage::Postgres { .. } => Ok(None),
        }
    }
}
