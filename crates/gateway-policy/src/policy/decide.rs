//! From a [`PolicyRequest`] to a [`Decision`]. `explain` reads the trace that every decision leaves.

use std::sync::Arc;

use super::Policy;
use super::index::Shortlist;
use super::trace::{Candidate, DecisionTrace, ProbeMode, SkipReason};
use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::{AttemptPlan, MAX_HOPS};
use crate::catalog::{LifecycleStatus, ModelEntry, Picker};
use crate::decision::{Decision, Rejection};
use crate::memory::{Memory, NoMemory, RefusalState};
use crate::model_id::ModelId;
use crate::request::PolicyRequest;
use crate::rule::{Action, Rule};
use crate::upstream::Upstream;

/// Most models that a rejection names.
const MAX_ALLOWED: usize = 6;

/// A request, with the rules that can be about it.
struct Evaluation<'a> {
    request: &'a PolicyRequest<'a>,
    memory: &'a dyn Memory,
    list: Shortlist,
}

impl Policy {
    /// What becomes of a request.
    ///
    /// The first rule that matches decides. After a rewrite, and for each fallback, the rules are
    /// asked again about the final model, without rewrites. Then memory: a session stays where it
    /// is; a model known to refuse is passed over when its chain offers another.
    pub fn decide(&self, request: &PolicyRequest<'_>, memory: &dyn Memory) -> Decision {
        self.trace(request, memory, ProbeMode::Claim).decision
    }

