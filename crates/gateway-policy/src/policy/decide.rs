//! From a [`PolicyRequest`] to a [`Decision`]. `explain` reads the trace that every decision leaves.

use std::sync::Arc;

use super::Policy;
use super::order::{Order, ProbeMode};
use super::trace::{Candidate, DecisionTrace, SkipReason};
use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::AttemptPlan;
use crate::catalog::{LifecycleStatus, ModelEntry, Picker};
use crate::decision::{Decision, Rejection};
use crate::memory::{Memory, RefusalState};
use crate::model_id::ModelId;
use crate::request::PolicyRequest;
use crate::rule::{Action, Rule};
use crate::upstream::Upstream;

/// Most models that a rejection names.
const MAX_ALLOWED: usize = 6;

/// A request with the rules that match it, whatever its model turns out to be.
struct Evaluation<'r, 'p> {
    request: &'r PolicyRequest<'r>,
    memory: &'r dyn Memory,
    rules: Vec<&'p Rule>,
}

impl<'p> Evaluation<'_, 'p> {
    /// The first rule that matches, were `model` the requested one.
    fn first_rule(&self, model: &ModelId) -> Option<&'p Rule> {
        let mut rules = self.rules.iter().copied();
        rules.find(|rule| rule.conditions.matches_model(model))
    }

    /// The first rule that matches the model that would really be asked. Rewrites are skipped, so
    /// that a request is rewritten once at most.
    fn final_rule(&self, model: &ModelId) -> Option<&'p Rule> {
        let mut rules = self.rules.iter().copied();
        rules.find(|rule| !rule.is_rewrite() && rule.conditions.matches_model(model))
    }
}

/// Where a request goes by the rule that decides.
enum Destination<'p> {
    Upstream {
        upstream: &'p Arc<Upstream>,
        /// Whether the rule names the upstream.
        is_sent: bool,
    },
    Rejected {
        rule: &'p Rule,
        reason: &'p str,
    },
    /// No upstream is configured for the route.
    Unrouted,
}

impl Policy {
    /// What becomes of a request.
    ///
    /// The first rule that matches decides. After a rewrite, and for each fallback, the rules are
    /// asked again about the final model, without rewrites. Then memory: a session stays where it
    /// is; a model known to refuse is skipped when its chain offers another.
    pub fn decide(&self, request: &PolicyRequest<'_>, memory: &dyn Memory) -> Decision {
        self.trace(request, memory, ProbeMode::Claim).decision
    }

