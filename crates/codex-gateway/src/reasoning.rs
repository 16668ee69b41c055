//! Provider reasoning that an upstream demands back with the tool calls it led to, kept by call id.
//! In memory alone, bounded, and divided by caller and upstream, since reasoning of one account is
//! unreadable or private in another. Losing an entry costs quality, never an answer, so nothing
//! here is written down.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gateway_policy::UpstreamName;
use gateway_wire::translate::{ReasoningBlob, ReasoningLookup};

use crate::clock::Clock;

/// Most calls of one caller at one upstream; the oldest goes first.
const MAX_CALLS: usize = 64;
/// Most bytes of one caller at one upstream.
const MAX_BYTES: usize = 256 * 1024;
/// How long a call is kept: a person who comes back later starts a new conversation more often than
/// not.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// Most bytes of all callers together; the caller who was silent the longest is forgotten first.
const MAX_BYTES_OVERALL: usize = 32 << 20;

/// The memory of this process.
#[derive(Debug)]
pub struct ReasoningMemory {
    clock: Clock,
    shelves: Mutex<Shelves>,
}

#[derive(Debug, Default)]
struct Shelves {
    by_owner: HashMap<Owner, Shelf>,
    bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owner {
    caller: Arc<str>,
    upstream: UpstreamName,
}

/// What is kept for one caller at one upstream, the oldest call first. Never empty.
#[derive(Debug, Default)]
struct Shelf {
    calls: VecDeque<Call>,
    bytes: usize,
}

#[derive(Debug)]
struct Call {
    id: String,
    blob: Arc<ReasoningBlob>,
    since: Instant,
}

impl Call {
    /// Bytes it holds; ids count too, so that empty blobs with long ids are bounded as well.
    fn size(&self) -> usize {
        self.id.len() + self.blob.size()
    }
}

impl ReasoningMemory {
    /// An empty memory.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            shelves: Mutex::default(),
        }
    }

    /// Keeps what came with the calls of an answer.
    pub fn keep(
        &self,
        caller: &str,
        upstream: &UpstreamName,
        reasoning: Vec<(String, ReasoningBlob)>,
    ) {
        if !reasoning.is_empty() {
            let owner = Owner::new(caller, upstream);
            let now = self.clock.instant();
            let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
            shelves.keep(&owner, reasoning, now);
        }
    }

    /// What is kept for this caller at this upstream.
    pub fn view(&self, caller: &str, upstream: &UpstreamName) -> View<'_> {
        View {
            memory: self,
            owner: Owner::new(caller, upstream),
        }
    }
}

impl Owner {
    fn new(caller: &str, upstream: &UpstreamName) -> Self {
        Self {
            caller: Arc::from(caller),
            upstream: upstream.clone(),
        }
    }
}

impl Shelves {
    fn keep(&mut self, owner: &Owner, reasoning: Vec<(String, ReasoningBlob)>, now: Instant) {
        let shelf = self.by_owner.entry(owner.clone()).or_default();
        self.bytes -= shelf.bytes;
        for (id, blob) in reasoning {
            let call = Call {
                id,
                blob: Arc::new(blob),
                since: now,
            };
            shelf.put(call);
        }
        self.bytes += shelf.bytes;
        if shelf.calls.is_empty() {
            self.by_owner.remove(owner);
        }
        while self.bytes > MAX_BYTES_OVERALL {
            let quietest = self
                .by_owner
                .iter()
                .min_by_key(|(_, shelf)| shelf.calls.back().map(|call| call.since))
                .map(|(owner, _)| owner.clone());
            let Some(gone) = quietest.and_then(|owner| self.by_owner.remove(&owner)) else {
                return;
            };
            self.bytes -= gone.bytes;
        }
    }

    fn find(&self, owner: &Owner, id: &str, now: Instant) -> Option<Arc<ReasoningBlob>> {
        let calls = &self.by_owner.get(owner)?.calls;
        let call = calls.iter().rev().find(|call| call.id == id)?;
        let age = now.saturating_duration_since(call.since);
        (age < KEPT_FOR).then(|| Arc::clone(&call.blob))
    }
}

