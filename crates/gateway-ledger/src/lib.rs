//! Keeps a durable record of what was used and what it cost. The only crate with SQL; knows no
//! HTTP, no metrics registry and no configuration file, and takes the time from its caller.
//!
//! The life of an exchange here:
//!
//! 1. [`Ledger::begin`] writes an [`Intent`] before anything goes upstream. It survives `kill -9`,
//!    and costs no fsync. [`Ledger::update_intent`] changes it before another attempt.
//! 2. [`Ledger::settle`] writes the [`LedgerEntry`] and returns when it is on the disk, so that the
//!    caller can release the end of the answer. Entries that arrive together share one fsync. If
//!    the store fails or hangs, the entry goes to a preallocated spool file instead and from there
//!    into the store later.
//! 3. An intent that is never settled becomes an `interrupted` entry: at the next start of the same
//!    instance, or, when that does not come back, by another instance after its lease is over.
//!
//! All sums ([`Ledger::usage`]) are exact: sums per day and quarter of an hour are kept in the same
//! transaction as the entries.
//!
//! [`Ledger::open`] returns a [`Driver`] beside the handle: the future that does the writing. The
//! caller runs it as a task of its own and keeps it running until [`Ledger::close`] has returned.

mod account_limits;
mod audit;
mod budget_status;
mod change;
mod db;
mod directory;
mod driver;
mod entries;
mod entry;
mod error;
mod exchanges;
mod filter;
mod group_commit;
mod ids;
mod in_flight;
mod key_update;
mod keys;
mod ledger;
mod maintenance;
mod model_refusals;
mod options;
mod recovery;
mod reprice;
mod revision;
mod secret;
mod sessions;
mod shared;
mod spool;
mod stored_ids;
mod time;
mod usage;
mod writer;

pub use account_limits::AccountLimits;
pub use audit::{Actor, AuditRecord};
pub use budget_status::BudgetStatus;
pub use directory::{Directory, KeyCheck, KeyRecord, TeamRecord};
pub use driver::Driver;
pub use entry::{
    AttemptRecord, Attribution, Cost, CostSource, DispatchRecord, EntryResult, Intent, LedgerEntry,
    Outcome, TurnRecord, UsageSource,
};
pub use error::{LedgerError, LedgerErrorKind};
pub use exchanges::{ExchangeQuery, MAX_PAGE, Page};
pub use filter::Filters;
pub use ids::{EntryId, EntryIdError, InstanceId};
pub use in_flight::claim::{Admission, Claim};
pub use key_update::{FieldEdit, KeyUpdate};
pub use keys::{CreatedKey, KEY_PREFIX, NewKey};
pub use ledger::open::Opened;
pub use ledger::{Health, Ledger, Settled};
pub use model_refusals::ModelRefusal;
pub use options::{Durability, OpenOptions};
pub use reprice::{RepriceQuery, RepriceReport, RepriceRow};
pub use secret::IssuedSecret;
pub use sessions::{NewSession, Session};
pub use stored_ids::StoredId;
pub use time::Clock;
pub use usage::report::{GroupBy, UsageQuery, UsageReport, UsageRow, UsageSums};
