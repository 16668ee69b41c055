//! Suspicions: configurations that compile and probably mean something else. Only warns; errors are
//! found while compiling.

use std::ops::Range;
use std::sync::Arc;

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;

use super::trace::SkipReason;
use super::{Policy, PolicyInput};
use crate::auth_route::AuthRoute;
use crate::catalog::ModelEntry;
use crate::fallback::ChainOrigin;
use crate::model_id::{ModelId, ModelPattern};
use crate::problem::{Problem, did_you_mean};
use crate::request::{PolicyRequest, Subject};
use crate::rule::{Action, Rule, RuleOrigin};

impl Policy {
    /// Adds what looks wrong in the operator's part. Built-in rules and chains are tested with the
    /// data file itself.
    pub(super) fn lint(&self, input: &PolicyInput, problems: &mut Vec<Problem>) {
        for (at, rule) in self.rules.iter().enumerate() {
            let RuleOrigin::Operator { span } = &rule.reference.origin else {
                continue;
            };
            let before = self.rules.get(..at).unwrap_or_default();
            lint_reach(rule, span, before, problems);
            self.lint_unrouted(rule, span, problems);
            lint_compaction(rule, span, problems);
            self.lint_credential(rule, problems);
            if let Action::Rewrite(to) = &rule.action {
                self.lint_rewrite(rule, to, input, problems);
            }
        }
        self.lint_chains(input, problems);
    }

    fn lint_unrouted(&self, rule: &Rule, span: &Range<usize>, problems: &mut Vec<Problem>) {
        let mut routes = AuthRoute::ALL
            .into_iter()
            .filter(|route| rule.routes.has(*route as usize));
        let acts_without_route = matches!(
            rule.action,
            Action::Send(_) | Action::Reject(_) | Action::Rewrite(_)
        );
        if !acts_without_route && routes.all(|route| self.route_upstream(route).is_none()) {
            problems.push(Problem::warning(
                span.clone(),
                format!(
                    "rule `{}` allows what no route serves: its routes have no upstream",
                    rule.reference.name
                ),
            ));
        }
    }

    /// A ChatGPT sign-in is meant for one party; a rule that hands it to another is hardly ever
    /// meant.
    fn lint_credential(&self, rule: &Rule, problems: &mut Vec<Problem>) {
        let Action::Send(name) = &rule.action else {
            return;
        };
        let Some(target) = self
            .upstream(name.as_str())
            .filter(|target| target.credential.is_callers())
        else {
            return;
        };
        for route in AuthRoute::ALL
            .into_iter()
            .filter(|route| rule.routes.has(*route as usize))
        {
            let Some(home) = self.route_upstream(route) else {
                continue;
            };
            if home.credential.is_callers() && home.origin() != target.origin() {
                problems.push(
                    Problem::warning(
                        rule.action_span.clone(),
                        format!(
                            "rule `{}` hands the callers' {route} credentials, meant for {}, to {}",
                            rule.reference.name,
                            home.origin(),
                            target.origin()
                        ),
                    )
                    .with_hint(format!("give upstream `{name}` a `credential` of its own, or name the routes in `when`")),
                );
                return;
            }
        }
    }

    fn lint_rewrite(
        &self,
        rule: &Rule,
        to: &ModelId,
        input: &PolicyInput,
        problems: &mut Vec<Problem>,
    ) {
        let name = &rule.reference.name;
        if !self.is_known(to, input) {
            problems.push(
                Problem::warning(
                    rule.action_span.clone(),
                    format!("no catalogue or rule knows `{to}`"),
                )
                .with_hint(self.similar(to)),
            );
        }
        let sources = rule
            .models
            .iter()
            .flatten()
            .flat_map(|pattern| self.catalog.covered(pattern));
        let target_is_lite = self.is_lite(to);
        let mixed = sources
            .into_iter()
            .find(|entry| target_is_lite.is_some_and(|target| target != entry.is_lite()));
        if let Some(entry) = mixed {
            problems.push(Problem::warning(
                rule.action_span.clone(),
                format!(
                    "rule `{name}` mixes request shapes: {}",
                    shapes(&entry.id, to, !entry.is_lite())
                ),
            ));
        }
        if let Some((route, by)) = self.rejected_afterwards(rule, to) {
            problems.push(
                Problem::warning(
                    rule.action_span.clone(),
                    format!("rule `{name}` rewrites to `{to}`, which rule `{by}` rejects on the {route} route"),
                )
                .with_hint("put a rule that allows it before that one, or limit the routes of the rewrite".to_owned()),
            );
        }
    }

