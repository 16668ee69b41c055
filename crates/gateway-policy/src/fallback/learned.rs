//! Refusals that were seen, and for how long they are believed. Pure arithmetic: time is an
//! argument, the process stores it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::ask::Refusal;
use crate::upstream::UpstreamName;
use crate::{AuthRoute, ModelId};

/// How long a refusal is believed by default.
pub const DEFAULT_TTL: Duration = Duration::from_secs(600);

/// How long one request may take to find out whether an expired refusal still holds.
pub const PROBE_LEASE: Duration = Duration::from_secs(120);

/// Most facts that are kept; when there are more, those that expire first make room.
pub const MAX_FACTS: usize = 10_000;

/// Who was refused what, and where. Another caller of the same upstream may be served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct FactKey {
    /// The upstream that refused.
    pub upstream: UpstreamName,
    /// The route of the request.
    pub route: AuthRoute,
    /// The plan that the token claimed.
    pub plan: Option<Arc<str>>,
    /// A digest of the credential that was refused; absent for an upstream's own.
    pub credential_digest: Option<Arc<str>>,
    /// The refused model.
    pub model: ModelId,
}

/// One learned refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// When it was seen last.
    pub learned_at: Timestamp,
    /// Until when it is believed.
    pub expires_at: Timestamp,
    /// When a request set out to check it after it expired.
    pub probed_at: Option<Timestamp>,
    /// The upstream's code.
    pub code: Option<String>,
    /// The upstream's message.
    pub message: Option<String>,
}

impl Fact {
    /// What a request that asks `now` is told.
    pub fn refusal(&self, now: Timestamp) -> Refusal {
        if now < self.expires_at || self.is_being_probed(now) {
            Refusal::Refused
        } else {
            Refusal::Probe
        }
    }

    fn is_being_probed(&self, now: Timestamp) -> bool {
        self.probed_at
            .is_some_and(|since| now < after(since, PROBE_LEASE))
    }
}

/// All learned refusals of a process.
#[derive(Debug, Clone)]
pub struct LearnedFacts {
    facts: HashMap<FactKey, Fact>,
    ttl: Duration,
}

impl LearnedFacts {
    /// Nothing learned yet; what is learned is believed for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self {
            facts: HashMap::new(),
            ttl,
        }
    }

    /// What is known.
    pub fn refusal(&self, key: &FactKey, now: Timestamp) -> Refusal {
        self.facts
            .get(key)
            .map_or(Refusal::Unknown, |fact| fact.refusal(now))
    }

    /// Takes the single probe of an expired fact. `false` when there is nothing to probe or another
    /// request does.
    pub fn claim_probe(&mut self, key: &FactKey, now: Timestamp) -> bool {
        match self.facts.get_mut(key) {
            Some(fact) if fact.refusal(now) == Refusal::Probe => {
                fact.probed_at = Some(now);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Gives a probe back that found out nothing, such as one that ran into a rate limit.
    pub fn release_probe(&mut self, key: &FactKey) {
        if let Some(fact) = self.facts.get_mut(key) {
            fact.probed_at = None;
        }
    }

    /// Records a refusal seen `now` and returns it, so that it can be stored.
    pub fn learn(
        &mut self,
        key: FactKey,
        now: Timestamp,
        code: Option<String>,
        message: Option<String>,
    ) -> Fact {
        let fact = Fact {
            learned_at: now,
            expires_at: after(now, self.ttl),
            probed_at: None,
            code,
            message,
        };
        self.restore(key, fact.clone());
        fact
    }

    /// Puts a stored fact back. One that is known already stays if it expires later.
    pub fn restore(&mut self, key: FactKey, fact: Fact) {
        let known = self.facts.get(&key);
        if known.is_some_and(|known| known.expires_at > fact.expires_at) {
            return;
        }
        if known.is_none() && self.facts.len() >= MAX_FACTS {
            self.make_room();
        }
        self.facts.insert(key, fact);
    }

    /// Forgets a refusal, because the model was served. `false` when there was none.
    pub fn forget(&mut self, key: &FactKey) -> bool {
        self.facts.remove(key).is_some()
    }

    /// Forgets everything and says how much that was.
    pub fn clear(&mut self) -> usize {
        let count = self.facts.len();
        self.facts.clear();
        count
    }

    /// Everything that is known, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&FactKey, &Fact)> {
        self.facts.iter()
    }

    /// Drops the tenth that expires first, so that making room is rare.
    fn make_room(&mut self) {
        let mut ends: Vec<Timestamp> = self.facts.values().map(|fact| fact.expires_at).collect();
        ends.sort_unstable();
        if let Some(limit) = ends.get(MAX_FACTS / 10).copied() {
            self.facts.retain(|_, fact| fact.expires_at > limit);
        }
    }
}

/// A later moment; the end of time when there is none.
pub(crate) fn after(start: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| start.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}
