//! Refusals that were seen, and for how long they are believed. Pure arithmetic: time is an
//! argument, the process stores it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::auth_route::AuthRoute;
use crate::memory::RefusalState;
use crate::model_id::ModelId;
use crate::upstream::UpstreamName;

/// How long a refusal is believed by default.
pub const DEFAULT_TTL: Duration = Duration::from_secs(600);

/// How long one request may take to find out whether an expired refusal still holds.
pub const PROBE_LEASE: Duration = Duration::from_secs(120);

/// The most refusals that are kept; beyond it, those that expire first are dropped.
pub const MAX_REFUSALS: usize = 10_000;

/// Who was refused what, and where. Another caller of the same upstream may be served.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct RefusalKey {
    /// The upstream that refused.
    pub upstream: UpstreamName,
    /// The route of the request.
    pub route: AuthRoute,
    /// The ChatGPT plan that the token claimed.
    pub plan: Option<Arc<str>>,
    /// A digest of the credential that was refused; absent for an upstream's own.
    pub credential_digest: Option<Arc<str>>,
    /// The refused model.
    pub model: ModelId,
}

/// One learned refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LearnedRefusal {
    /// When it was seen last.
    pub learned_at: Timestamp,
    /// Until when it is believed.
    pub expires_at: Timestamp,
    /// When a request set out to check it, after it had expired.
    pub probed_at: Option<Timestamp>,
    /// The upstream's code.
    pub code: Option<String>,
    /// The upstream's message.
    pub message: Option<String>,
}

impl LearnedRefusal {
    /// What holds for a request at `now`.
    pub fn refusal(&self, now: Timestamp) -> RefusalState {
        if now < self.expires_at || self.is_being_probed(now) {
            RefusalState::Refused
        } else {
            RefusalState::Probe
        }
    }

    fn is_being_probed(&self, now: Timestamp) -> bool {
        self.probed_at
            .is_some_and(|since| now < after(since, PROBE_LEASE))
    }
}

/// All learned refusals of a process.
#[derive(Debug, Clone)]
pub struct LearnedRefusals {
    refusals: HashMap<RefusalKey, LearnedRefusal>,
    ttl: Duration,
}

impl LearnedRefusals {
    /// No refusals yet; each will be believed for `ttl`.
    pub fn new(ttl: Duration) -> Self {
        Self {
            refusals: HashMap::new(),
            ttl,
        }
    }

    /// What is known of a key at `now`.
    pub fn refusal(&self, key: &RefusalKey, now: Timestamp) -> RefusalState {
        self.refusals
            .get(key)
            .map_or(RefusalState::Unknown, |refused| refused.refusal(now))
    }

    /// Takes the single probe of an expired refusal. `false` when there is nothing to probe or
    /// another request has taken it.
    pub fn claim_probe(&mut self, key: &RefusalKey, now: Timestamp) -> bool {
        match self.refusals.get_mut(key) {
            Some(refused) if refused.refusal(now) == RefusalState::Probe => {
                refused.probed_at = Some(now);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Returns a probe that was inconclusive, such as one that ran into a rate limit.
    pub fn release_probe(&mut self, key: &RefusalKey) {
        if let Some(refused) = self.refusals.get_mut(key) {
            refused.probed_at = None;
        }
    }

    /// Records a refusal seen `now` and returns it, so that it can be stored.
    pub fn learn(
        &mut self,
        key: RefusalKey,
        now: Timestamp,
        code: Option<String>,
        message: Option<String>,
    ) -> LearnedRefusal {
        let refused = LearnedRefusal {
            learned_at: now,
            expires_at: after(now, self.ttl),
            probed_at: None,
            code,
            message,
        };
        self.restore(key, refused.clone());
        refused
    }

    /// Puts a stored refusal back, unless a known one of the same key expires later.
    pub fn restore(&mut self, key: RefusalKey, refused: LearnedRefusal) {
        let known = self.refusals.get(&key);
        if known.is_some_and(|known| known.expires_at > refused.expires_at) {
            return;
        }
        if known.is_none() && self.refusals.len() >= MAX_REFUSALS {
            self.make_room();
        }
        self.refusals.insert(key, refused);
    }

    /// Forgets a refusal, because the model was served. `false` when there was none.
    pub fn forget(&mut self, key: &RefusalKey) -> bool {
        self.refusals.remove(key).is_some()
    }

    /// Forgets everything; returns how many refusals there were.
    pub fn clear(&mut self) -> usize {
        let count = self.refusals.len();
        self.refusals.clear();
        count
    }

    /// All refusals, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&RefusalKey, &LearnedRefusal)> {
        self.refusals.iter()
    }

    /// Drops the tenth that expires first, so that making room is rare.
    fn make_room(&mut self) {
        let mut ends: Vec<Timestamp> = self
            .refusals
            .values()
            .map(|refused| refused.expires_at)
            .collect();
        ends.sort_unstable();
        if let Some(limit) = ends.get(MAX_REFUSALS / 10).copied() {
            self.refusals
                .retain(|_, refused| refused.expires_at > limit);
        }
    }
}

/// The moment a duration after `start`; the last representable one when it is beyond that.
pub(crate) fn after(start: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| start.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}
