//! A rate limit as one number: the moment at which the bucket will be empty again (the generic cell
//! rate algorithm). Each request moves it onward by its share of a minute; a request that would move
//! it more than a minute ahead of now must wait. One number can be changed atomically in a database
//! for all replicas, and the wait that it gives is exact.

use std::time::Duration;

use jiff::Timestamp;

/// So many units per minute, a whole minute's worth of them at once if nothing was used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    per_minute: u64,
}

const MINUTE: i64 = 60_000_000_000;
/// How far a request that took more than expected can move the bucket: the next request waits at
/// most this long less a minute.
const MOST_AHEAD: i64 = 2 * MINUTE;

impl RateLimit {
    /// Zero admits nothing.
    pub const fn per_minute(units: u64) -> Self {
        Self { per_minute: units }
    }

    /// Takes units. `empty_at` is the stored number in nanoseconds since 1970 (0 for a bucket
    /// never used); the answer is the number to store. More units than a minute's worth pass when
    /// the bucket is empty.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(self, empty_at: i64, units: u64, now: Timestamp) -> Result<i64, Duration> {
        let now = nanos(now);
        if self.per_minute == 0 {
            return Err(Duration::from_secs(60));
        }
        let begins = empty_at.clamp(now, now.saturating_add(MOST_AHEAD));
        let taken = begins.saturating_add(self.share(units.min(self.per_minute)));
        let wait = taken.saturating_sub(now.saturating_add(MINUTE));
        if wait > 0 {
            return Err(Duration::from_nanos(wait.unsigned_abs()));
        }
        Ok(taken)
    }

    /// By how much to move the stored number, in nanoseconds, when `expected` units were taken and `used` were used.
    pub fn correction(self, expected: u64, used: u64) -> i64 {
        if self.per_minute == 0 {
            return 0;
        }
        self.share(used)
            .saturating_sub(self.share(expected.min(self.per_minute)))
    }

    /// Nanoseconds that so many units take to leave the bucket, rounded up.
    fn share(self, units: u64) -> i64 {
        let nanos = i128::from(units) * i128::from(MINUTE);
        let per_minute = i128::from(self.per_minute);
        i64::try_from((nanos + per_minute - 1) / per_minute).unwrap_or(i64::MAX)
    }
}

fn nanos(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}
