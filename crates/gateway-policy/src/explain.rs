//! Why policy decides as it does, for people and scripts: the trace of the decision itself, in
//! words.

use std::sync::Arc;

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use serde::Serialize;

use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::{Adjustment, AttemptPlan, DecisionKind};
use crate::auth_route::AuthRoute;
use crate::catalog::{GeneralStatement, ModelEntry, SourceDocument, Sourced};
use crate::decision::{Decision, Rejection};
use crate::fallback::ChainOrigin;
use crate::memory::Memory;
use crate::model_id::ModelId;
use crate::policy::Policy;
use crate::policy::order::ProbeMode;
use crate::policy::trace::Candidate;
use crate::request::{PolicyRequest, RequestNeeds};
use crate::rule::{Rule, RuleOrigin, RuleRef};
use crate::upstream::UpstreamName;

/// A rule that had a say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRule {
    /// Which.
    #[serde(flatten)]
    pub rule: RuleRef,
    /// What it did, in words.
    pub did: String,
    /// Where it stands, such as `gateway.toml:12`; filled in by [`Explanation::locate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A fallback that would follow, or why it would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedFallback {
    /// The model.
    pub model: ModelId,
    /// Where it would be asked; absent when it would not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamName>,
    /// Why it is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Where a chain comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "origin")]
pub enum ExplainedChain {
    /// The configuration file.
    Operator {
        /// Byte range of the chain's key in that file.
        span: std::ops::Range<usize>,
        /// Where it stands; filled in by [`Explanation::locate`].
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// The catalogue.
    BuiltIn {
        /// The short name of the source.
        source: Arc<str>,
        /// When that source said so.
        date: Arc<str>,
    },
}

/// One statement of the catalogue that concerns the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedStatement {
    /// The model it is about.
    pub model: ModelId,
    /// What is said.
    pub text: String,
    /// The short name of the source.
    pub source: Arc<str>,
    /// What that source is.
    pub title: String,
    /// When it said so.
    pub date: Arc<str>,
    /// Whether a later statement says otherwise.
    pub is_superseded: bool,
}

/// The whole chain of a decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The route.
    pub route: AuthRoute,
    /// The endpoint the client uses.
    pub endpoint: WireApi,
    /// What the request is for.
    pub kind: RequestKind,
    /// The requested model.
    pub model_requested: ModelId,
    /// The decision's word; absent when the route has no upstream.
    pub decision: Option<DecisionKind>,
    /// The model that would be asked first.
    pub model_served: Option<ModelId>,
    /// Where it would be asked.
    pub upstream: Option<UpstreamName>,
    /// That upstream's base URL.
    pub base_url: Option<String>,
    /// The protocol spoken there.
    pub wire: Option<WireApi>,
    /// Why this model at this upstream.
    #[serde(rename = "because")]
    pub reason: Option<AttemptReason>,
    /// The rules that had a say, in order.
    pub rules: Vec<ExplainedRule>,
    /// The refusal, when there is one.
    pub rejection: Option<Rejection>,
    /// The text that the user would see, when there is a refusal.
    pub message: Option<String>,
    /// Where the chain of the decided model comes from.
    pub chain: Option<ExplainedChain>,
    /// What would follow on a refusal of the model.
    pub fallbacks: Vec<ExplainedFallback>,
    /// The dated statements behind it, the newest first.
    pub statements: Vec<ExplainedStatement>,
    /// Further remarks, in words.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Fills in where rules and chains stand, given what a byte range of the configuration is
    /// called.
    pub fn locate(&mut self, name: impl Fn(&std::ops::Range<usize>) -> String) {
        for rule in &mut self.rules {
            if let RuleOrigin::Operator { span } = &rule.rule.origin {
                rule.place = Some(name(span));
            }
        }
        if let Some(ExplainedChain::Operator { span, place }) = &mut self.chain {
            *place = Some(name(span));
        }
    }
}

