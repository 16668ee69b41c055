//! Time: where the ledger takes it from, how it is stored, and which day it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::LedgerError;

/// Where the ledger takes the time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A duration in microseconds, the unit of everything stored.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A time as it was stored.
pub(crate) fn stored_time(micros: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| LedgerError::corrupt("a stored time is out of range"))
}

/// The day of a moment in a time zone, as the number `yyyymmdd`.
pub(crate) fn local_day(at: Timestamp, zone: &TimeZone) -> i64 {
    day_number(at.to_zoned(zone.clone()).date())
}

/// A date as the number `yyyymmdd`.
pub(crate) fn day_number(date: jiff::civil::Date) -> i64 {
    i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
}