impl Shelf {
    fn put(&mut self, call: Call) {
        if let Some(place) = self.calls.iter().position(|known| known.id == call.id) {
            self.bytes -= self.calls.remove(place).map_or(0, |old| old.size());
        }
        self.bytes += call.size();
        let now = call.since;
        self.calls.push_back(call);
        let is_expired = |call: &Call| now.saturating_duration_since(call.since) >= KEPT_FOR;
        while self.calls.len() > MAX_CALLS
            || self.bytes > MAX_BYTES
            || self.calls.front().is_some_and(is_expired)
        {
            let Some(oldest) = self.calls.pop_front() else {
                return;
            };
            self.bytes -= oldest.size();
        }
    }
}

/// The memory as one request sees it.
#[derive(Debug)]
pub struct View<'a> {
    memory: &'a ReasoningMemory,
    owner: Owner,
}

impl ReasoningLookup for View<'_> {
    fn find(&self, call_id: &str) -> Option<Arc<ReasoningBlob>> {
        let shelves = self
            .memory
            .shelves
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shelves.find(&self.owner, call_id, self.memory.clock.instant())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(caller: &str) -> Owner {
        Owner::new(caller, &UpstreamName::new("deepseek"))
    }

    fn blob(bytes: usize) -> ReasoningBlob {
        ReasoningBlob {
            text: Some("x".repeat(bytes)),
            ..ReasoningBlob::default()
        }
    }

    fn total(shelves: &Shelves) -> usize {
        let calls = shelves.by_owner.values().flat_map(|shelf| &shelf.calls);
        calls.map(Call::size).sum()
    }

    #[test]
    fn each_caller_finds_its_own_for_an_hour() {
        let mut shelves = Shelves::default();
        let start = Clock::system().instant();
        shelves.keep(&owner("a"), vec![("call_1".to_owned(), blob(3))], start);
        let find = |shelves: &Shelves, who: &Owner, after: u64| {
            let then = start + Duration::from_secs(after);
            shelves.find(who, "call_1", then).map(|blob| blob.size())
        };
        assert_eq!(find(&shelves, &owner("a"), 3599), Some(3));
        assert_eq!(find(&shelves, &owner("a"), 3600), None);
        assert_eq!(find(&shelves, &owner("b"), 0), None);
        let elsewhere = Owner::new("a", &UpstreamName::new("other"));
        assert_eq!(find(&shelves, &elsewhere, 0), None);
        shelves.keep(&owner("a"), vec![("call_1".to_owned(), blob(5))], start);
        assert_eq!(find(&shelves, &owner("a"), 0), Some(5));
        assert_eq!(shelves.bytes, total(&shelves));
    }

    #[test]
    fn a_caller_is_bounded_in_calls_and_bytes() {
        let mut shelves = Shelves::default();
        let now = Clock::system().instant();
        for n in 0..200 {
            shelves.keep(&owner("a"), vec![(format!("call_{n}"), blob(10))], now);
        }
        assert_eq!(shelves.by_owner[&owner("a")].calls.len(), MAX_CALLS);
        assert!(shelves.find(&owner("a"), "call_135", now).is_none());
        assert!(shelves.find(&owner("a"), "call_136", now).is_some());
        shelves.keep(
            &owner("a"),
            vec![("big".to_owned(), blob(MAX_BYTES - 3))],
            now,
        );
        assert_eq!(shelves.by_owner[&owner("a")].calls.len(), 1);
        shelves.keep(
            &owner("a"),
            vec![("too big".to_owned(), blob(MAX_BYTES))],
            now,
        );
        assert_eq!((shelves.by_owner.len(), shelves.bytes), (0, 0));
    }

    #[test]
    fn all_callers_together_are_bounded_and_the_quietest_goes_first() {
        let mut shelves = Shelves::default();
        let start = Clock::system().instant();
        let count = MAX_BYTES_OVERALL / (200 << 10) + 10;
        for n in 0..count {
            let now = start + Duration::from_secs(n as u64);
            let caller = owner(&n.to_string());
            shelves.keep(&caller, vec![("call".to_owned(), blob(200 << 10))], now);
        }
        assert!(shelves.bytes <= MAX_BYTES_OVERALL && shelves.bytes == total(&shelves));
        let now = start + Duration::from_secs(count as u64);
        assert!(shelves.find(&owner("0"), "call", now).is_none());
        let last = owner(&(count - 1).to_string());
        assert!(shelves.find(&last, "call", now).is_some());
    }
}