    pub(crate) fn trace(
        &self,
        request: &PolicyRequest<'_>,
        memory: &dyn Memory,
        probes: ProbeMode,
    ) -> DecisionTrace<'_> {
        let evaluation = self.evaluation(request, memory);
        let first = self.asked_rule(&evaluation, request.model);
        let mut trace = DecisionTrace::new(first);
        let mut model = request.model.clone();
        let mut target = self.route_upstream(request.subject.route);
        match first.map(|rule| &rule.action) {
            None | Some(Action::Allow) => {}
            Some(Action::Reject(reason)) => {
                trace.decision = self.reject(&evaluation, first, &model, reason);
                return trace;
            }
            Some(Action::Send(name)) => {
                target = self.upstream(name.as_str());
                trace.is_sent = true;
            }
            Some(Action::Rewrite(to)) => {
                model = to.clone();
                let second = self.final_rule(&evaluation, &model);
                trace.second_rule = second;
                match second.map(|rule| &rule.action) {
                    Some(Action::Reject(reason)) => {
                        trace.decision = self.reject(&evaluation, second, &model, reason);
                        return trace;
                    }
                    Some(Action::Send(name)) => {
                        target = self.upstream(name.as_str());
                        trace.is_sent = true;
                    }
                    None | Some(Action::Allow | Action::Rewrite(_)) => {}
                }
            }
        }
        let Some(upstream) = target else {
            trace.decision = Decision::Unrouted(request.subject.route);
            return trace;
        };
        let chosen = first.is_some_and(|rule| rule.action != Action::Allow);
        let reason = if chosen {
            AttemptReason::Rule
        } else {
            AttemptReason::Requested
        };
        let head = self.attempt(request, upstream, model, reason);
        trace.candidates = self.candidates(&evaluation, &head);
        let (first, rest) = remember(request, memory, probes, &head, &mut trace.candidates);
        trace.decision = Decision::Forward(AttemptPlan {
            first,
            rest,
            rule: trace.first_rule.map(|rule| rule.reference.clone()),
            requested: request.model.clone(),
            head,
            is_sent: trace.is_sent,
            encrypted: self.encrypted,
            catalog: Arc::clone(&self.catalog),
        });
        trace
    }

    fn evaluation<'a>(
        &self,
        request: &'a PolicyRequest<'a>,
        memory: &'a dyn Memory,
    ) -> Evaluation<'a> {
        Evaluation {
            request,
            memory,
            list: self.index.shortlist(request),
        }
    }

    /// The first rule that is about the request, were `model` what it asks for.
    fn asked_rule(&self, evaluation: &Evaluation<'_>, model: &ModelId) -> Option<&Rule> {
        let mut rules = self
            .index
            .asked(&evaluation.list, model)
            .filter_map(|at| self.rules.get(at));
        rules.find(|rule| rule.is_about(evaluation.request, model))
    }

    /// The first rule that is about the model that would really be asked. Rewrites are passed over,
    /// so that one rewrite is all there ever is.
    fn final_rule(&self, evaluation: &Evaluation<'_>, model: &ModelId) -> Option<&Rule> {
        let mut rules = self
            .index
            .finals(&evaluation.list, model)
            .filter_map(|at| self.rules.get(at));
        rules.find(|rule| rule.is_about(evaluation.request, model))
    }

    /// Where the final model would go, or the rule that refuses it.
    pub(crate) fn final_target(
        &self,
        request: &PolicyRequest<'_>,
        model: &ModelId,
    ) -> Result<&Arc<Upstream>, SkipReason> {
        self.target(&self.evaluation(request, &NoMemory), model)
    }

    fn target(
        &self,
        evaluation: &Evaluation<'_>,
        model: &ModelId,
    ) -> Result<&Arc<Upstream>, SkipReason> {
        let rule = self.final_rule(evaluation, model);
        let target = match rule.map(|rule| &rule.action) {
            Some(Action::Reject(_)) => None,
            Some(Action::Send(name)) => {
                return self.upstream(name.as_str()).ok_or(SkipReason::Unrouted);
            }
            None | Some(Action::Allow | Action::Rewrite(_)) => {
                Some(self.route_upstream(evaluation.request.subject.route))
            }
        };
        match (target, rule) {
            (Some(target), _) => target.ok_or(SkipReason::Unrouted),
            (None, Some(rule)) => Err(SkipReason::Rejected(rule.reference.clone())),
            (None, None) => Err(SkipReason::Unrouted),
        }
    }

    fn attempt(
        &self,
        request: &PolicyRequest<'_>,
        upstream: &Arc<Upstream>,
        model: ModelId,
        reason: AttemptReason,
    ) -> Attempt {
        let entry = self.catalog.entry(&model);
        let responses_only = entry.is_some_and(ModelEntry::is_responses_only);
        let wire = upstream.choose_wire(request.client_wire, responses_only);
        Attempt {
            upstream: Arc::clone(upstream),
            model,
            reason,
            wire,
            is_probe: false,
        }
    }

    /// The models behind `head`, each with the reason why it is passed over, if it is.
    fn candidates(&self, evaluation: &Evaluation<'_>, head: &Attempt) -> Vec<Candidate> {
        let Some(chain) = self.chains.get(&head.model) else {
            return Vec::new();
        };
        let judge = |model: &ModelId| {
            let target = self.target(evaluation, model)?;
            // The caller's credential is meant for the route's own upstream; a hop hands it to
            // nobody else.
            let elsewhere = target.name != head.upstream.name;
            let home = self.route_upstream(evaluation.request.subject.route);
            if elsewhere
                && target.credential.is_callers()
                && home.is_none_or(|home| home.origin() != target.origin())
            {
                return Err(SkipReason::ForeignCredential(target.name.clone()));
            }
            Ok(self.attempt(
                evaluation.request,
                target,
                model.clone(),
                AttemptReason::Fallback,
            ))
        };
        chain
            .expanded
            .iter()
            .map(|model| Candidate {
                model: model.clone(),
                fate: judge(model),
            })
            .collect()
    }

    fn reject(
        &self,
        evaluation: &Evaluation<'_>,
        rule: Option<&Rule>,
        model: &ModelId,
        reason: &str,
    ) -> Decision {
        let route = evaluation.request.subject.route;
        let Some(rule) = rule else {
            return Decision::Unrouted(route);
        };
        Decision::Reject(Rejection {
            rule: rule.reference.clone(),
            reason: reason.to_owned(),
            model: model.clone(),
            route,
            allowed: self.allowed(evaluation, rule),
        })
    }

    /// Models that this request could name and get served: those the rule names first, then the
    /// catalogue's and the rules'.
    fn allowed(&self, evaluation: &Evaluation<'_>, rule: &Rule) -> Vec<ModelId> {
        let mut known: Vec<(Option<LifecycleStatus>, u32, &ModelId)> = self
            .catalog
            .entries()
            .iter()
            .filter(|entry| entry.usable_on(evaluation.request.subject.route) != Some(false))
            .filter(|entry| entry.picker.current() != Some(&Picker::Hide))
            .map(|entry| {
                let priority = entry.priority.current().copied().unwrap_or(u32::MAX);
                (entry.standing.current().copied(), priority, &entry.id)
            })
            .collect();
        known.sort_by_key(|(standing, priority, _)| (*standing, *priority));
        let own = self.named_by_rules();
        let mut allowed: Vec<ModelId> = Vec::new();
        let all = rule
            .instead
            .iter()
            .chain(&own)
            .chain(known.into_iter().map(|(_, _, model)| model));
        for model in all {
            if allowed.len() == MAX_ALLOWED {
                break;
            }
            if !allowed.contains(model) && self.serves(evaluation, model) {
                allowed.push(model.clone());
            }
        }
        allowed
    }

    /// Ids that the operator's rules let through, send or rewrite by name.
    pub(crate) fn named_by_rules(&self) -> Vec<ModelId> {
        self.rules
            .iter()
            .filter(|rule| {
                !rule.reference.is_built_in() && !matches!(rule.action, Action::Reject(_))
            })
            .flat_map(|rule| rule.models.iter().flatten())
            .filter(|pattern| pattern.is_exact())
            .filter_map(|pattern| ModelId::new(pattern.as_str()).ok())
            .collect()
    }

    /// Whether the rules would let this request through, were it for `model`, and nobody refused it
    /// lately.
    fn serves(&self, evaluation: &Evaluation<'_>, model: &ModelId) -> bool {
        let home = self.route_upstream(evaluation.request.subject.route);
        let (target, model) = match self.asked_rule(evaluation, model).map(|rule| &rule.action) {
            Some(Action::Reject(_)) => (None, model),
            Some(Action::Rewrite(to)) => (self.target(evaluation, to).ok(), to),
            Some(Action::Send(name)) => (self.upstream(name.as_str()), model),
            None | Some(Action::Allow) => (home, model),
        };
        target.is_some_and(|target| {
            evaluation.memory.refused(&target.name, model) != RefusalState::Refused
        })
    }
}

