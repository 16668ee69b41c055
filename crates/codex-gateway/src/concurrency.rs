//! How many exchanges may run at once. The limit is an argument, so that a reload changes it at once,
//! which a semaphore does not offer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The permits of one process.
#[derive(Debug, Clone, Default)]
pub struct Concurrency(Arc<AtomicUsize>);

/// One exchange may run; given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Concurrency {
    /// A permit, if fewer than `limit` are held.
    pub fn try_acquire(&self, limit: usize) -> Option<Permit> {
        let one_more = |held: usize| (held < limit).then_some(held + 1);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()?;
        Some(Permit(Arc::clone(&self.0)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_and_the_limit_can_move() {
        let concurrency = Concurrency::default();
        let first = concurrency.try_acquire(2);
        let second = concurrency.try_acquire(2);
        assert!(first.is_some() && second.is_some());
        assert!(concurrency.try_acquire(2).is_none());
        let third = concurrency.try_acquire(3);
        assert!(third.is_some());
        drop(first);
        assert!(concurrency.try_acquire(2).is_none());
        drop(third);
        assert!(concurrency.try_acquire(2).is_some());
    }
}
