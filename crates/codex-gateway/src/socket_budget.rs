//! What all WebSockets of a process share: how many there may be, and how many bytes of
//! conversations they keep together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of conversations that all sockets keep.
const MAX_HISTORY: usize = 512 << 20;
/// Most bytes of conversations that the sockets of one caller keep.
const MAX_HISTORY_OF_CALLER: usize = 128 << 20;

/// Counts sockets and bytes. A clone counts the same.
#[derive(Debug, Clone, Default)]
pub struct SocketBudget(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    sockets: usize,
    bytes: usize,
    callers: HashMap<String, OfCaller>,
}

#[derive(Debug, Default)]
struct OfCaller {
    sockets: usize,
    bytes: usize,
}

/// How many sockets there may be.
#[derive(Debug, Clone, Copy)]
pub struct SocketLimits {
    /// Of all callers.
    pub total: usize,
    /// Of one caller.
    pub per_caller: usize,
}

/// One socket of a caller; given back when dropped, with its bytes.
#[derive(Debug)]
pub struct SocketPermit {
    budget: SocketBudget,
    caller: String,
    bytes: usize,
}

impl SocketBudget {
    /// A permit, if there are fewer sockets than allowed.
    pub fn try_acquire(&self, caller: &str, limits: SocketLimits) -> Option<SocketPermit> {
        let mut counts = self.counts();
        let of_caller = counts.callers.get(caller).map_or(0, |it| it.sockets);
        if counts.sockets >= limits.total || of_caller >= limits.per_caller {
            return None;
        }
        counts.sockets += 1;
        counts.callers.entry(caller.to_owned()).or_default().sockets += 1;
        drop(counts);
        Some(SocketPermit {
            budget: self.clone(),
            caller: caller.to_owned(),
            bytes: 0,
        })
    }

    /// How many sockets there are.
    pub fn sockets(&self) -> usize {
        self.counts().sockets
    }

    /// How many bytes of conversations are kept.
    pub fn bytes(&self) -> usize {
        self.counts().bytes
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketPermit {
    /// Takes note that the socket now keeps so many bytes; `false` when that is more than there is
    /// room for, and nothing changed.
    pub fn keep(&mut self, bytes: usize) -> bool {
        let mut counts = self.budget.counts();
        let total = counts.bytes - self.bytes + bytes;
        let Some(of_caller) = counts.callers.get_mut(&self.caller) else {
            return false;
        };
        let callers = of_caller.bytes - self.bytes + bytes;
        let is_more = bytes > self.bytes;
        if is_more && (total > MAX_HISTORY || callers > MAX_HISTORY_OF_CALLER) {
            return false;
        }
        of_caller.bytes = callers;
        counts.bytes = total;
        drop(counts);
        self.bytes = bytes;
        true
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.keep(0);
        let mut counts = self.budget.counts();
        counts.sockets -= 1;
        let is_last = counts.callers.get_mut(&self.caller).is_some_and(|it| {
            it.sockets -= 1;
            it.sockets == 0
        });
        if is_last {
            counts.callers.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_for_all_and_for_each() {
        let budget = SocketBudget::default();
        let limits = SocketLimits {
            total: 3,
            per_caller: 2,
        };
        let first = budget.try_acquire("a", limits);
        let second = budget.try_acquire("a", limits);
        assert!(first.is_some() && second.is_some());
        assert!(budget.try_acquire("a", limits).is_none());
        let other = budget.try_acquire("b", limits);
        assert!(other.is_some());
        assert!(budget.try_acquire("c", limits).is_none());
        drop((first, other));
        assert_eq!(budget.sockets(), 1);
        assert!(budget.try_acquire("a", limits).is_some());
    }

    #[test]
    fn bytes_are_bounded_for_all_and_for_each_and_given_back() {
        let budget = SocketBudget::default();
        let limits = SocketLimits {
            total: 100,
            per_caller: 100,
        };
        let mut first = budget.try_acquire("a", limits).unwrap();
        let mut second = budget.try_acquire("a", limits).unwrap();
        assert!(first.keep(MAX_HISTORY_OF_CALLER - 10));
        assert!(second.keep(10));
        assert!(!second.keep(11));
        assert!(first.keep(5) && second.keep(11));
        assert_eq!(budget.bytes(), 16);
        drop(first);
        assert_eq!(budget.bytes(), 11);
        let mut others: Vec<SocketPermit> = (0..4)
            .map(|number| budget.try_acquire(&number.to_string(), limits).unwrap())
            .collect();
        let fitting = others
            .iter_mut()
            .filter_map(|other| other.keep(MAX_HISTORY_OF_CALLER).then_some(()));
        assert_eq!(fitting.count(), 3);
    }
}
