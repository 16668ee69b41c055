//! A map for many threads with a maximum: the entry that was written longest ago makes room. Reading
//! locks one shard of the map and refreshes nothing. Each operation costs constant time, averaged
//! over many.

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::clock::Clock;

/// Records of overwritten entries that the write order may hold beyond one for each entry, before
/// they are dropped.
const STALE_RECORDS: usize = 64;

/// The map.
///
/// A lock of a shard may be taken while the lock of `order` is held, never the other way round.
pub struct BoundedMap<K, V> {
    shards: DashMap<K, Slot<V>>,
    /// Every write, oldest first. A record whose stamp is not that of the entry is stale: the entry
    /// was written again or removed.
    order: Mutex<VecDeque<(K, Stamp)>>,
    next_stamp: AtomicU64,
    count: AtomicUsize,
    weight: AtomicUsize,
    max_weight: usize,
    weigh: fn(&V) -> usize,
    expiry: Option<Expiry>,
}

#[derive(Debug, Clone, Copy)]
struct Stamp {
    number: u64,
    /// `None` where nothing expires.
    written_at: Option<Instant>,
}

struct Slot<V> {
    /// `None` only while a change panics: such an entry counts as absent.
    value: Option<V>,
    weight: usize,
    stamp: Stamp,
}

struct Expiry {
    ttl: Duration,
    clock: Clock,
}

impl<K: Hash + Eq + Clone, V> BoundedMap<K, V> {
    /// An empty map of at most `max_entries`.
    pub fn new(max_entries: usize) -> Self {
        Self::weighted(max_entries, |_| 1)
    }

    /// An empty map whose values together weigh at most `max_weight`. A value weighs at least 1.
    pub fn weighted(max_weight: usize, weigh: fn(&V) -> usize) -> Self {
        Self {
            shards: DashMap::new(),
            order: Mutex::default(),
            next_stamp: AtomicU64::default(),
            count: AtomicUsize::default(),
            weight: AtomicUsize::default(),
            max_weight,
            weigh,
            expiry: None,
        }
    }

    /// The same map whose entries are forgotten `ttl` after they were last written.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration, clock: Clock) -> Self {
        self.expiry = Some(Expiry { ttl, clock });
        self
    }

    /// Looks at a value under the lock of its shard: `look` must not use the map.
    pub fn read<Q, R>(&self, key: &Q, look: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let slot = self.shards.get(key)?;
        if self.is_expired(slot.stamp) {
            return None;
        }
        slot.value.as_ref().map(look)
    }

    /// A copy of a value.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.read(key, V::clone)
    }

    /// Puts a value in the place of the one that was there.
    pub fn insert(&self, key: K, value: V) {
        self.update(key, |slot| *slot = Some(value));
    }

    /// Changes an entry under the lock of its shard: `None` means absent, before and after. What is
    /// left counts as written now. A value that is heavier than the map's maximum is not kept.
    /// `change` must not use the map.
    pub fn update<R>(&self, key: K, change: impl FnOnce(&mut Option<V>) -> R) -> R {
        let stamp = Stamp {
            number: self.next_stamp.fetch_add(1, Ordering::Relaxed),
            written_at: self.expiry.as_ref().map(|expiry| expiry.clock.instant()),
        };
        let (result, is_kept) = self.change_entry(key.clone(), stamp, change);
        self.make_room(is_kept.then_some((key, stamp)));
        result
    }

    fn change_entry<R>(
        &self,
        key: K,
        stamp: Stamp,
        change: impl FnOnce(&mut Option<V>) -> R,
    ) -> (R, bool) {
        let kept = |value: Option<V>| {
            let weight = value.as_ref().map_or(0, |value| (self.weigh)(value).max(1));
            (value.filter(|_| weight <= self.max_weight), weight)
        };
        match self.shards.entry(key) {
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                if self.is_expired(slot.stamp) {
                    slot.value = None;
                }
                let result = change(&mut slot.value);
                let (Some(value), weight) = kept(slot.value.take()) else {
                    let removed = entry.remove();
                    self.forget(&removed);
                    return (result, false);
                };
                self.weight.fetch_add(weight, Ordering::Relaxed);
                self.weight.fetch_sub(slot.weight, Ordering::Relaxed);
                *slot = Slot {
                    value: Some(value),
                    weight,
                    stamp,
                };
                (result, true)
            }
            Entry::Vacant(entry) => {
                let mut value = None;
                let result = change(&mut value);
                let (Some(value), weight) = kept(value) else {
                    return (result, false);
                };
                self.weight.fetch_add(weight, Ordering::Relaxed);
                self.count.fetch_add(1, Ordering::Relaxed);
                entry.insert(Slot {
                    value: Some(value),
                    weight,
                    stamp,
                });
                (result, true)
            }
        }
    }

    /// Takes an entry out.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (_, slot) = self.shards.remove(key)?;
        self.forget(&slot);
        slot.value.filter(|_| !self.is_expired(slot.stamp))
    }

    /// Shows every entry, in no order. Each is shown under the lock of its shard: `show` must not
    /// use the map.
    pub fn for_each(&self, mut show: impl FnMut(&K, &V)) {
        for entry in &self.shards {
            let (key, slot) = entry.pair();
            if let Some(value) = slot.value.as_ref()
                && !self.is_expired(slot.stamp)
            {
                show(key, value);
            }
        }
    }

    /// How many entries are held, those included that have expired and were not dropped yet.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the entries weigh together: their number, unless the map weighs them otherwise.
    pub fn weight(&self) -> usize {
        self.weight.load(Ordering::Relaxed)
    }

    fn is_expired(&self, stamp: Stamp) -> bool {
        match (&self.expiry, stamp.written_at) {
            (Some(Expiry { ttl, clock }), Some(written_at)) => {
                clock.instant().saturating_duration_since(written_at) >= *ttl
            }
            (_, _) => false,
        }
    }

    fn forget(&self, slot: &Slot<V>) {
        self.weight.fetch_sub(slot.weight, Ordering::Relaxed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes a write, then drops what is too much or has expired, oldest write first.
    fn make_room(&self, written: Option<(K, Stamp)>) {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        order.extend(written);
        while let Some((key, stamp)) = order.front() {
            let is_due = self.weight() > self.max_weight || self.is_expired(*stamp);
            if !is_due && self.is_current(key, *stamp) {
                break;
            }
            let is_same = |_: &K, slot: &Slot<V>| slot.stamp.number == stamp.number;
            if let Some((_, slot)) = self.shards.remove_if(key, is_same) {
                self.forget(&slot);
            }
            order.pop_front();
        }
        if order.len() > 2 * self.len() + STALE_RECORDS {
            order.retain(|(key, stamp)| self.is_current(key, *stamp));
        }
    }

    fn is_current(&self, key: &K, stamp: Stamp) -> bool {
        let slot = self.shards.get(key);
        slot.is_some_and(|slot| slot.stamp.number == stamp.number)
    }
}

impl<K: Hash + Eq + Clone, V> std::fmt::Debug for BoundedMap<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundedMap")
            .field("len", &self.len())
            .field("weight", &self.weight())
            .field("max_weight", &self.max_weight)
            .finish_non_exhaustive()
    }
}
