//! Slows guessing down: so many wrong secrets a minute from one address, and so many questions to
//! the store from all together. Memory is bounded. Decides nothing about what is right.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong secrets of one kind that an address may send at once; one more is allowed every
/// [`REFILL`].
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);
/// The same for all addresses together, of those kinds whose check asks the store.
const BURST_OVERALL: u32 = 300;
const REFILL_OVERALL: Duration = Duration::from_millis(200);
/// Addresses that are remembered. When there are more, the one that would be forgotten first is.
const ADDRESSES: usize = 4096;

/// What is guessed at. Each kind is counted by itself, so that a wrong link does not lock the
/// token's holder out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guess {
    Token,
    SignIn,
    Session,
}

impl Guess {
    /// A token is compared in memory; the right one is never refused because others guess. The rest
    /// costs the store a question each.
    const fn asks_the_store(self) -> bool {
        match self {
            Self::Token => false,
            Self::SignIn | Self::Session => true,
        }
    }
}

/// Counts failures.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    /// When the failures of an address will have been forgotten.
    by_address: HashMap<(IpAddr, Guess), Instant>,
    overall: Option<Instant>,
}

impl Throttle {
    /// Whether a guess may be looked at; if not, in how many seconds.
    pub fn check(&self, kind: Guess, from: Option<IpAddr>, now: Instant) -> Result<(), u32> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let known = from.and_then(|from| failures.by_address.get(&(place(from), kind)));
        wait(known.copied(), now, BURST, REFILL)?;
        if kind.asks_the_store() {
            wait(failures.overall, now, BURST_OVERALL, REFILL_OVERALL)?;
        }
        Ok(())
    }

    /// Notes a wrong one.
    pub fn failed(&self, kind: Guess, from: Option<IpAddr>, now: Instant) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if kind.asks_the_store() {
            failures.overall = Some(later(failures.overall, now, REFILL_OVERALL));
        }
        let Some(from) = from else { return };
        let known = &mut failures.by_address;
        let from = (place(from), kind);
        if known.len() >= ADDRESSES && !known.contains_key(&from) {
            known.retain(|_, forgotten_at| *forgotten_at > now);
            if known.len() >= ADDRESSES
                && let Some(first) = known.iter().min_by_key(|(_, at)| **at).map(|(of, _)| *of)
            {
                known.remove(&first);
            }
        }
        let forgotten_at = later(known.get(&from).copied(), now, REFILL);
        known.insert(from, forgotten_at);
    }
}

fn later(forgotten_at: Option<Instant>, now: Instant, refill: Duration) -> Instant {
    forgotten_at.map_or(now, |at| at.max(now)) + refill
}

fn wait(
    forgotten_at: Option<Instant>,
    now: Instant,
    burst: u32,
    refill: Duration,
) -> Result<(), u32> {
    let Some(forgotten_at) = forgotten_at else {
        return Ok(());
    };
    // A guess that fails adds one refill; it fits when that stays within the burst.
    let over =
        (forgotten_at.saturating_duration_since(now) + refill).saturating_sub(refill * burst);
    if over.is_zero() {
        return Ok(());
    }
    Err(u32::try_from(over.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1))
}

/// Somebody with IPv6 has a whole network of addresses.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        other @ (IpAddr::V4(_) | IpAddr::V6(_)) => other,
    }
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
        for _ in 0..BURST {
            assert_eq!(throttle.check(Guess::Token, guesser, now), Ok(()));
            throttle.failed(Guess::Token, guesser, now);
        }
        assert_eq!(throttle.check(Guess::Token, guesser, now), Err(7));
        assert_eq!(throttle.check(Guess::SignIn, guesser, now), Ok(()));
        assert_eq!(throttle.check(Guess::Token, other, now), Ok(()));
        let soon = now + REFILL;
        assert_eq!(throttle.check(Guess::Token, guesser, soon), Ok(()));
        throttle.failed(Guess::Token, guesser, soon);
        assert!(throttle.check(Guess::Token, guesser, soon).is_err());
    }

    #[test]
    fn many_addresses_together_cannot_keep_the_store_busy_nor_lock_the_token_out() {
        let throttle = Throttle::default();
        let now = Clock::system().instant();
        for index in 0..BURST_OVERALL {
            let from = Some(IpAddr::from(index.to_be_bytes()));
            assert_eq!(throttle.check(Guess::SignIn, from, now), Ok(()), "{index}");
            throttle.failed(Guess::SignIn, from, now);
            throttle.failed(Guess::Token, from, now);
        }
        let fresh = Some(from("198.51.100.1"));
        assert!(throttle.check(Guess::SignIn, fresh, now).is_err());
        assert!(throttle.check(Guess::Session, fresh, now).is_err());
        assert_eq!(throttle.check(Guess::Token, fresh, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_a_network_counts_as_one() {
        let throttle = Throttle::default();
        let now = Clock::system().instant();
        for index in 0..2 * u32::try_from(ADDRESSES).unwrap() {
            let from = Some(IpAddr::from(index.to_be_bytes()));
            throttle.failed(Guess::Token, from, now);
        }
        let known = throttle.failures.lock().unwrap().by_address.len();
        assert_eq!(known, ADDRESSES);
        for index in 0..BURST {
            let one = format!("2001:db8::{index:x}");
            throttle.failed(Guess::Token, Some(from(&one)), now);
        }
        let same = throttle.check(Guess::Token, Some(from("2001:db8::ffff")), now);
        assert!(same.is_err());
        let other = throttle.check(Guess::Token, Some(from("2001:db8:0:1::1")), now);
        assert_eq!(other, Ok(()));
    }
}
