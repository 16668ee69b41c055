//! What the handle, the lanes and the maintenance share: how the store is doing, and who and when
//! they are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::ids::{EntryId, InstanceId};
use crate::time::Clock;

/// One per open ledger.
pub(crate) struct Shared {
    pub(crate) instance: InstanceId,
    pub(crate) time_zone: TimeZone,
    pub(crate) clock: Clock,
    is_down: AtomicBool,
    queue_depth: AtomicUsize,
    take_back: Mutex<Vec<EntryId>>,
}

impl Shared {
    pub(crate) fn new(instance: InstanceId, time_zone: TimeZone, clock: Clock) -> Self {
        Self {
            instance,
            time_zone,
            clock,
            is_down: AtomicBool::new(false),
            queue_depth: AtomicUsize::new(0),
            take_back: Mutex::default(),
        }
    }

    /// Leaves an exchange to be given up to the lane of what is in flight, whose queue is full.
    pub(crate) fn take_back_later(&self, id: EntryId) {
        self.take_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
    }

    /// What was left by [`Self::take_back_later`], as the lane takes it.
    pub(crate) fn to_take_back(&self) -> impl Iterator<Item = (EntryId, Option<u64>)> + use<> {
        let mut left = self
            .take_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *left).into_iter().map(|id| (id, None))
    }

    /// Now, in microseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)().as_microsecond()
    }

    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Acquire)
    }

    pub(crate) fn mark_down(&self, why: &(dyn std::error::Error + 'static)) {
        if !self.is_down.swap(true, Ordering::AcqRel) {
            tracing::error!(
                error = why,
                "the ledger's store fails: entries go to the spool, new requests are refused"
            );
        }
    }

    pub(crate) fn mark_up(&self) {
        if self.is_down.swap(false, Ordering::AcqRel) {
            tracing::info!("the ledger's store is available again");
        }
    }

    pub(crate) fn queued(&self) {
        self.queue_depth.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dequeued(&self, count: usize) {
        self.queue_depth.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn queue_depth(&self) -> usize {
        self.queue_depth.load(Ordering::Relaxed)
    }
}
