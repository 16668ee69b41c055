//! Policy as an operator sees it: TOML in, decisions and problems out.

mod attempts;
mod chains;
mod documents;
mod memory;
mod problems;
mod properties;
mod rules;
mod suspicions;
mod views;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use serde::Deserialize;
use serde_spanned::Spanned;

use super::*;
use crate::attempt::{Attempt, AttemptReason};
use crate::attempt_plan::AttemptPlan;
use crate::decision::Decision;
use crate::memory::{Memory, NoMemory, RefusalState, Sticky};
use crate::request::{PolicyRequest, Subject};

/// The parts of a configuration file that are policy's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    upstreams: BTreeMap<Spanned<String>, UpstreamSpec>,
    #[serde(default)]
    routes: RoutesSpec,
    #[serde(default)]
    rules: Vec<Spanned<RuleSpec>>,
    #[serde(default)]
    fallback: FallbackSpec,
    #[serde(default)]
    error_patterns: Vec<Spanned<ErrorPatternSpec>>,
}

const MODELS: &str = include_str!("../../../../config/models.toml");

/// The upstreams that most tests use.
pub(super) const HOME: &str = r#"
[upstreams.chatgpt]
base_url = "https://chatgpt.com/backend-api/codex"
[upstreams.openai]
base_url = "https://api.openai.com/v1"
wire_api = ["responses", "chat"]
[upstreams.deepseek]
base_url = "https://api.deepseek.com/v1/"
wire_api = "chat"
credential = { env = "DEEPSEEK_API_KEY" }
[routes]
chatgpt = "chatgpt"
api_key = "openai"
gateway_key = "openai"
"#;

/// Read once: the properties compile hundreds of policies.
static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
    Arc::new(Catalog::read(MODELS).unwrap_or_else(|problems| panic!("{problems:?}")))
});

pub(super) fn catalog() -> Arc<Catalog> {
    Arc::clone(&CATALOG)
}

pub(super) fn compile(text: &str) -> (Option<Policy>, Vec<Problem>) {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    Policy::compile(&PolicyInput {
        upstreams: file.upstreams,
        routes: file.routes,
        rules: file.rules,
        fallback: file.fallback,
        patterns: file.error_patterns,
        catalog: catalog(),
        ..PolicyInput::default()
    })
}

/// Compiles `HOME` and more, which has to be free of errors.
pub(super) fn policy(text: &str) -> Policy {
    let (policy, problems) = compile(&format!("{HOME}{text}"));
    policy.unwrap_or_else(|| panic!("{problems:?}"))
}

pub(super) fn id(text: &str) -> ModelId {
    ModelId::new(text).unwrap()
}

/// Reads `route model [word=value …] [prev]`.
pub(super) fn with_request<R>(text: &str, run: impl FnOnce(&PolicyRequest<'_>) -> R) -> R {
    let mut words = text.split_whitespace();
    let route =
        AuthRoute::parse(words.next().unwrap()).unwrap_or_else(|| panic!("route in `{text}`"));
    let model = id(words.next().unwrap());
    let mut request = Subject::new(route).request(&model);
    for word in words {
        match word.split_once('=') {
            Some(("endpoint", value)) => request.client_wire = WireApi::parse(value).unwrap(),
            Some(("kind", value)) => request.kind = RequestKind::parse(value).unwrap(),
            Some(("effort", value)) => request.effort = Some(value),
            Some(("plan", value)) => request.subject.plan = Some(value),
            Some(("team", value)) => request.subject.team = Some(value),
            Some(("key", value)) => request.subject.key = Some(value),
            Some(("repo", value)) => request.repo = Some(value),
            Some(("client", value)) => request.subject.client = Some(value),
            None if word == "prev" => request.has_previous_response = true,
            Some(_) | None => panic!("`{word}` in `{text}`"),
        }
    }
    run(&request)
}

/// Writes a decision in one line: `kind model@upstream[/wire] [by rule] [then model …]`.
pub(super) fn told(decision: &Decision) -> String {
    match decision {
        Decision::Unrouted(route) => format!("unrouted {route}"),
        Decision::Reject(rejection) => {
            format!("rejected {} by {}", rejection.model, rejection.rule.name)
        }
        Decision::Forward(plan) => {
            let rule = plan
                .rule
                .as_ref()
                .map(|rule| format!(" by {}", rule.name))
                .unwrap_or_default();
            let mut text = format!(
                "{} {}{rule}",
                plan.decision(&plan.first),
                target(&plan.first)
            );
            for attempt in &plan.rest {
                let elsewhere = attempt.upstream.name != plan.first.upstream.name;
                let name = if elsewhere {
                    target(attempt)
                } else {
                    attempt.model.to_string()
                };
                text = format!("{text} then {name}");
            }
            text
        }
    }
}

fn target(attempt: &Attempt) -> String {
    // The wire is told where it is not the ordinary one.
    let wire = match attempt.wire {
        WireApi::Responses => "",
        WireApi::Chat => "/chat",
    };
    let probe = if attempt.is_probe { " (probe)" } else { "" };
    format!("{}@{}{wire}{probe}", attempt.model, attempt.upstream.name)
}

pub(super) fn decided(policy: &Policy, request: &str, memory: &dyn Memory) -> String {
    with_request(request, |request| told(&policy.decide(request, memory)))
}

pub(super) fn planned(policy: &Policy, request: &str, memory: &dyn Memory) -> AttemptPlan {
    with_request(request, |request| match policy.decide(request, memory) {
        Decision::Forward(plan) => plan,
        other @ (Decision::Reject(_) | Decision::Unrouted(_)) => panic!("{}", told(&other)),
    })
}

/// Runs a table of requests and their decisions against one configuration.
pub(super) fn check(config: &str, rows: &[(&str, &str)]) {
    let policy = policy(config);
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(request, expected)| {
            let found = decided(&policy, request, &NoMemory);
            (found != *expected)
                .then(|| format!("{request}\n  found    {found}\n  expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A memory written down by hand.
#[derive(Default)]
pub(super) struct Told {
    pub(super) sticky: Option<(&'static str, &'static str)>,
    pub(super) refused: HashMap<(&'static str, &'static str), RefusalState>,
    /// Probes that were taken, so that a second request finds none.
    pub(super) claimed: RefCell<Vec<String>>,
}

impl Told {
    pub(super) fn refused(pairs: &[(&'static str, &'static str, RefusalState)]) -> Self {
        let refused = pairs
            .iter()
            .map(|(upstream, model, refusal)| ((*upstream, *model), *refusal));
        Self {
            refused: refused.collect(),
            ..Self::default()
        }
    }
}

impl Memory for Told {
    fn sticky(&self, _head: &ModelId) -> Option<Sticky> {
        let (upstream, model) = self.sticky?;
        Some(Sticky {
            model: id(model),
            upstream: UpstreamName::new(upstream),
            reason: AttemptReason::Fallback,
        })
    }

    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState {
        let known = self.refused.get(&(upstream.as_str(), model.folded()));
        known.copied().unwrap_or(RefusalState::Unknown)
    }

    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool {
        let pair = format!("{upstream} {}", model.folded());
        let is_free = !self.claimed.borrow().contains(&pair);
        self.claimed.borrow_mut().push(pair);
        is_free
    }
}
