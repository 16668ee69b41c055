//! Keeps a durable record of what was used and what it cost. The only crate with SQL; knows no
//! HTTP, no metrics registry and no configuration file, and takes the time from its caller.
//!
//! The life of an exchange here:
//!
//! 1. [`Ledger::begin`] writes an [`Intent`] before anything goes upstream. It survives `kill -9`,
//!    and costs no fsync.
//! 2. [`Ledger::settle`] writes the [`LedgerEntry`] and returns when it is on the disk, so that the
//!    caller can release the end of the answer. Entries that arrive together share one fsync. If
//!    the store fails or hangs, the entry goes to a preallocated spool file instead and from there
//!    into the store later.
//! 3. An intent that nobody settled becomes an `interrupted` entry: at the next start of the same
//!    instance, or, when that does not come back, by another instance after its lease is over.
//!
//! Whatever is asked for sums ([`Ledger::usage`]) is exact: sums per day and quarter of an hour are
//! kept in the same transaction as the entries.
//!
//! [`Ledger::open`] returns a [`Driver`] beside the handle: the future that does the writing. The
//! caller runs it as a task of its own and keeps it running until [`Ledger::close`] has returned.

mod admission;
mod audit;
mod changes;
mod db;
mod directory;
mod entry;
mod error;
mod exchanges;
mod facts;
mod filter;
mod keeper;
mod keys;
mod ledger;
mod live;
mod plan_limits;
mod report;
mod reprice;
mod secret;
mod sessions;
mod shared;
mod spool;
mod tables;
mod writer;

use std::sync::Arc;

pub use admission::{Admission, Claim, Standing};
pub use audit::{Actor, AuditRecord};
pub use directory::{Directory, KeyCheck, KeyRecord, TeamRecord};
pub use entry::{
    AttemptRecord, Attribution, Cost, CostSource, DispatchRecord, EntryId, EntryIdError,
    EntryResult, InstanceId, Intent, LedgerEntry, ModelDecision, Outcome, TurnRecord, UsageSource,
};
pub use error::{LedgerError, LedgerErrorKind};
pub use exchanges::{ExchangeQuery, MAX_PAGE, Page};
pub use facts::Fact;
pub use filter::Filters;
pub use keys::{CreatedKey, KEY_PREFIX, NewKey};
pub use ledger::{Driver, Durability, Health, Ledger, OpenOptions, Opened, Settled};
pub use plan_limits::PlanLimits;
pub use report::{GroupBy, UsageQuery, UsageReport, UsageRow, UsageSums};
pub use reprice::{RepriceQuery, RepriceReport, RepriceRow};
pub use secret::Secret;
pub use sessions::{NewSession, Session};

/// Where the ledger takes the time from.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;
