//! Provider reasoning that an upstream demands back with the tool calls it led to, kept by call id.
//! In memory alone, bounded, and divided by caller and upstream, since reasoning of one account is
//! unreadable or private in another. Losing an entry costs quality, never an answer, so nothing
//! here is written down.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_policy::UpstreamName;
use gateway_wire::translate::{ReasoningBlob, ReasoningLookup};

use crate::bounded_map::BoundedMap;
use crate::clock::Clock;

/// Most calls of one caller at one upstream; the oldest goes first.
const MAX_CALLS: usize = 64;
/// Most bytes of one caller at one upstream.
const MAX_BYTES: usize = 256 * 1024;
/// How long a call is kept: after a longer pause, most people start a new conversation.
const TTL: Duration = Duration::from_secs(3600);
/// Most bytes of all callers together; the caller whose last call is oldest is evicted first.
const MAX_BYTES_OVERALL: usize = 32 << 20;

/// The memory of this process.
#[derive(Debug)]
pub struct ReasoningMemory {
    clock: Clock,
    buckets: BoundedMap<Owner, CallerCalls>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Owner {
    caller: Arc<str>,
    upstream: UpstreamName,
}

/// What is kept for one caller at one upstream, the oldest call first. Never empty.
#[derive(Debug, Default)]
struct CallerCalls {
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
        let buckets = BoundedMap::weighted(MAX_BYTES_OVERALL, |bucket: &CallerCalls| bucket.bytes);
        Self {
            buckets: buckets.with_ttl(TTL, clock.clone()),
            clock,
        }
    }

    /// Keeps what came with the calls of a response.
    pub fn keep(
        &self,
        caller: &str,
        upstream: &UpstreamName,
        reasoning: Vec<(String, ReasoningBlob)>,
    ) {
        if reasoning.is_empty() {
            return;
        }
        let since = self.clock.instant();
        self.buckets.update(Owner::new(caller, upstream), |slot| {
            let mut bucket = slot.take().unwrap_or_default();
            for (id, blob) in reasoning {
                bucket.put(Call {
                    id,
                    blob: Arc::new(blob),
                    since,
                });
            }
            *slot = Some(bucket).filter(|bucket| !bucket.calls.is_empty());
        });
    }

    /// What is kept for this caller at this upstream.
    pub fn view(&self, caller: &str, upstream: &UpstreamName) -> ReasoningView<'_> {
        ReasoningView {
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

impl CallerCalls {
    fn find(&self, id: &str, now: Instant) -> Option<Arc<ReasoningBlob>> {
        let call = self.calls.iter().rev().find(|call| call.id == id)?;
        let age = now.saturating_duration_since(call.since);
        (age < TTL).then(|| Arc::clone(&call.blob))
    }

    fn put(&mut self, call: Call) {
        if let Some(index) = self.calls.iter().position(|known| known.id == call.id) {
            self.bytes -= self.calls.remove(index).map_or(0, |old| old.size());
        }
        self.bytes += call.size();
        let now = call.since;
        self.calls.push_back(call);
        let is_expired = |call: &Call| now.saturating_duration_since(call.since) >= TTL;
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
pub struct ReasoningView<'a> {
    memory: &'a ReasoningMemory,
    owner: Owner,
}

impl ReasoningLookup for ReasoningView<'_> {
    fn find(&self, call_id: &str) -> Option<Arc<ReasoningBlob>> {
        let now = self.memory.clock.instant();
        let find = |bucket: &CallerCalls| bucket.find(call_id, now);
        self.memory.buckets.read(&self.owner, find).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> (ReasoningMemory, Clock) {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        (ReasoningMemory::new(clock.clone()), clock)
    }

    fn blob(bytes: usize) -> ReasoningBlob {
        ReasoningBlob {
            text: Some("x".repeat(bytes)),
            ..ReasoningBlob::default()
        }
    }

    fn keep(memory: &ReasoningMemory, caller: &str, id: &str, bytes: usize) {
        let reasoning = vec![(id.to_owned(), blob(bytes))];
        memory.keep(caller, &UpstreamName::new("deepseek"), reasoning);
    }

    fn find(memory: &ReasoningMemory, caller: &str, id: &str) -> Option<usize> {
        let view = memory.view(caller, &UpstreamName::new("deepseek"));
        view.find(id).map(|blob| blob.size())
    }

    /// Calls of a caller, and all bytes, counted one by one.
    fn counted(memory: &ReasoningMemory, caller: &str) -> (usize, usize) {
        let (mut calls, mut bytes) = (0, 0);
        memory.buckets.for_each(|owner, bucket| {
            if &*owner.caller == caller {
                calls += bucket.calls.len();
            }
            bytes += bucket.calls.iter().map(Call::size).sum::<usize>();
        });
        (calls, bytes)
    }

    #[test]
    fn each_caller_finds_its_own_for_an_hour() {
        let (memory, clock) = memory();
        keep(&memory, "a", "call_1", 3);
        assert_eq!(find(&memory, "b", "call_1"), None);
        let elsewhere = memory.view("a", &UpstreamName::new("other"));
        assert!(elsewhere.find("call_1").is_none());
        clock.advance(Duration::from_secs(3599));
        assert_eq!(find(&memory, "a", "call_1"), Some(3));
        // A later call of the same caller keeps the earlier one no longer.
        keep(&memory, "a", "call_2", 3);
        clock.advance(Duration::from_secs(1));
        assert_eq!(find(&memory, "a", "call_1"), None);
        assert_eq!(find(&memory, "a", "call_2"), Some(3));
        keep(&memory, "a", "call_2", 5);
        assert_eq!(find(&memory, "a", "call_2"), Some(5));
        assert_eq!(memory.buckets.weight(), counted(&memory, "a").1);
    }

    #[test]
    fn a_caller_is_bounded_in_calls_and_bytes() {
        let (memory, _) = memory();
        for n in 0..200 {
            keep(&memory, "a", &format!("call_{n}"), 10);
        }
        assert_eq!(counted(&memory, "a").0, MAX_CALLS);
        assert_eq!(find(&memory, "a", "call_135"), None);
        assert!(find(&memory, "a", "call_136").is_some());
        keep(&memory, "a", "big", MAX_BYTES - 3);
        assert_eq!(counted(&memory, "a").0, 1);
        keep(&memory, "a", "too big", MAX_BYTES);
        assert_eq!((memory.buckets.len(), memory.buckets.weight()), (0, 0));
    }

    #[test]
    fn all_callers_together_are_bounded_and_the_least_recent_goes_first() {
        let (memory, _) = memory();
        let count = MAX_BYTES_OVERALL / (200 << 10) + 10;
        for n in 0..count {
            keep(&memory, &n.to_string(), "call", 200 << 10);
        }
        assert!(memory.buckets.weight() <= MAX_BYTES_OVERALL);
        assert_eq!(memory.buckets.weight(), counted(&memory, "").1);
        assert_eq!(find(&memory, "0", "call"), None);
        assert!(find(&memory, &(count - 1).to_string(), "call").is_some());
    }
}