impl Policy {
    /// Why a request would be decided as it would be. Takes no probe and changes nothing.
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
                "no fallback chain for `{}`: a refusal goes to the client as it is",
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
            format!("`{}` answers on the Responses API only", first.model)
        } else {
            format!(
                "upstream `{}` does not speak the {} API",
                first.upstream.name, request.client_wire
            )
        };
        explanation
            .notes
            .push(format!("the request is translated: {why}"));
    }

    fn add_statements(&self, explanation: &mut Explanation, request: &PolicyRequest<'_>) {
        let mut models = vec![explanation.model_requested.clone()];
        models.extend(
            explanation
                .model_served
                .clone()
                .filter(|served| *served != explanation.model_requested),
        );
        for model in &models {
            let Some(entry) = self.catalog().entry(model) else {
                // A refused request goes nowhere, and of an alias nobody else is to know.
                if explanation.model_served.as_ref() == Some(model) {
                    let note = if *model == explanation.model_requested {
                        "it goes upstream unchanged, and the upstream decides"
                    } else {
                        "the upstream decides"
                    };
                    explanation
                        .notes
                        .push(format!("the catalogue does not know `{model}`: {note}"));
                }
                continue;
            };
            let mut add = |text: String, statement: (&Arc<str>, &Arc<str>), is_superseded: bool| {
                let title = self
                    .catalog()
                    .source(statement.0)
                    .map(|source: &SourceDocument| source.title.clone());
                explanation.statements.push(ExplainedStatement {
                    model: entry.id.clone(),
                    text,
                    source: Arc::clone(statement.0),
                    title: title.unwrap_or_default(),
                    date: Arc::clone(statement.1),
                    is_superseded,
                });
            };
            for (text, source, date, is_superseded) in
                route_statements(entry, request.subject.route)
            {
                add(text, (source, date), is_superseded);
            }
        }
    }

    /// Statements about no model in particular, for `models` and the documentation.
    pub fn facts(&self) -> &[GeneralStatement] {
        self.catalog().facts()
    }
}

fn note_memory(explanation: &mut Explanation, head: &Attempt, first: &Attempt) {
    let (model, upstream) = (&head.model, &head.upstream.name);
    explanation.notes.extend(match first.reason {
        AttemptReason::Sticky => Some(format!("the session stays on `{}`, which served it before", first.model)),
        AttemptReason::Learned => Some(format!("upstream `{upstream}` refused `{model}` recently, so `{}` is asked first", first.model)),
        AttemptReason::Requested | AttemptReason::Rule | AttemptReason::Fallback if first.is_probe => {
            Some(format!("upstream `{upstream}` refused `{model}` some time ago; this request would find out whether it still does"))
        }
        AttemptReason::Requested | AttemptReason::Rule | AttemptReason::Fallback => None,
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
                "the effort {asked} becomes {effort}: `{}` does not take it",
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

/// What is said about using a model on a route, and about its standing.
fn route_statements(
    entry: &ModelEntry,
    route: AuthRoute,
) -> Vec<(String, &Arc<str>, &Arc<str>, bool)> {
    let mut found = Vec::new();
    let yes_no = |usable: &bool, what: &str| {
        if *usable {
            format!("available {what}")
        } else {
            format!("not available {what}")
        }
    };
    if let Some(said) = entry.routes.get(&route) {
        push(&mut found, said, |usable| {
            yes_no(usable, &format!("on the {route} route"))
        });
    }
    if matches!(route, AuthRoute::ApiKey | AuthRoute::GatewayKey) {
        push(&mut found, &entry.api, |usable| {
            yes_no(usable, "with an API key")
        });
    }
    if route == AuthRoute::Chatgpt {
        push(&mut found, &entry.plans, |plans| {
            format!(
                "claimed for the plans {}; the upstream decides",
                plans.join(", ")
            )
        });
    }
    push(&mut found, &entry.standing, |standing| {
        format!("standing: {}", standing.as_str())
    });
    push(&mut found, &entry.successor, |model| {
        format!("succeeded by {model}")
    });
    push(&mut found, &entry.floating, |_| {
        "a floating alias; pin a versioned id".to_owned()
    });
    push(&mut found, &entry.remarks, Clone::clone);
    found
}

fn push<'c, T: PartialEq>(
    found: &mut Vec<(String, &'c Arc<str>, &'c Arc<str>, bool)>,
    said: &'c Sourced<T>,
    words: impl Fn(&T) -> String,
) {
    for statement in said.statements() {
        let is_superseded = said.current() != Some(&statement.value);
        found.push((
            words(&statement.value),
            &statement.source,
            &statement.date,
            is_superseded,
        ));
    }
}
