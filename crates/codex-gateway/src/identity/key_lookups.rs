//! Limits lookups of unknown gateway keys in the store: each key once, so many per minute for one
//! address, and so many for all addresses together. Memory is bounded. Reads no store.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::access::guess_rate::{GuessRate, source_network};
use crate::bounded_map::BoundedMap;

/// Different unknown keys that one address may present in a burst, and the pause after which it may
/// present one more. A guess of 192 random bits does not succeed; this keeps it from costing
/// anything.
const PER_ADDRESS: GuessRate = GuessRate {
    burst: 20,
    refill: Duration::from_secs(3),
};
/// The same for all addresses together.
const IN_TOTAL: GuessRate = GuessRate {
    burst: 300,
    refill: Duration::from_millis(200),
};
/// Most addresses, and most keys, that are remembered. The next one replaces the oldest.
const MAX_ENTRIES: usize = 4096;

/// What was looked up lately.
pub(super) struct Lookups {
    /// Hashes of the keys that were looked up. A key that is made later has a secret that nobody
    /// presented before.
    seen: BoundedMap<[u8; 32], ()>,
    /// When the lookups of an address will have expired.
    by_address: BoundedMap<IpAddr, Instant>,
    /// The same for all addresses together.
    total: Mutex<Option<Instant>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            seen: BoundedMap::new(MAX_ENTRIES),
            by_address: BoundedMap::new(MAX_ENTRIES),
            total: Mutex::default(),
        }
    }
}

impl Lookups {
    /// Whether a key may be looked up now; if so, it counts as looked up.
    pub(super) fn begin(&self, secret: &str, from: Option<IpAddr>, now: Instant) -> bool {
        let hash = hash(secret);
        if self.seen.get(&hash).is_some() {
            return false;
        }
        let is_allowed = from.is_none_or(|from| {
            self.by_address.update(source_network(from), |expires_at| {
                PER_ADDRESS.take(expires_at, now)
            })
        });
        if !is_allowed {
            return false;
        }
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        if !IN_TOTAL.take(&mut total, now) {
            return false;
        }
        drop(total);
        self.seen.insert(hash, ());
        true
    }

    /// The lookup failed, so the key may be looked up again.
    pub(super) fn forget(&self, secret: &str) {
        self.seen.remove(&hash(secret));
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_looked_up_once_unless_the_store_failed() {
        let lookups = Lookups::default();
        let now = Clock::system().instant();
        let from = Some(address("192.0.2.1"));
        assert!(lookups.begin("cgw_a", from, now));
        assert!(!lookups.begin("cgw_a", from, now));
        assert!(!lookups.begin("cgw_a", Some(address("192.0.2.2")), now));
        lookups.forget("cgw_a");
        assert!(lookups.begin("cgw_a", from, now));
    }

    #[test]
    fn one_address_that_guesses_waits_and_others_do_not() {
        for (guesser, same_network, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"),
        ] {
            let lookups = Lookups::default();
            let now = Clock::system().instant();
            for index in 0..PER_ADDRESS.burst {
                let key = format!("cgw_{index}");
                assert!(lookups.begin(&key, Some(address(guesser)), now), "{index}");
            }
            assert!(!lookups.begin("cgw_x", Some(address(same_network)), now));
            assert!(lookups.begin("cgw_y", Some(address(other)), now));
            let later = now + PER_ADDRESS.refill;
            assert!(lookups.begin("cgw_x", Some(address(same_network)), later));
            assert!(!lookups.begin("cgw_z", Some(address(same_network)), later));
        }
    }

    #[test]
    fn many_addresses_together_cannot_keep_the_store_busy() {
        let lookups = Lookups::default();
        let now = Clock::system().instant();
        for index in 0..IN_TOTAL.burst {
            let from = Some(IpAddr::from(index.to_be_bytes()));
            assert!(lookups.begin(&format!("cgw_{index}"), from, now), "{index}");
        }
        let fresh = Some(address("198.51.100.1"));
        assert!(!lookups.begin("cgw_x", fresh, now));
        assert!(lookups.begin("cgw_x", fresh, now + IN_TOTAL.refill));
    }

    #[test]
    fn memory_is_bounded() {
        let lookups = Lookups::default();
        let mut now = Clock::system().instant();
        for index in 0..2 * u32::try_from(MAX_ENTRIES).unwrap() {
            now += IN_TOTAL.refill;
            let from = Some(IpAddr::from(index.to_be_bytes()));
            assert!(lookups.begin(&format!("cgw_{index}"), from, now));
        }
        let known = (lookups.seen.len(), lookups.by_address.len());
        assert_eq!(known, (MAX_ENTRIES, MAX_ENTRIES));
    }
}
