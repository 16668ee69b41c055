//! Places for exchanges: how many run, and whether one more may. The limit is an argument, so that
//! a reload changes it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of one process.
#[derive(Debug, Clone, Default)]
pub struct Slots(Arc<AtomicUsize>);

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<AtomicUsize>);

impl Slots {
    /// A place, if fewer than `limit` are taken.
    pub fn take(&self, limit: usize) -> Option<Slot> {
        let one_more = |taken: usize| (taken < limit).then_some(taken + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Slot(Arc::clone(&self.0)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_the_limit_can_move() {
        let slots = Slots::default();
        let first = slots.take(2);
        let second = slots.take(2);
        assert!(first.is_some() && second.is_some());
        assert!(slots.take(2).is_none());
        let third = slots.take(3);
        assert!(third.is_some());
        drop(first);
        assert!(slots.take(2).is_none());
        drop(third);
        assert!(slots.take(2).is_some());
    }
}
