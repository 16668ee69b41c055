//! The compiled whole: upstreams, routes, rules, chains, catalogue. Compiling reports every problem
//! at once.

mod decide;
mod lint;
pub mod models;
pub(crate) mod order;
#[cfg(test)]
mod tests;
pub(crate) mod trace;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateway_wire::WireApi;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::attempt_plan::EncryptedReasoning;
use crate::auth_route::AuthRoute;
use crate::catalog::Catalog;
use crate::error_pattern::{self, ErrorPatternSpec};
use crate::fallback::{Chain, Chains, FallbackSpec};
use crate::model_id::ModelId;
use crate::problem::Problem;
use crate::request::Attribute;
use crate::rule::compile::Origin;
use crate::rule::{Rule, RuleSpec};
use crate::upstream::{Upstream, UpstreamName, UpstreamSpec, unknown_upstream};

/// `[routes]`: the upstream of each auth route.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutesSpec {
    /// ChatGPT sign-ins.
    pub chatgpt: Option<Spanned<String>>,
    /// API keys of the callers.
    pub api_key: Option<Spanned<String>>,
    /// Keys of this gateway.
    pub gateway_key: Option<Spanned<String>>,
    /// No credential.
    pub anonymous: Option<Spanned<String>>,
}

impl RoutesSpec {
    /// The upstream named for a route.
    pub fn get(&self, route: AuthRoute) -> Option<&Spanned<String>> {
        match route {
            AuthRoute::Chatgpt => self.chatgpt.as_ref(),
            AuthRoute::ApiKey => self.api_key.as_ref(),
            AuthRoute::GatewayKey => self.gateway_key.as_ref(),
            AuthRoute::Anonymous => self.anonymous.as_ref(),
        }
    }
}

/// What a policy is made of. Spans are byte ranges in the one file that all of it comes from.
#[derive(Debug, Clone, Default)]
pub struct PolicyInput {
    /// `[upstreams.*]`.
    pub upstreams: BTreeMap<Spanned<String>, UpstreamSpec>,
    /// `[routes]`.
    pub routes: RoutesSpec,
    /// `[[rules]]`.
    pub rules: Vec<Spanned<RuleSpec>>,
    /// `[fallback]`.
    pub fallback: FallbackSpec,
    /// `[[error_patterns]]`.
    pub patterns: Vec<Spanned<ErrorPatternSpec>>,
    /// What happens to encrypted reasoning that the next upstream cannot read.
    pub encrypted_reasoning: EncryptedReasoning,
    /// What is said about models.
    pub catalog: Arc<Catalog>,
    /// Ids known from elsewhere, such as the price table: a rewrite to one of them is not
    /// a misspelling.
    pub known_models: Vec<ModelId>,
}

/// A compiled configuration, which decides. Immutable: a new configuration makes a new policy.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_policy::{
///     AuthRoute, Catalog, Decision, ModelId, NoMemory, Policy, PolicyInput, RoutesSpec, RuleSpec,
///     Subject, UpstreamSpec,
/// };
/// use serde::Deserialize;
/// use serde_spanned::Spanned;
///
/// #[derive(Deserialize)]
/// struct File {
///     upstreams: std::collections::BTreeMap<Spanned<String>, UpstreamSpec>,
///     routes: RoutesSpec,
///     rules: Vec<Spanned<RuleSpec>>,
/// }
///
/// let file: File = toml::from_str(
///     r#"
///     routes = { api_key = "openai" }
///     upstreams.openai = { base_url = "https://api.openai.com/v1" }
///     rules = [{ name = "small", when = { model = "gpt-5.5" }, then = { rewrite = "gpt-5.4" } }]
///     "#,
/// )?;
/// let (policy, problems) = Policy::compile(&PolicyInput {
///     upstreams: file.upstreams,
///     routes: file.routes,
///     rules: file.rules,
///     catalog: Arc::new(Catalog::read(include_str!("../../../config/models.toml")).unwrap()),
///     ..PolicyInput::default()
/// });
/// assert!(problems.is_empty());
///
/// let model = ModelId::new("gpt-5.5")?;
/// let request = Subject::new(AuthRoute::ApiKey).request(&model);
/// match policy.unwrap().decide(&request, &NoMemory) {
///     Decision::Forward(plan) => assert_eq!(plan.first.model.as_str(), "gpt-5.4"),
///     Decision::Reject(_) | Decision::Unrouted(_) => unreachable!(),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
//////  Immutable: a new configuration makes a new policy.
#[derive(Debug, Clone)]
pub struct Policy {
    upstreams: BTreeMap<UpstreamName, Arc<Upstream>>,
    routes: [Option<Arc<Upstream>>; AuthRoute::ALL.len()],
    rules: Vec<Rule>,
    chains: Chains,
    catalog: Arc<Catalog>,
    encrypted: EncryptedReasoning,
    reads_whole_body: bool,
}

