//! Suspicions about `[[rules]]`.

use std::ops::Range;
use std::sync::Arc;

use gateway_wire::codex::RequestKind;

use super::shapes;
use crate::auth_route::AuthRoute;
use crate::model_id::ModelId;
use crate::policy::{Policy, PolicyInput};
use crate::problem::Problem;
use crate::request::Attribute;
use crate::rule::{Action, Rule, RuleOrigin};

impl Policy {
    /// Adds what looks wrong in the operator's rules.
    pub(super) fn lint_rules(&self, input: &PolicyInput, problems: &mut Vec<Problem>) {
        for (at, rule) in self.rules.iter().enumerate() {
            let RuleOrigin::Operator { span } = &rule.reference.origin else {
                continue;
            };
            let before = self.rules.get(..at).unwrap_or_default();
            let place = RulePlace { rule, span };
            problems.extend(place.unreachable(before));
            problems.extend(self.unrouted(place));
            problems.extend(place.splits_compaction());
            problems.extend(self.hands_credentials_over(place));
            if let Action::Rewrite(to) = &rule.action {
                self.lint_rewrite(rule, to, input, problems);
            }
        }
    }

    fn unrouted(&self, RulePlace { rule, span }: RulePlace<'_>) -> Option<Problem> {
        let is_served = routes(rule).any(|route| self.route_upstream(route).is_some());
        (rule.action == Action::Allow && !is_served).then(|| {
            Problem::warning(
                span.clone(),
                format!(
                    "rule `{}` allows requests that no route serves: its routes have no upstream",
                    rule.reference.name
                ),
            )
        })
    }

    /// A ChatGPT sign-in is meant for one party; a rule that hands it to another is hardly ever
    /// intended.
    fn hands_credentials_over(&self, RulePlace { rule, .. }: RulePlace<'_>) -> Option<Problem> {
        let Action::Send(name) = &rule.action else {
            return None;
        };
        let target = self
            .upstream(name.as_str())
            .filter(|target| target.credential.is_callers())?;
        let (route, home) = routes(rule).find_map(|route| {
            let home = self.route_upstream(route)?;
            let is_foreign = home.credential.is_callers() && home.origin() != target.origin();
            is_foreign.then_some((route, home))
        })?;
        let problem = Problem::warning(
            rule.action_span.clone(),
            format!(
                "rule `{}` sends the callers' {route} credentials, meant for {}, to {}",
                rule.reference.name,
                home.origin(),
                target.origin()
            ),
        );
        Some(problem.with_hint(format!(
            "give upstream `{name}` its own `credential`, or restrict `route` in `when`"
        )))
    }

    fn lint_rewrite(
        &self,
        rule: &Rule,
        to: &ModelId,
        input: &PolicyInput,
        problems: &mut Vec<Problem>,
    ) {
        let name = &rule.reference.name;
        let span = || rule.action_span.clone();
        if !self.is_known(to, input) {
            problems.push(self.unknown_model(to, span()));
        }
        let patterns = rule.conditions.models().unwrap_or_default();
        let mut sources = patterns
            .iter()
            .flat_map(|pattern| self.catalog.covered(pattern));
        let target_is_lite = self.is_lite(to);
        let mixed =
            sources.find(|entry| target_is_lite.is_some_and(|target| target != entry.is_lite()));
        if let Some(entry) = mixed {
            problems.push(Problem::warning(
                span(),
                format!(
                    "rule `{name}` mixes request formats: {}",
                    shapes(&entry.id, to, !entry.is_lite())
                ),
            ));
        }
        if let Some((route, by)) = self.rejected_afterwards(rule, to) {
            let message = format!(
                "rule `{name}` rewrites to `{to}`, which rule `{by}` rejects on the {route} route"
            );
            problems.push(
                Problem::warning(span(), message).with_hint(
                    "put a rule that allows it before that one, or restrict the routes of the \
                     rewrite"
                        .to_owned(),
                ),
            );
        }
    }

    /// The first route on which what the rule makes of a request is rejected, and by which rule;
    /// tried with one request that the rule matches.
    fn rejected_afterwards(&self, rule: &Rule, to: &ModelId) -> Option<(AuthRoute, Arc<str>)> {
        routes(rule).find_map(|route| {
            let example = |attribute| {
                if attribute == Attribute::Route {
                    Some(route.as_str())
                } else {
                    rule.conditions.example(attribute)
                }
            };
            let mut others = self.rules.iter().filter(|other| !other.is_rewrite());
            let deciding = others.find(|other| {
                other.conditions.matches_model(to)
                    && other.conditions.matches_but_for_model(example)
            })?;
            matches!(deciding.action, Action::Reject(_))
                .then(|| (route, Arc::clone(&deciding.reference.name)))
        })
    }
}

/// The routes of the requests that a rule can match.
fn routes(rule: &Rule) -> impl Iterator<Item = AuthRoute> {
    AuthRoute::ALL
        .into_iter()
        .filter(|route| rule.conditions.allows(Attribute::Route, route.as_str()))
}

/// A rule of the operator's and where it is written.
#[derive(Clone, Copy)]
struct RulePlace<'a> {
    rule: &'a Rule,
    span: &'a Range<usize>,
}

impl RulePlace<'_> {
    fn warning(self, message: &str, hint: impl Into<Option<String>>) -> Problem {
        let message = format!("rule `{}` {message}", self.rule.reference.name);
        Problem::warning(self.span.clone(), message).with_hint(hint)
    }

    /// Why nothing gets as far as this rule, if nothing does.
    fn unreachable(self, before: &[Rule]) -> Option<Problem> {
        let conditions = &self.rule.conditions;
        if conditions.has_empty_list() {
            let hint = "omit the condition to match everything".to_owned();
            return Some(self.warning("can never match: a condition is an empty list", hint));
        }
        let earlier = before.iter().find(|it| it.conditions.covers(conditions));
        if let Some(earlier) = earlier {
            let message = format!(
                "can never match: rule `{}` matches everything before it",
                earlier.reference.name
            );
            let hint = "the first match wins; put the narrower rule first".to_owned();
            return Some(self.warning(&message, hint));
        }
        let needs_plan = conditions.attributes().any(|it| it == Attribute::Plan);
        if needs_plan && !conditions.allows(Attribute::Route, AuthRoute::Chatgpt.as_str()) {
            let hint = "add `route = \"chatgpt\"`, or remove `plan`".to_owned();
            let message = "can never match: only ChatGPT sign-ins claim a plan";
            return Some(self.warning(message, hint));
        }
        None
    }

    /// A compaction is read by the model that wrote it.
    fn splits_compaction(self) -> Option<Problem> {
        let moves = matches!(self.rule.action, Action::Rewrite(_) | Action::Send(_));
        let allows = |kind: RequestKind| {
            let conditions = &self.rule.conditions;
            conditions.allows(Attribute::Kind, kind.as_str())
        };
        let has_compaction = allows(RequestKind::Compaction);
        if !moves || allows(RequestKind::Turn) == has_compaction {
            return None;
        }
        let (what, hint) = if has_compaction {
            (
                "changes the model for compaction but not for the turns of the session",
                "remove `compaction` from `kind`",
            )
        } else {
            (
                "changes the model for turns but not for their compaction, which then runs on \
                 another model",
                "add \"compaction\" to `kind`",
            )
        };
        Some(self.warning(
            what,
            format!("{hint}: a compacted history may be encrypted for the model that wrote it"),
        ))
    }
}
