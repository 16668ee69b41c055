//! What this process learned: which upstream refuses which model for whom, and which model serves a
//! live session. Keeps and hands out; the arithmetic is policy's, and policy asks through
//! [`gateway_policy::Memory`].

pub mod sync;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_policy::{
    Attempt, AttemptPlan, LearnedRefusal, LearnedRefusals, Memory, ModelId, RefusalKey,
    RefusalState, SessionKey, Sessions, Sticky, UpstreamName,
};
use gateway_wire::Verdict;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::identity::caller::Caller;

/// The memory of this process.
#[derive(Debug)]
pub struct Learned {
    clock: Clock,
    facts: Mutex<LearnedRefusals>,
    sessions: Mutex<Sessions>,
    changes: mpsc::Sender<(RefusalKey, LearnedRefusal)>,
}

/// Refusals that wait to be kept. When full, one lives in this process only, which costs one
/// refused attempt after a restart.
const CHANGES_WAITING: usize = 256;

impl Learned {
    /// An empty memory, and the refusals to keep.
    pub fn new(
        clock: Clock,
        ttl: Duration,
    ) -> (Self, mpsc::Receiver<(RefusalKey, LearnedRefusal)>) {
        let (changes, waiting) = mpsc::channel(CHANGES_WAITING);
        let (facts, sessions) = (
            Mutex::new(LearnedRefusals::new(ttl)),
            Mutex::new(Sessions::default()),
        );
        (
            Self {
                clock,
                facts,
                sessions,
                changes,
            },
            waiting,
        )
    }

    /// What is known for this caller and session.
    pub fn view<'a>(&'a self, caller: &'a Caller, session: Option<&'a str>) -> View<'a> {
        View {
            learned: self,
            caller,
            session,
        }
    }

    fn facts(&self) -> MutexGuard<'_, LearnedRefusals> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is believed at present.
    pub fn known(&self) -> Vec<(RefusalKey, LearnedRefusal)> {
        let now = self.clock.now();
        let facts = self.facts();
        let known = facts.iter().filter(|(_, fact)| fact.expires_at > now);
        known
            .map(|(key, fact)| (key.clone(), fact.clone()))
            .collect()
    }

    /// Takes over what was learned elsewhere.
    pub fn restore(&self, stored: Vec<(RefusalKey, LearnedRefusal)>) {
        let mut facts = self.facts();
        for (key, fact) in stored {
            facts.restore(key, fact);
        }
    }

    /// Forgets the refusals of a model, or all of them, expired ones included.
    pub fn clear(&self, model: Option<&ModelId>) {
        let mut facts = self.facts();
        let Some(model) = model else {
            facts.clear();
            return;
        };
        let gone: Vec<RefusalKey> = facts
            .iter()
            .filter(|(key, _)| key.model == *model)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            facts.forget(key);
        }
    }

    /// Forgets what the store holds no longer. What has expired stays: the store drops it by
    /// itself, and here it keeps a crowd of requests from finding out at once.
    fn cleared_elsewhere<'a>(&self, gone: impl Iterator<Item = &'a RefusalKey>) {
        let now = self.clock.now();
        let mut facts = self.facts();
        for key in gone {
            if facts.refusal(key, now) == RefusalState::Refused {
                facts.forget(key);
            }
        }
    }

    /// What is learned from now on is believed for this long.
    pub fn believe_for(&self, ttl: Duration) {
        let mut facts = self.facts();
        let mut renewed = LearnedRefusals::new(ttl);
        for (key, fact) in facts.iter() {
            renewed.restore(key.clone(), fact.clone());
        }
        *facts = renewed;
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An upstream refused a model.
    pub fn refused(&self, caller: &Caller, attempt: &Attempt, verdict: &Verdict) {
        let key = fact_key(caller, attempt.upstream_name(), &attempt.model);
        let fact = self.facts().learn(
            key.clone(),
            self.clock.now(),
            verdict.code.clone(),
            verdict.message.clone(),
        );
        drop(self.changes.try_send((key, fact)));
    }

    /// A probe ended without an answer to its question; the next request may ask.
    pub fn undecided(&self, caller: &Caller, attempt: &Attempt) {
        if attempt.is_probe {
            self.facts()
                .release_probe(&fact_key(caller, attempt.upstream_name(), &attempt.model));
        }
    }

    /// A model served: a refusal of it no longer holds, and the session stays where it is.
    pub fn served(
        &self,
        caller: &Caller,
        session: Option<&str>,
        plan: &AttemptPlan,
        attempt: &Attempt,
    ) {
        if attempt.is_probe {
            let key = fact_key(caller, attempt.upstream_name(), &attempt.model);
            // Nothing to keep: only what has expired is probed, and the store forgets that by
            // itself.
            self.facts().forget(&key);
        }
        // Only chains can move a session, so only then is there anything to remember.
        let Some(session) = session else { return };
        if plan.rest.is_empty() && plan.first.is_same_target(&plan.head) {
            return;
        }
        let sticky = Sticky {
            model: attempt.model.clone(),
            upstream: attempt.upstream.name.clone(),
            reason: attempt.reason,
        };
        self.sessions().served(
            session_key(caller, session, &plan.head.model),
            sticky,
            self.clock.now(),
        );
    }
}

fn fact_key(caller: &Caller, upstream: &UpstreamName, model: &ModelId) -> RefusalKey {
    RefusalKey {
        upstream: upstream.clone(),
        route: caller.route,
        plan: caller.plan.as_deref().map(Arc::from),
        credential_digest: Some(caller.credential_digest.as_str())
            .filter(|digest| !digest.is_empty())
            .map(Arc::from),
        model: model.clone(),
    }
}

fn session_key(caller: &Caller, session: &str, head: &ModelId) -> SessionKey {
    SessionKey {
        session: Arc::from(session),
        caller_digest: Arc::from(caller.label.as_str()),
        head: head.clone(),
    }
}

/// The memory as one request sees it.
pub struct View<'a> {
    learned: &'a Learned,
    caller: &'a Caller,
    session: Option<&'a str>,
}

impl Memory for View<'_> {
    fn sticky(&self, head: &ModelId) -> Option<Sticky> {
        let key = session_key(self.caller, self.session?, head);
        self.learned
            .sessions()
            .get(&key, self.learned.clock.now())
            .cloned()
    }

    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState {
        self.learned.facts().refusal(
            &fact_key(self.caller, upstream, model),
            self.learned.clock.now(),
        )
    }

    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool {
        self.learned.facts().claim_probe(
            &fact_key(self.caller, upstream, model),
            self.learned.clock.now(),
        )
    }
}
