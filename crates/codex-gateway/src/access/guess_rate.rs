//! How many guesses at a secret are looked at: a burst, and one more after each pause. One moment
//! is all that is kept of a source. Does not decide what counts as a guess.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// So many at once, and one more after each pause.
#[derive(Debug)]
pub struct GuessRate {
    /// How many in a burst.
    pub burst: u32,
    /// The pause after which there is one more.
    pub refill: Duration,
}

impl GuessRate {
    /// Whether one more is allowed. `expires_at` is when the earlier ones will have expired.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, expires_at: Option<Instant>, now: Instant) -> Result<(), Duration> {
        let over = self
            .after_one_more(expires_at, now)
            .saturating_duration_since(now)
            .saturating_sub(self.refill * self.burst);
        if over.is_zero() { Ok(()) } else { Err(over) }
    }

    /// Counts one.
    pub fn count(&self, expires_at: &mut Option<Instant>, now: Instant) {
        *expires_at = Some(self.after_one_more(*expires_at, now));
    }

    /// Counts one if it is allowed, and says whether it is.
    pub fn take(&self, expires_at: &mut Option<Instant>, now: Instant) -> bool {
        let is_allowed = self.check(*expires_at, now).is_ok();
        if is_allowed {
            self.count(expires_at, now);
        }
        is_allowed
    }

    fn after_one_more(&self, expires_at: Option<Instant>, now: Instant) -> Instant {
        expires_at.map_or(now, |at| at.max(now)) + self.refill
    }
}

/// What is counted as one source: a client with IPv6 has a whole network of addresses.
pub fn source_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        other @ (IpAddr::V4(_) | IpAddr::V6(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_burst_is_allowed_and_then_one_after_each_pause() {
        let rate = GuessRate {
            burst: 3,
            refill: Duration::from_secs(6),
        };
        let now = Clock::system().instant();
        let mut expires_at = None;
        for _ in 0..3 {
            assert!(rate.take(&mut expires_at, now));
        }
        assert_eq!(rate.check(expires_at, now), Err(rate.refill));
        assert!(!rate.take(&mut expires_at, now));
        assert!(rate.take(&mut expires_at, now + rate.refill));
        assert!(!rate.take(&mut expires_at, now + rate.refill));
    }

    #[test]
    fn a_source_is_a_v4_address_or_a_v6_network() {
        for (address, source) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::ffff", "2001:db8::"),
            ("::1", "::1"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(source_network(address), source.parse::<IpAddr>().unwrap());
        }
    }
}
