//! Limits guessing: so many wrong secrets per minute from one address, and so many lookups in the
//! store for all addresses together. Memory is bounded. Does not decide which secret is right.
//!
//! Only failures count, so a check must not consume anything: a program that polls `/api` with the
//! right token every second is never slowed down.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::guess_rate::{GuessRate, source_network};
use crate::bounded_map::BoundedMap;

/// Wrong secrets of one kind that an address may send. Secrets have 192 random bits, so this only
/// keeps guessing from costing anything.
const PER_ADDRESS: GuessRate = GuessRate {
    burst: 10,
    refill: Duration::from_secs(6),
};
/// The same for all addresses together, for the kinds whose check queries the store.
const OVERALL: GuessRate = GuessRate {
    burst: 300,
    refill: Duration::from_millis(200),
};
/// Most addresses that are remembered. The next one replaces the address that failed longest ago.
const MAX_ADDRESSES: usize = 4096;

/// What is guessed at. Each kind is counted separately, so that wrong links do not lock out whoever
/// has the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SecretKind {
    Token,
    SignInLink,
    Session,
}

impl SecretKind {
    /// A token is compared in memory, so the right one is never refused because of guesses from
    /// elsewhere. The other kinds cost a query of the store each.
    const fn queries_store(self) -> bool {
        match self {
            Self::Token => false,
            Self::SignInLink | Self::Session => true,
        }
    }
}

/// Counts failures.
pub(super) struct Throttle {
    /// When the failures of an address will have expired.
    by_address: BoundedMap<(IpAddr, SecretKind), Instant>,
    /// The same for all addresses together.
    overall: Mutex<Option<Instant>>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            by_address: BoundedMap::new(MAX_ADDRESSES),
            overall: Mutex::default(),
        }
    }
}

impl Throttle {
    /// Whether a secret may be looked at.
    ///
    /// # Errors
    /// The seconds to wait, when too many were wrong.
    pub(super) fn check(
        &self,
        kind: SecretKind,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), u32> {
        let known = from.and_then(|from| self.by_address.get(&(source_network(from), kind)));
        PER_ADDRESS.check(known, now).map_err(seconds)?;
        if kind.queries_store() {
            OVERALL.check(*self.overall(), now).map_err(seconds)?;
        }
        Ok(())
    }

    /// Counts a wrong secret.
    pub(super) fn record_failure(&self, kind: SecretKind, from: Option<IpAddr>, now: Instant) {
        if kind.queries_store() {
            OVERALL.count(&mut self.overall(), now);
        }
        let Some(from) = from else { return };
        let source = (source_network(from), kind);
        self.by_address.update(source, |expires_at| {
            PER_ADDRESS.count(expires_at, now);
        });
    }

    fn overall(&self) -> MutexGuard<'_, Option<Instant>> {
        self.overall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told to wait, in whole seconds and not too few.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_waits_and_others_do_not() {
        let throttle = Throttle::default();
        let now = Clock::system().instant();
        let (guesser, other) = (Some(from("192.0.2.1")), Some(from("192.0.2.2")));
        for _ in 0..PER_ADDRESS.burst {
            assert_eq!(throttle.check(SecretKind::Token, guesser, now), Ok(()));
            throttle.record_failure(SecretKind::Token, guesser, now);
        }
        assert_eq!(throttle.check(SecretKind::Token, guesser, now), Err(7));
        assert_eq!(throttle.check(SecretKind::SignInLink, guesser, now), Ok(()));
        assert_eq!(throttle.check(SecretKind::Token, other, now), Ok(()));
        let soon = now + PER_ADDRESS.refill;
        assert_eq!(throttle.check(SecretKind::Token, guesser, soon), Ok(()));
        throttle.record_failure(SecretKind::Token, guesser, soon);
        assert!(throttle.check(SecretKind::Token, guesser, soon).is_err());
    }

    #[test]
    fn many_addresses_together_cannot_keep_the_store_busy_nor_lock_the_token_out() {
        let throttle = Throttle::default();
        let now = Clock::system().instant();
        for index in 0..OVERALL.burst {
            let from = Some(IpAddr::from(index.to_be_bytes()));
            assert_eq!(
                throttle.check(SecretKind::SignInLink, from, now),
                Ok(()),
                "{index}"
            );
            throttle.record_failure(SecretKind::SignInLink, from, now);
            throttle.record_failure(SecretKind::Token, from, now);
        }
        let fresh = Some(from("198.51.100.1"));
        assert!(throttle.check(SecretKind::SignInLink, fresh, now).is_err());
        assert!(throttle.check(SecretKind::Session, fresh, now).is_err());
        assert_eq!(throttle.check(SecretKind::Token, fresh, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_a_network_counts_as_one() {
        let throttle = Throttle::default();
        let now = Clock::system().instant();
        for index in 0..2 * u32::try_from(MAX_ADDRESSES).unwrap() {
            let from = Some(IpAddr::from(index.to_be_bytes()));
            throttle.record_failure(SecretKind::Token, from, now);
        }
        let known = throttle.by_address.len();
        assert_eq!(known, MAX_ADDRESSES);
        for index in 0..PER_ADDRESS.burst {
            let one = format!("2001:db8::{index:x}");
            throttle.record_failure(SecretKind::Token, Some(from(&one)), now);
        }
        let same = throttle.check(SecretKind::Token, Some(from("2001:db8::ffff")), now);
        assert!(same.is_err());
        let other = throttle.check(SecretKind::Token, Some(from("2001:db8:0:1::1")), now);
        assert_eq!(other, Ok(()));
    }
}
