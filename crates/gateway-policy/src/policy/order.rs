//! Which attempt comes first and which may follow, by what is known of the session and of
//! refusals. Knows no rules.

use super::trace::{Candidate, SkipReason};
use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::MAX_HOPS;
use crate::memory::{Memory, RefusalState};

/// Whether a decision may claim the single probe of an expired refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeMode {
    /// It may: the request is about to be sent.
    Claim,
    /// It must not: nothing is sent.
    Observe,
}

/// What the order of the attempts depends on, beside the candidates.
pub(super) struct Order<'a> {
    pub(super) memory: &'a dyn Memory,
    pub(super) probes: ProbeMode,
    pub(super) has_previous_response: bool,
}

impl Order<'_> {
    /// The first attempt and those that may follow. Marks the candidates that may not.
    pub(super) fn attempts(
        &self,
        head: &Attempt,
        candidates: &mut [Candidate],
    ) -> (Attempt, Vec<Attempt>) {
        let sticky = self.memory.sticky(&head.model);
        let stays = |attempt: &Attempt| {
            sticky.as_ref().is_some_and(|sticky| {
                attempt.model == sticky.model && attempt.upstream.name == sticky.upstream
            })
        };
        // A session stays where it is even if another caller has met a refusal since.
        if let Some((first, rest)) = move_on(candidates, stays) {
            return (first, self.followers(rest));
        }
        if stays(head) || self.has_previous_response {
            return (head.clone(), self.followers(candidates));
        }
        if let Some(is_probe) = self.may_ask(head) {
            let first = Attempt {
                is_probe,
                ..head.clone()
            };
            return (first, self.followers(candidates));
        }
        if let Some((first, rest)) = self.first_not_refused(candidates) {
            return (first, self.followers(rest));
        }
        // Everything is known to refuse: the upstream says so itself, and its answer is the true
        // one.
        (head.clone(), Vec::new())
    }

    /// Whether an attempt may come first, and if so whether it is the probe of an expired refusal.
    fn may_ask(&self, attempt: &Attempt) -> Option<bool> {
        let (upstream, model) = (&attempt.upstream.name, &attempt.model);
        match self.memory.refused(upstream, model) {
            RefusalState::Unknown => Some(false),
            RefusalState::Refused => None,
            RefusalState::Probe => {
                let is_claimed =
                    self.probes == ProbeMode::Observe || self.memory.claim_probe(upstream, model);
                is_claimed.then_some(true)
            }
        }
    }

    /// The first candidate that is not known to refuse, with those behind it.
    fn first_not_refused<'c>(
        &self,
        candidates: &'c mut [Candidate],
    ) -> Option<(Attempt, &'c mut [Candidate])> {
        for at in 0..candidates.len() {
            let candidate = candidates.get_mut(at)?;
            let Ok(attempt) = &candidate.fate else {
                continue;
            };
            let Some(is_probe) = self.may_ask(attempt) else {
                candidate.fate = Err(SkipReason::Learned);
                continue;
            };
            let first = Attempt {
                reason: AttemptReason::Learned,
                is_probe,
                ..attempt.clone()
            };
            return Some((first, candidates.get_mut(at + 1..)?));
        }
        None
    }

    /// The attempts that may follow, marking the candidates that may not.
    fn followers(&self, candidates: &mut [Candidate]) -> Vec<Attempt> {
        let mut rest: Vec<Attempt> = Vec::new();
        for candidate in candidates {
            let Ok(attempt) = &candidate.fate else {
                continue;
            };
            let known = || self.memory.refused(&attempt.upstream.name, &attempt.model);
            let skip = if self.has_previous_response {
                SkipReason::PreviousResponse
            } else if rest.len() == MAX_HOPS {
                SkipReason::TooManyHops
            } else if known() == RefusalState::Refused {
                SkipReason::Learned
            } else {
                rest.push(attempt.clone());
                continue;
            };
            candidate.fate = Err(skip);
        }
        rest
    }
}

/// The candidate that serves the session already, with those behind it; it and those before it are
/// marked, since the session does not go back.
fn move_on(
    candidates: &mut [Candidate],
    stays: impl Fn(&Attempt) -> bool,
) -> Option<(Attempt, &mut [Candidate])> {
    let at = candidates
        .iter()
        .position(|candidate| candidate.fate.as_ref().is_ok_and(&stays))?;
    let (before, rest) = candidates.split_at_mut(at + 1);
    let found = before.last()?.fate.as_ref().ok().cloned()?;
    for candidate in before {
        if candidate.fate.is_ok() {
            candidate.fate = Err(SkipReason::SessionMovedOn);
        }
    }
    let first = Attempt {
        reason: AttemptReason::Sticky,
        ..found
    };
    Some((first, rest))
}
