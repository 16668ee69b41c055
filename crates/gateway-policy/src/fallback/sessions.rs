//! Which model serves which session, so that a session keeps its model. Pure; time is an argument.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::learned::after;
use crate::memory::Sticky;
use crate::model_id::ModelId;

/// How long a silent session is remembered.
pub const SESSION_TTL: Duration = Duration::from_secs(24 * 3600);

/// The most sessions that are remembered; beyond it, those silent the longest are dropped.
pub const MAX_SESSIONS: usize = 50_000;

/// A session of one caller, asking for one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The session's id, which the client chose.
    pub session: Arc<str>,
    /// A digest that tells callers apart: different callers may choose the same id.
    pub caller_digest: Arc<str>,
    /// The model that the rules made of the request: [`crate::AttemptPlan::head`].
    pub head: ModelId,
}

#[derive(Debug, Clone)]
struct SeenSession {
    sticky: Sticky,
    seen_at: Timestamp,
}

/// All sessions of a process.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    entries: HashMap<SessionKey, SeenSession>,
}

impl Sessions {
    /// Which model serves a session.
    pub fn get(&self, key: &SessionKey, now: Timestamp) -> Option<&Sticky> {
        let entry = self.entries.get(key)?;
        (now < after(entry.seen_at, SESSION_TTL)).then_some(&entry.sticky)
    }

    /// Records who served a session. Called for every served request, also when the requested model
    /// served it: then a refusal that another caller meets does not move the session.
    pub fn served(&mut self, key: SessionKey, by: Sticky, now: Timestamp) {
        if self.entries.len() >= MAX_SESSIONS && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(
            key,
            SeenSession {
                sticky: by,
                seen_at: now,
            },
        );
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many sessions are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no session is remembered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Drops expired sessions, and at least the tenth that was silent the longest.
    fn make_room(&mut self, now: Timestamp) {
        let mut seen: Vec<Timestamp> = self.entries.values().map(|entry| entry.seen_at).collect();
        seen.sort_unstable();
        let limit = seen
            .get(MAX_SESSIONS / 10)
            .copied()
            .unwrap_or(Timestamp::MIN);
        self.entries
            .retain(|_, entry| entry.seen_at > limit && now < after(entry.seen_at, SESSION_TTL));
    }
}
