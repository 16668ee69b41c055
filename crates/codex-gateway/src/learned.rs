//! What this process learned: which upstream refuses which model for whom, and which model serves a
//! live session. Keeps and hands out; the arithmetic is policy's, and policy asks through
//! [`gateway_policy::Memory`].

pub mod stored;
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
    refusals: Mutex<LearnedRefusals>,
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
        let (refusals, sessions) = (
            Mutex::new(LearnedRefusals::new(ttl)),
            Mutex::new(Sessions::default()),
        );
        (
            Self {
                clock,
                refusals,
                sessions,
                changes,
            },
            waiting,
        )
    }

    /// What is known for this caller and session.
    pub fn view<'a>(&'a self, caller: &'a Caller, session: Option<&'a str>) -> LearnedView<'a> {
        LearnedView {
            learned: self,
            caller,
            session,
        }
    }

    fn refusals(&self) -> MutexGuard<'_, LearnedRefusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is believed at present.
    pub fn known(&self) -> Vec<(RefusalKey, LearnedRefusal)> {
        let now = self.clock.now();
        let refusals = self.refusals();
        let known = refusals
            .iter()
            .filter(|(_, refusal)| refusal.expires_at > now);
        known
            .map(|(key, refusal)| (key.clone(), refusal.clone()))
            .collect()
    }

    /// Takes over what was learned elsewhere.
    pub fn restore(&self, stored: Vec<(RefusalKey, LearnedRefusal)>) {
        let mut refusals = self.refusals();
        for (key, refusal) in stored {
            refusals.restore(key, refusal);
        }
    }

    /// Forgets the refusals of a model, or all of them, expired ones included.
    pub fn clear(&self, model: Option<&ModelId>) {
        let mut refusals = self.refusals();
        let Some(model) = model else {
            refusals.clear();
            return;
        };
        let gone: Vec<RefusalKey> = refusals
            .iter()
            .filter(|(key, _)| key.model == *model)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            refusals.forget(key);
        }
    }

    /// Forgets what the store holds no longer. What has expired stays: the store drops it by
    /// itself, and here it keeps a crowd of requests from finding out at once.
    fn apply_remote_clears<'a>(&self, gone: impl Iterator<Item = &'a RefusalKey>) {
        let now = self.clock.now();
        let mut refusals = self.refusals();
        for key in gone {
            if refusals.refusal(key, now) == RefusalState::Refused {
                refusals.forget(key);
            }
        }
    }

    /// What is learned from now on is believed for this long.
    pub fn set_ttl(&self, ttl: Duration) {
        let mut refusals = self.refusals();
        let mut renewed = LearnedRefusals::new(ttl);
        for (key, refusal) in refusals.iter() {
            renewed.restore(key.clone(), refusal.clone());
        }
        *refusals = renewed;
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An upstream refused a model.
    pub fn refused(&self, caller: &Caller, attempt: &Attempt, verdict: &Verdict) {
        let key = refusal_key(caller, attempt.upstream_name(), &attempt.model);
        let refusal = self.refusals().learn(
            key.clone(),
            self.clock.now(),
            verdict.code.clone(),
            verdict.message.clone(),
        );
        drop(self.changes.try_send((key, refusal)));
    }

    /// A probe ended without an answer to its question; the next request may ask.
    pub fn probe_inconclusive(&self, caller: &Caller, attempt: &Attempt) {
        if attempt.is_probe {
            self.refusals().release_probe(&refusal_key(
                caller,
                attempt.upstream_name(),
                &attempt.model,
            ));
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
            let key = refusal_key(caller, attempt.upstream_name(), &attempt.model);
            // Nothing to keep: only what has expired is probed, and the store forgets that by
            // itself.
            self.refusals().forget(&key);
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

fn refusal_key(caller: &Caller, upstream: &UpstreamName, model: &ModelId) -> RefusalKey {
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
pub struct LearnedView<'a> {
    learned: &'a Learned,
    caller: &'a Caller,
    session: Option<&'a str>,
}

impl Memory for LearnedView<'_> {
    fn sticky(&self, head: &ModelId) -> Option<Sticky> {
        let key = session_key(self.caller, self.session?, head);
        self.learned
            .sessions()
            .get(&key, self.learned.clock.now())
            .cloned()
    }

    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState {
        self.learned.refusals().refusal(
            &refusal_key(self.caller, upstream, model),
            self.learned.clock.now(),
        )
    }

    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool {
        self.learned.refusals().claim_probe(
            &refusal_key(self.caller, upstream, model),
            self.learned.clock.now(),
        )
    }
}

#[cfg(test)]
mod tests {
    use gateway_policy::{AuthRoute, Decision, Subject};
    use gateway_wire::Failure;

    use super::*;
    use crate::testing::{chatgpt_caller, configured};

    #[test]
    fn a_refusal_is_believed_for_its_time_and_then_one_request_probes() {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let (learned, _waiting) = Learned::new(clock.clone(), Duration::from_secs(3600));
        let (settings, _) = configured("");
        let model = ModelId::new("gpt-5.5").unwrap();
        let caller = chatgpt_caller();
        let asked = Subject::new(AuthRoute::Chatgpt).request(&model);
        let decide = || {
            let memory = learned.view(&caller, None);
            match settings.policy.decide(&asked, &memory) {
                Decision::Forward(plan) => plan,
                Decision::Reject(_) | Decision::Unrouted(_) => panic!("{model} is forwarded"),
            }
        };
        let first = decide().first;
        let verdict = Verdict {
            failure: Failure::UnsupportedModel,
            code: None,
            message: None,
        };
        learned.refused(&caller, &first, &verdict);
        clock.advance(Duration::from_secs(3599));
        assert_ne!(decide().first.model, model);
        assert_eq!(learned.known().len(), 1);
        clock.advance(Duration::from_secs(1));
        assert!(learned.known().is_empty());
        let probe = decide().first;
        assert!(probe.is_probe && probe.model == model, "{probe:?}");
        assert!(!decide().first.is_probe, "one probe at a time");
        learned.probe_inconclusive(&caller, &probe);
        assert!(decide().first.is_probe, "the next one may ask");
    }

    #[test]
    fn a_shorter_time_holds_for_what_is_learned_from_then_on() {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let (learned, _waiting) = Learned::new(clock.clone(), Duration::from_secs(3600));
        let (settings, _) = configured("");
        let caller = chatgpt_caller();
        let refuse = |model: &str| {
            let model = ModelId::new(model).unwrap();
            let asked = Subject::new(AuthRoute::Chatgpt).request(&model);
            let Decision::Forward(plan) = settings.policy.decide(&asked, &gateway_policy::NoMemory)
            else {
                panic!("{model} is forwarded");
            };
            let verdict = Verdict {
                failure: Failure::UnsupportedModel,
                code: None,
                message: None,
            };
            learned.refused(&caller, &plan.first, &verdict);
        };
        refuse("gpt-5.5");
        learned.set_ttl(Duration::from_secs(60));
        refuse("gpt-5.2");
        assert_eq!(learned.known().len(), 2);
        clock.advance(Duration::from_secs(60));
        let known = learned.known();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].0.model.as_str(), "gpt-5.5");
    }
}