    pub(crate) fn trace(
        &self,
        request: &PolicyRequest<'_>,
        memory: &dyn Memory,
        probes: ProbeMode,
    ) -> DecisionTrace<'_> {
        let evaluation = self.evaluate(request, memory);
        let first_rule = evaluation.first_rule(request.model);
        let mut trace = DecisionTrace::new(first_rule, request.subject.route);
        let (model, deciding) = match first_rule.map(|rule| &rule.action) {
            Some(Action::Rewrite(to)) => {
                trace.second_rule = evaluation.final_rule(to);
                (to, trace.second_rule)
            }
            Some(_) | None => (request.model, first_rule),
        };
        let (upstream, is_sent) = match self.destination(deciding, request) {
            Destination::Upstream { upstream, is_sent } => (upstream, is_sent),
            Destination::Rejected { rule, reason } => {
                trace.decision = self.reject(&evaluation, rule, model, reason);
                return trace;
            }
            Destination::Unrouted => return trace,
        };
        let reason = match first_rule {
            Some(rule) if rule.action != Action::Allow => AttemptReason::Rule,
            Some(_) | None => AttemptReason::Requested,
        };
        let head = self.attempt(request, upstream, model, reason);
        trace.candidates = self.candidates(&evaluation, &head);
        let order = Order {
            memory,
            probes,
            has_previous_response: request.has_previous_response,
        };
        let (first, rest) = order.attempts(&head, &mut trace.candidates);
        trace.decision = Decision::Forward(AttemptPlan {
            first,
            rest,
            rule: first_rule.map(|rule| rule.reference.clone()),
            requested: request.model.clone(),
            head,
            is_sent,
            encrypted: self.encrypted,
            catalog: Arc::clone(&self.catalog),
        });
        trace
    }

    fn evaluate<'r>(
        &self,
        request: &'r PolicyRequest<'r>,
        memory: &'r dyn Memory,
    ) -> Evaluation<'r, '_> {
        let matching = self.rules.iter().filter(|rule| {
            rule.conditions
                .matches_but_for_model(|attribute| request.get(attribute))
        });
        let mut rules = Vec::with_capacity(self.rules.len());
        rules.extend(matching);
        Evaluation {
            request,
            memory,
            rules,
        }
    }

    /// Where the request goes when this rule, which does not rewrite it any more, decides.
    fn destination<'p>(
        &'p self,
        rule: Option<&'p Rule>,
        request: &PolicyRequest<'_>,
    ) -> Destination<'p> {
        let (upstream, is_sent) = match rule.map(|rule| (rule, &rule.action)) {
            Some((rule, Action::Reject(reason))) => {
                return Destination::Rejected { rule, reason };
            }
            Some((_, Action::Send(name))) => (self.upstream(name.as_str()), true),
            None | Some((_, Action::Allow | Action::Rewrite(_))) => {
                (self.route_upstream(request.subject.route), false)
            }
        };
        upstream.map_or(Destination::Unrouted, |upstream| Destination::Upstream {
            upstream,
            is_sent,
        })
    }

    /// Where the final model would go, or why it would not.
    fn target<'p>(
        &'p self,
        evaluation: &Evaluation<'_, 'p>,
        model: &ModelId,
    ) -> Result<&'p Arc<Upstream>, SkipReason> {
        match self.destination(evaluation.final_rule(model), evaluation.request) {
            Destination::Upstream { upstream, .. } => Ok(upstream),
            Destination::Rejected { rule, .. } => Err(SkipReason::Rejected(rule.reference.clone())),
            Destination::Unrouted => Err(SkipReason::Unrouted),
        }
    }

    fn attempt(
        &self,
        request: &PolicyRequest<'_>,
        upstream: &Arc<Upstream>,
        model: &ModelId,
        reason: AttemptReason,
    ) -> Attempt {
        let entry = self.catalog.entry(model);
        let responses_only = entry.is_some_and(ModelEntry::is_responses_only);
        Attempt {
            upstream: Arc::clone(upstream),
            model: model.clone(),
            reason,
            wire: upstream.choose_wire(request.client_wire, responses_only),
            is_probe: false,
        }
    }

    /// The models behind `head`, each with the reason why it is skipped, if it is.
    fn candidates(&self, evaluation: &Evaluation<'_, '_>, head: &Attempt) -> Vec<Candidate> {
        let Some(chain) = self.chains.get(&head.model) else {
            return Vec::new();
        };
        let judge = |model: &ModelId| {
            let target = self.target(evaluation, model)?;
            if self.is_foreign(evaluation.request, head, target) {
                return Err(SkipReason::ForeignCredential(target.name.clone()));
            }
            Ok(self.attempt(evaluation.request, target, model, AttemptReason::Fallback))
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

    /// Whether a hop to this upstream would carry the caller's credential to another party: it is
    /// meant for the upstream of the route alone.
    fn is_foreign(&self, request: &PolicyRequest<'_>, head: &Attempt, target: &Upstream) -> bool {
        let home = self.route_upstream(request.subject.route);
        target.name != head.upstream.name
            && target.credential.is_callers()
            && home.is_none_or(|home| home.origin() != target.origin())
    }

    fn reject(
        &self,
        evaluation: &Evaluation<'_, '_>,
        rule: &Rule,
        model: &ModelId,
        reason: &str,
    ) -> Decision {
        Decision::Reject(Rejection {
            rule: rule.reference.clone(),
            reason: reason.to_owned(),
            model: model.clone(),
            route: evaluation.request.subject.route,
            allowed: self.allowed(evaluation, rule),
        })
    }

    /// Models that this request could name and get served: those the rule names first, then the
    /// rules' and the catalogue's.
    fn allowed(&self, evaluation: &Evaluation<'_, '_>, rule: &Rule) -> Vec<ModelId> {
        let route = evaluation.request.subject.route;
        let mut known: Vec<(Option<LifecycleStatus>, u32, &ModelId)> = self
            .catalog
            .entries()
            .iter()
            .filter(|entry| entry.usable_on(route) != Some(false))
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
            .flat_map(|rule| rule.conditions.models().unwrap_or_default())
            .filter(|pattern| pattern.is_exact())
            .filter_map(|pattern| ModelId::new(pattern.as_str()).ok())
            .collect()
    }

    /// Whether the rules would let this request through, were it for `model`, and its
    /// upstream is not known to refuse it.
    fn serves(&self, evaluation: &Evaluation<'_, '_>, model: &ModelId) -> bool {
        let rule = evaluation.first_rule(model);
        let (model, rule) = match rule.map(|rule| &rule.action) {
            Some(Action::Rewrite(to)) => (to, evaluation.final_rule(to)),
            Some(_) | None => (model, rule),
        };
        match self.destination(rule, evaluation.request) {
            Destination::Upstream { upstream, .. } => {
                let known = evaluation.memory.refused(&upstream.name, model);
                known != RefusalState::Refused
            }
            Destination::Rejected { .. } | Destination::Unrouted => false,
        }
    }

    /// Where the final model of a request would go.
    #[cfg(test)]
    pub(crate) fn final_target(
        &self,
        request: &PolicyRequest<'_>,
        model: &ModelId,
    ) -> Result<&Arc<Upstream>, SkipReason> {
        self.target(&self.evaluate(request, &crate::memory::NoMemory), model)
    }
}