impl Policy {
    /// Checks and compiles everything. There is no policy when one of the problems is an error.
    pub fn compile(input: &PolicyInput) -> (Option<Self>, Vec<Problem>) {
        let mut problems = Vec::new();
        let upstreams = compile_upstreams(input, &mut problems);
        let routes = AuthRoute::ALL.map(|route| {
            let name = input.routes.get(route)?;
            let found = upstreams.get(name.get_ref().as_str());
            if found.is_none() {
                problems.push(unknown_upstream(name, upstreams.keys()));
            }
            found.cloned()
        });
        let rules = compile_rules(input, &upstreams, &mut problems);
        let chains = Chains::compile(&input.fallback, &input.catalog, &mut problems);
        let policy = Self {
            reads_whole_body: reads_whole_body(&rules),
            upstreams,
            routes,
            rules,
            chains,
            catalog: Arc::clone(&input.catalog),
            encrypted: input.encrypted_reasoning,
        };
        policy.lint(input, &mut problems);
        let is_sound = problems.iter().all(|problem| !problem.is_error());
        (is_sound.then_some(policy), problems)
    }

    /// An upstream by name.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.get(name)
    }

    /// All upstreams, by name.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }

    /// The upstream of a route.
    pub fn route_upstream(&self, route: AuthRoute) -> Option<&Arc<Upstream>> {
        self.routes.get(route as usize).and_then(Option::as_ref)
    }

    pub(crate) fn chain_of(&self, model: &ModelId) -> Option<&Chain> {
        self.chains.get(model)
    }

    /// The catalogue it decides by.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Whether the gateway itself compacts conversations for some upstream, because it does not
    /// speak the Responses API. Such conversations can come back with any request.
    pub fn has_own_compaction(&self) -> bool {
        self.upstreams()
            .any(|upstream| !upstream.speaks(WireApi::Responses))
    }

    /// Whether some rule looks at the reasoning effort, which comes after the input in a body.
    pub fn reads_whole_body(&self) -> bool {
        self.reads_whole_body
    }
}

fn compile_upstreams(
    input: &PolicyInput,
    problems: &mut Vec<Problem>,
) -> BTreeMap<UpstreamName, Arc<Upstream>> {
    let mut upstreams: BTreeMap<UpstreamName, Upstream> = BTreeMap::new();
    for (name, spec) in &input.upstreams {
        let upstream = spec.compile(name, problems);
        upstreams.insert(upstream.name.clone(), upstream);
    }
    for spec in &input.patterns {
        let Some(pattern) = error_pattern::compile(spec, problems) else {
            continue;
        };
        let Some(wanted) = &spec.get_ref().upstream else {
            for upstream in upstreams.values_mut() {
                upstream.patterns.push(pattern.clone());
            }
            continue;
        };
        for name in wanted.iter() {
            if let Some(upstream) = upstreams.get_mut(name.get_ref().as_str()) {
                upstream.patterns.push(pattern.clone());
            } else {
                problems.push(unknown_upstream(name, upstreams.keys()));
            }
        }
    }
    upstreams
        .into_iter()
        .map(|(name, upstream)| (name, Arc::new(upstream)))
        .collect()
}

fn reads_whole_body(rules: &[Rule]) -> bool {
    let mut attributes = rules.iter().flat_map(|rule| rule.conditions.attributes());
    attributes.any(Attribute::needs_whole_body)
}

fn compile_rules(
    input: &PolicyInput,
    upstreams: &BTreeMap<UpstreamName, Arc<Upstream>>,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for spec in &input.rules {
        rules.extend(
            spec.get_ref()
                .compile(Origin::Operator(spec.span()), upstreams, problems),
        );
    }
    for built_in in input.catalog.rules() {
        let origin = Origin::BuiltIn {
            source: Arc::clone(&built_in.source),
            date: Arc::clone(&built_in.date),
            instead: built_in.instead.clone(),
        };
        let known = problems.len();
        rules.extend(built_in.spec.compile(origin, upstreams, problems));
        // The spans belong to the catalogue's text, not to the configuration's.
        for problem in problems.iter_mut().skip(known) {
            problem.span = None;
            problem.message = format!(
                "rule `{}` of the catalogue: {}",
                built_in.spec.name.get_ref(),
                problem.message
            );
        }
    }
    check_names(input, problems);
    rules
}

fn check_names(input: &PolicyInput, problems: &mut Vec<Problem>) {
    let built_in = input
        .catalog
        .rules()
        .iter()
        .map(|rule| (rule.spec.name.get_ref().to_lowercase(), None));
    let mut seen: HashMap<String, Option<std::ops::Range<usize>>> = built_in.collect();
    for spec in &input.rules {
        let name = &spec.get_ref().name;
        let folded = name.get_ref().to_lowercase();
        let hint = match seen.get(&folded) {
            None => {
                seen.insert(folded, Some(name.span()));
                continue;
            }
            Some(None) => "a built-in rule has this name",
            Some(Some(_)) => {
                "names must be unique, so that messages, headers and metrics identify the rule \
                 that decided"
            }
        };
        problems.push(
            Problem::error(
                name.span(),
                format!("a second rule named `{}`", name.get_ref()),
            )
            .with_hint(hint.to_owned()),
        );
    }
}