    /// The first route on which what the rule makes of a request is rejected.
    fn rejected_afterwards(&self, rule: &Rule, to: &ModelId) -> Option<(AuthRoute, Arc<str>)> {
        let first = |texts: &'_ Option<Vec<String>>| {
            texts.as_ref().and_then(|texts| texts.first().cloned())
        };
        let (effort, plan, team, key) = (
            first(&rule.efforts),
            first(&rule.plans),
            first(&rule.teams),
            first(&rule.keys),
        );
        let client = rule
            .clients
            .as_ref()
            .and_then(|clients| clients.first())
            .map(ModelPattern::as_str);
        let client_wire = WireApi::ALL
            .into_iter()
            .find(|wire| rule.endpoints.has(*wire as usize))?;
        let kind = RequestKind::ALL
            .into_iter()
            .find(|kind| rule.kinds.has(*kind as usize))?;
        AuthRoute::ALL
            .into_iter()
            .filter(|route| rule.routes.has(*route as usize))
            .find_map(|route| {
                let subject = Subject {
                    plan: plan.as_deref(),
                    team: team.as_deref(),
                    key: key.as_deref(),
                    client,
                    ..Subject::new(route)
                };
                let request = PolicyRequest {
                    client_wire,
                    kind,
                    effort: effort.as_deref(),
                    ..subject.request(to)
                };
                match self.final_target(&request, to) {
                    Err(SkipReason::Rejected(by)) => Some((route, by.name)),
                    Ok(_) | Err(_) => None,
                }
            })
    }

    fn lint_chains(&self, input: &PolicyInput, problems: &mut Vec<Problem>) {
        for (model, targets) in &input.fallback {
            let Ok(source) = ModelId::new(model.get_ref()) else {
                continue;
            };
            if !self.is_known(&source, input) {
                problems.push(
                    Problem::warning(
                        model.span(),
                        format!("no catalogue or rule knows `{source}`"),
                    )
                    .with_hint(self.similar(&source)),
                );
            }
            let source_is_lite = self.is_lite(&source);
            for target in targets {
                let Ok(id) = ModelId::new(target.get_ref()) else {
                    continue;
                };
                if !self.is_known(&id, input) {
                    problems.push(
                        Problem::warning(
                            target.span(),
                            format!("no catalogue or rule knows `{id}`"),
                        )
                        .with_hint(self.similar(&id)),
                    );
                }
                if let (Some(from), Some(to)) = (source_is_lite, self.is_lite(&id))
                    && from != to
                {
                    problems.push(Problem::warning(
                        target.span(),
                        format!(
                            "this chain mixes request shapes: {}",
                            shapes(&source, &id, to)
                        ),
                    ));
                }
            }
            self.lint_continuation(&source, problems);
        }
    }

    /// A chain goes on with that of its last model; its shape may change there as well.
    fn lint_continuation(&self, source: &ModelId, problems: &mut Vec<Problem>) {
        let Some(chain) = self.chains.get(source) else {
            return;
        };
        let ChainOrigin::Operator(span) = &chain.origin else {
            return;
        };
        let Some(from) = self.is_lite(source) else {
            return;
        };
        let differs = |model: &&ModelId| self.is_lite(model).is_some_and(|to| to != from);
        // What the list itself mixes was told before.
        if chain.then.iter().any(|model| differs(&model)) {
            return;
        }
        let added = chain
            .expanded
            .iter()
            .filter(|model| !chain.then.contains(model));
        if let Some(other) = added.into_iter().find(differs) {
            problems.push(Problem::warning(
                span.clone(),
                format!(
                    "this chain goes on with that of its last model and then mixes request shapes: {}",
                    shapes(source, other, !from)
                ),
            ));
        }
    }

    /// Whether a model of the catalogue is asked as Responses-Lite; nobody can say of others.
    fn is_lite(&self, model: &ModelId) -> Option<bool> {
        self.catalog.entry(model).map(ModelEntry::is_lite)
    }

    fn is_known(&self, model: &ModelId, input: &PolicyInput) -> bool {
        let by_rule = |rule: &Rule| {
            rule.models
                .iter()
                .flatten()
                .any(|pattern| !pattern.is_any() && pattern.matches(model))
        };
        self.catalog.entry(model).is_some()
            || input.known_models.contains(model)
            || self.rules.iter().any(by_rule)
    }

    fn similar(&self, model: &ModelId) -> Option<String> {
        did_you_mean(
            model.as_str(),
            self.catalog.entries().iter().map(|entry| entry.id.as_str()),
        )
    }
}

fn shapes(from: &ModelId, to: &ModelId, target_is_lite: bool) -> String {
    let (lite, plain) = if target_is_lite {
        (to, from)
    } else {
        (from, to)
    };
    format!(
        "`{lite}` is asked as Responses-Lite, `{plain}` is not, and an upstream may refuse the other's shape"
    )
}

/// Whether anything gets as far as this rule.
fn lint_reach(rule: &Rule, span: &Range<usize>, before: &[Rule], problems: &mut Vec<Problem>) {
    let name = &rule.reference.name;
    if rule.has_empty_list() {
        problems.push(
            Problem::warning(
                span.clone(),
                format!("rule `{name}` can never match: a condition is an empty list"),
            )
            .with_hint("leave the condition out to match everything".to_owned()),
        );
    } else if let Some(earlier) = before.iter().find(|earlier| earlier.covers(rule)) {
        problems.push(
            Problem::warning(
                span.clone(),
                format!(
                    "rule `{name}` can never match: rule `{}` takes everything before it",
                    earlier.reference.name
                ),
            )
            .with_hint("the first match wins; put the narrower rule first".to_owned()),
        );
    } else if rule.plans.is_some() && !rule.routes.has(AuthRoute::Chatgpt as usize) {
        problems.push(
            Problem::warning(
                span.clone(),
                format!("rule `{name}` can never match: only ChatGPT sign-ins claim a plan"),
            )
            .with_hint("add `route = \"chatgpt\"`, or take `plan` out".to_owned()),
        );
    }
}

/// A compaction is read by the model that wrote it.
fn lint_compaction(rule: &Rule, span: &Range<usize>, problems: &mut Vec<Problem>) {
    let moves = matches!(rule.action, Action::Rewrite(_) | Action::Send(_));
    let turn = rule.kinds.has(RequestKind::Turn as usize);
    let compaction = rule.kinds.has(RequestKind::Compaction as usize);
    if !moves || turn == compaction {
        return;
    }
    let name = &rule.reference.name;
    let (what, hint) = if compaction {
        (
            "moves compaction off its session's model",
            "leave `compaction` out of `kind`",
        )
    } else {
        (
            "moves turns but not their compaction, which then runs on another model",
            "add \"compaction\" to `kind`",
        )
    };
    problems.push(
        Problem::warning(span.clone(), format!("rule `{name}` {what}")).with_hint(format!(
            "{hint}: a compacted history may be encrypted for the model that wrote it"
        )),
    );
}
