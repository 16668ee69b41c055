//! Why policy decides as it does, for people and scripts: the trace of the decision itself, in
//! words.

mod explanation;
mod statements;

use std::sync::Arc;

use gateway_wire::WireApi;

use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::{Adjustment, AttemptPlan, DecisionKind};
use crate::catalog::ModelEntry;
use crate::decision::Decision;
use crate::fallback::ChainOrigin;
use crate::memory::Memory;
use crate::model_id::ModelId;
use crate::policy::Policy;
use crate::policy::order::ProbeMode;
use crate::policy::trace::Candidate;
use crate::request::{PolicyRequest, RequestNeeds};
use crate::rule::Rule;
use statements::statements;

pub use explanation::{
    ExplainedChain, ExplainedFallback, ExplainedRule, ExplainedStatement, Explanation,
};

impl Policy {
    /// Why a request would be decided as it would be. Claims no probe and changes nothing.
    pub fn explain(&self, request: &PolicyRequest<'_>, memory: &dyn Memory) -> Explanation {
        let trace = self.trace(request, memory, ProbeMode::Observe);
        let mut explanation = Explanation {
            route: request.subject.route,
            endpoint: request.client_wire,
            kind: request.kind,
            model_requested: request.model.clone(),
            decision: None,
            model_served: None,
            upstream: None,
            base_url: None,
            wire: None,
            reason: None,
            rules: [trace.first_rule, trace.second_rule]
                .into_iter()
                .flatten()
                .map(explained_rule)
                .collect(),
            rejection: None,
            message: None,
            chain: None,
            fallbacks: Vec::new(),
            statements: Vec::new(),
            notes: Vec::new(),
        };
        match &trace.decision {
            Decision::Unrouted(route) => explanation.notes.push(format!(
                "no upstream is configured for the {route} route; set `routes.{route}`"
            )),
            Decision::Reject(rejection) => {
                explanation.decision = Some(DecisionKind::Rejected);
                explanation.message = Some(rejection.message());
                explanation.rejection = Some(rejection.clone());
            }
            Decision::Forward(plan) => {
                explanation.decision = Some(plan.decision(&plan.first));
                explanation.model_served = Some(plan.first.model.clone());
                explanation.upstream = Some(plan.first.upstream.name.clone());
                explanation.base_url = Some(plan.first.upstream.base_url.clone());
                explanation.wire = Some(plan.first.wire);
                explanation.reason = Some(plan.first.reason);
                self.explain_fallbacks(&mut explanation, &plan.head, &trace.candidates);
                note_memory(&mut explanation, &plan.head, &plan.first);
                note_clamped(&mut explanation, request, plan);
                self.note_wire(&mut explanation, request, &plan.first);
            }
        }
        self.add_statements(&mut explanation, request);
        explanation
    }

    fn explain_fallbacks(
        &self,
        explanation: &mut Explanation,
        head: &Attempt,
        candidates: &[Candidate],
    ) {
        let Some(chain) = self.chain_of(&head.model) else {
            explanation.notes.push(format!(
                "no fallback chain for `{}`: a refusal is passed to the client unchanged",
                head.model
            ));
            return;
        };
        explanation.chain = Some(match &chain.origin {
            ChainOrigin::Operator(span) => ExplainedChain::Operator {
                span: span.clone(),
                place: None,
            },
            ChainOrigin::BuiltIn { source, date } => ExplainedChain::BuiltIn {
                source: Arc::clone(source),
                date: Arc::clone(date),
            },
        });
        explanation.fallbacks = candidates
            .iter()
            .map(|candidate| ExplainedFallback {
                model: candidate.model.clone(),
                upstream: candidate
                    .fate
                    .as_ref()
                    .ok()
                    .map(|attempt| attempt.upstream.name.clone()),
                skipped: candidate.fate.as_ref().err().map(ToString::to_string),
            })
            .collect();
    }

    fn add_statements(&self, explanation: &mut Explanation, request: &PolicyRequest<'_>) {
        let requested = explanation.model_requested.clone();
        let served = explanation.model_served.clone();
        let is_known = |model: &ModelId| self.catalog().entry(model).is_some();
        // A rejected request goes nowhere, so that nothing depends on its model.
        if let Some(served) = served.as_ref().filter(|served| !is_known(served)) {
            let note = if *served == requested {
                "it goes upstream unchanged, and the upstream decides"
            } else {
                "the upstream decides"
            };
            explanation
                .notes
                .push(format!("the catalogue does not know `{served}`: {note}"));
        }
        let other = served.filter(|served| *served != requested);
        explanation.statements = std::iter::once(requested)
            .chain(other)
            .filter_map(|model| self.catalog().entry(&model))
            .flat_map(|entry| statements(self.catalog(), entry, request.subject.route))
            .collect();
    }

    fn note_wire(
        &self,
        explanation: &mut Explanation,
        request: &PolicyRequest<'_>,
        first: &Attempt,
    ) {
        if first.wire == request.client_wire {
            return;
        }
        let entry = self.catalog().entry(&first.model);
        let why = if entry.is_some_and(ModelEntry::is_responses_only)
            && first.wire == WireApi::Responses
        {
            format!("`{}` is served only on the Responses API", first.model)
        } else {
            format!(
                "upstream `{}` does not support the {} API",
                first.upstream.name, request.client_wire
            )
        };
        explanation
            .notes
            .push(format!("the request is translated: {why}"));
    }
}

fn note_memory(explanation: &mut Explanation, head: &Attempt, first: &Attempt) {
    let (model, upstream) = (&head.model, &head.upstream.name);
    explanation.notes.extend(match first.reason {
        AttemptReason::Sticky => Some(format!(
            "the session stays on `{}`, which served it before",
            first.model
        )),
        AttemptReason::Learned => Some(format!(
            "upstream `{upstream}` refused `{model}` recently, so `{}` is asked first",
            first.model
        )),
        AttemptReason::Requested | AttemptReason::Rule | AttemptReason::Fallback => {
            first.is_probe.then(|| {
                format!(
                    "upstream `{upstream}` refused `{model}` some time ago; this request would \
                     check whether it still does"
                )
            })
        }
    });
}

/// What a model that the client did not ask for takes in place of the effort.
fn note_clamped(explanation: &mut Explanation, request: &PolicyRequest<'_>, plan: &AttemptPlan) {
    let needs = RequestNeeds {
        effort: request.effort,
        ..RequestNeeds::default()
    };
    for change in plan.adjustments(&plan.first, &needs) {
        if let (Adjustment::Effort(effort), Some(asked)) = (change, request.effort) {
            explanation.notes.push(format!(
                "the effort {asked} becomes {effort}: `{}` does not support it",
                plan.first.model
            ));
        }
    }
}

fn explained_rule(rule: &Rule) -> ExplainedRule {
    ExplainedRule {
        rule: rule.reference.clone(),
        did: rule.action.describe(),
        place: None,
    }
}
