//! The only place that reads a clock, so that everything else is given its time and tests own it.

use std::time::{Instant, SystemTime};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Reads time: the system's, or in unit tests one that moves only when a test moves it.
#[derive(Debug, Clone)]
pub struct Clock(TimeSource);

#[derive(Debug, Clone)]
enum TimeSource {
    System,
    #[cfg(test)]
    Manual(std::sync::Arc<manual::Manual>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(TimeSource::System)
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            TimeSource::System => now(),
            #[cfg(test)]
            TimeSource::Manual(manual) => manual.now(),
        }
    }

    /// Today in UTC, for prices that change.
    pub fn date(&self) -> Date {
        self.now().to_zoned(TimeZone::UTC).date()
    }

    /// A point in time for measuring durations; never jumps.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn instant(&self) -> Instant {
        match &self.0 {
            TimeSource::System => Instant::now(),
            #[cfg(test)]
            TimeSource::Manual(manual) => manual.instant(),
        }
    }
}

/// Wall-clock time, as a plain function for parts that take one.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod manual {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use jiff::Timestamp;

    use super::{Clock, TimeSource};

    /// Stands still until [`Clock::advance`].
    #[derive(Debug)]
    pub(super) struct Manual {
        start: (Timestamp, Instant),
        elapsed: Mutex<Duration>,
    }

    impl Manual {
        fn elapsed(&self) -> Duration {
            *self.elapsed.lock().unwrap()
        }

        pub(super) fn now(&self) -> Timestamp {
            self.start.0 + self.elapsed()
        }

        pub(super) fn instant(&self) -> Instant {
            self.start.1 + self.elapsed()
        }
    }

    impl Clock {
        /// A clock that stands at `start`, such as `2026-11-20T12:00:00Z`. Clones share their time.
        pub(crate) fn manual(start: &str) -> Self {
            Self(TimeSource::Manual(Arc::new(Manual {
                start: (start.parse().unwrap(), Self::system().instant()),
                elapsed: Mutex::default(),
            })))
        }

        /// Moves a manual clock, and its clones, on.
        pub(crate) fn advance(&self, by: Duration) {
            let TimeSource::Manual(manual) = &self.0 else {
                panic!("the system's clock moves by itself");
            };
            *manual.elapsed.lock().unwrap() += by;
        }
    }

    #[test]
    fn a_manual_clock_moves_both_times_for_all_its_clones() {
        let clock = Clock::manual("2026-11-20T23:59:59Z");
        let (began, copy) = (clock.instant(), clock.clone());
        assert_eq!(clock.now(), copy.now());
        copy.advance(Duration::from_secs(2));
        assert_eq!(clock.now().to_string(), "2026-11-21T00:00:01Z");
        assert_eq!(clock.date().to_string(), "2026-11-21");
        assert_eq!(clock.instant() - began, Duration::from_secs(2));
    }
}