/// Applies what is known of the session and of refusals.
fn remember(
    request: &PolicyRequest<'_>,
    memory: &dyn Memory,
    probes: ProbeMode,
    head: &Attempt,
    candidates: &mut [Candidate],
) -> (Attempt, Vec<Attempt>) {
    let sticky = memory.sticky(&head.model);
    let stays = |attempt: &Attempt| {
        sticky.as_ref().is_some_and(|sticky| {
            attempt.model == sticky.model && attempt.upstream.name == sticky.upstream
        })
    };
    // A session stays where it is even if somebody else learned a refusal since.
    let place = candidates
        .iter()
        .position(|candidate| candidate.fate.as_ref().is_ok_and(&stays));
    if let Some(place) = place {
        let (before, rest) = candidates.split_at_mut(place + 1);
        let stuck = before
            .last()
            .and_then(|candidate| candidate.fate.as_ref().ok())
            .cloned();
        for candidate in before {
            candidate.fate = candidate.fate.clone().and(Err(SkipReason::SessionMovedOn));
        }
        if let Some(stuck) = stuck {
            let first = Attempt {
                reason: AttemptReason::Sticky,
                ..stuck
            };
            return (first, followers(request, memory, rest));
        }
    }
    if stays(head) || request.has_previous_response {
        return (head.clone(), followers(request, memory, candidates));
    }
    match memory.refused(&head.upstream.name, &head.model) {
        RefusalState::Unknown => return (head.clone(), followers(request, memory, candidates)),
        RefusalState::Probe if claims(memory, probes, head) => {
            let probe = Attempt {
                is_probe: true,
                ..head.clone()
            };
            return (probe, followers(request, memory, candidates));
        }
        RefusalState::Probe | RefusalState::Refused => {}
    }
    for place in 0..candidates.len() {
        let (before, rest) = candidates.split_at_mut(place + 1);
        let Some(candidate) = before.last_mut() else {
            break;
        };
        let Ok(attempt) = &candidate.fate else {
            continue;
        };
        let is_probe = match memory.refused(&attempt.upstream.name, &attempt.model) {
            RefusalState::Unknown => false,
            RefusalState::Probe if claims(memory, probes, attempt) => true,
            RefusalState::Probe | RefusalState::Refused => {
                candidate.fate = Err(SkipReason::Learned);
                continue;
            }
        };
        let first = Attempt {
            reason: AttemptReason::Learned,
            is_probe,
            ..attempt.clone()
        };
        return (first, followers(request, memory, rest));
    }
    // Everything is known to refuse: the upstream says so itself, and its answer is the true one.
    (head.clone(), Vec::new())
}

fn claims(memory: &dyn Memory, probes: ProbeMode, attempt: &Attempt) -> bool {
    probes == ProbeMode::Observe || memory.claim_probe(&attempt.upstream.name, &attempt.model)
}

/// The attempts that may follow, marking the candidates that may not.
fn followers(
    request: &PolicyRequest<'_>,
    memory: &dyn Memory,
    candidates: &mut [Candidate],
) -> Vec<Attempt> {
    let mut rest: Vec<Attempt> = Vec::new();
    for candidate in candidates {
        let Ok(attempt) = &mut candidate.fate else {
            continue;
        };
        let skip = if request.has_previous_response {
            SkipReason::PreviousResponse
        } else if rest.len() == MAX_HOPS {
            SkipReason::TooManyHops
        } else {
            match memory.refused(&attempt.upstream.name, &attempt.model) {
                RefusalState::Refused => SkipReason::Learned,
                RefusalState::Unknown | RefusalState::Probe => {
                    rest.push(attempt.clone());
                    continue;
                }
            }
        };
        candidate.fate = Err(skip);
    }
    rest
}
