//! The only place that reads a clock, so that everything else can be given time as an argument.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;

/// Reads time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Wall-clock time.
    pub fn now(self) -> Timestamp {
        now()
    }

    /// Today in UTC, for prices that change.
    pub fn date(self) -> jiff::civil::Date {
        now().to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// A point in time for measuring durations; never jumps.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }
}

/// Wall-clock time, as a plain function for parts that take one.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}
