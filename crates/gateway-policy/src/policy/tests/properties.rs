//! What holds for every configuration and every request.

use std::collections::HashSet;
use std::fmt::Write;

use gateway_wire::Failure;
use proptest::prelude::*;

use super::*;
use crate::attempt_plan::{MAX_HOPS, NextStep};
use crate::model_pattern::ModelPattern;
use crate::request::RequestNeeds;

const MODELS: [&str; 8] = [
    "gpt-5.5",
    "gpt-5.4",
    "gpt-5.3-codex-spark",
    "gpt-6-sol",
    "a",
    "b",
    "c",
    "d",
];
const ROUTES: [&str; 4] = ["chatgpt", "api_key", "gateway_key", "anonymous"];

fn model() -> impl Strategy<Value = &'static str> {
    prop::sample::select(MODELS.to_vec())
}

fn action() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"allow\"".to_owned()),
        Just("{ reject = \"no\" }".to_owned()),
        Just("{ send = \"deepseek\" }".to_owned()),
        model().prop_map(|model| format!("{{ rewrite = \"{model}\" }}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let route = prop::option::of(prop::sample::select(ROUTES.to_vec()));
    let pattern = prop_oneof![
        model().prop_map(str::to_owned),
        Just("gpt-*".to_owned()),
        Just("?".to_owned())
    ];
    (route, prop::option::of(pattern)).prop_map(|(route, model)| {
        let route = route.map(|route| format!("route = \"{route}\""));
        let model = model.map(|model| format!("model = \"{model}\""));
        [route, model]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    })
}

/// Chains only point from earlier to later models of a shuffled list, so there is no loop.
fn chains() -> impl Strategy<Value = String> {
    let order = Just(MODELS.to_vec()).prop_shuffle();
    (
        order,
        prop::collection::vec(prop::collection::vec(1usize..8, 0..5), 8),
    )
        .prop_map(|(order, lists)| {
            let mut text = "[fallback]\n".to_owned();
            for (at, steps) in lists.iter().enumerate() {
                let mut targets: Vec<&str> = steps
                    .iter()
                    .filter_map(|step| order.get(at + step))
                    .copied()
                    .collect();
                targets.dedup();
                let targets: Vec<String> = targets
                    .iter()
                    .map(|target| format!("\"{target}\""))
                    .collect();
                writeln!(text, "\"{}\" = [{}]", order[at], targets.join(", ")).unwrap();
            }
            text
        })
}

fn config() -> impl Strategy<Value = String> {
    (
        prop::collection::vec((condition(), action()), 0..6),
        chains(),
    )
        .prop_map(|(rules, chains)| {
            let rules: Vec<String> = rules
                .iter()
                .enumerate()
                .map(|(at, (when, then))| {
                    format!("[[rules]]\nname = \"rule {at}\"\nwhen = {{ {when} }}\nthen = {then}\n")
                })
                .collect();
            format!("{HOME}{}{chains}", rules.join(""))
        })
}

/// A memory that says something different about every pair, but always the same.
struct Random {
    seed: u64,
}

impl Random {
    fn draw(&self, text: &str, of: u64) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.seed, text).hash(&mut hasher);
        hasher.finish() % of
    }
}

impl Memory for Random {
    fn sticky(&self, head: &ModelId) -> Option<Sticky> {
        let at = usize::try_from(self.draw(head.folded(), 16)).unwrap();
        MODELS.get(at).map(|model| Sticky {
            model: id(model),
            upstream: UpstreamName::new(["chatgpt", "openai", "deepseek"][at % 3]),
            reason: AttemptReason::Fallback,
        })
    }

    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState {
        match self.draw(&format!("{upstream} {}", model.folded()), 4) {
            0 => RefusalState::Refused,
            1 => RefusalState::Probe,
            _ => RefusalState::Unknown,
        }
    }

    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool {
        self.draw(&format!("claim {upstream} {}", model.folded()), 2) == 0
    }
}

/// A question claims no probe, so it agrees with a request whose every claim succeeds.
struct AlwaysClaims(Random);

impl Memory for AlwaysClaims {
    fn sticky(&self, head: &ModelId) -> Option<Sticky> {
        self.0.sticky(head)
    }

    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> RefusalState {
        self.0.refused(upstream, model)
    }

    fn claim_probe(&self, _: &UpstreamName, _: &ModelId) -> bool {
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn plans_end_and_try_each_model_once(
        text in config(),
        route in prop::sample::select(ROUTES.to_vec()),
        asked in model(),
        seed: u64,
        previous: bool,
        approx_tokens in prop::sample::select(vec![0u64, 300_000, 2_000_000]),
        images: bool,
        lite: bool,
    ) {
        let (policy, problems) = compile(&text);
        let policy = policy.unwrap_or_else(|| panic!("{text}\n{problems:?}"));
        let asked = id(asked);
        let mut request = Subject::new(AuthRoute::parse(route).unwrap()).request(&asked);
        request.has_previous_response = previous;
        let memory = Random { seed };
        let Decision::Forward(plan) = policy.decide(&request, &memory) else { return Ok(()) };

        // At most three hops, each model once.
        prop_assert!(plan.rest.len() <= MAX_HOPS);
        let mut models: HashSet<String> = HashSet::new();
        for attempt in std::iter::once(&plan.first).chain(&plan.rest) {
            prop_assert!(models.insert(attempt.model.folded().to_owned()), "{:?}", told(&Decision::Forward(plan.clone())));
            // What is tried was never rejected: the rules judged the final model.
            prop_assert!(
                attempt.is_same_target(&plan.head) || policy.final_target(&request, &attempt.model).is_ok()
            );
        }
        prop_assert!(!previous || plan.rest.is_empty());

        // Following refusals ends, and asks only what was planned.
        let needs = RequestNeeds { approx_tokens, images, lite, previous_response: previous, ..RequestNeeds::default() };
        let (mut tried, _) = plan.begin(&needs);
        let mut attempts = 1;
        let mut seen: HashSet<String> = HashSet::from([tried.model.folded().to_owned()]);
        while let NextStep::Attempt { attempt, .. } = plan.next(&tried, Failure::UnsupportedModel, &needs) {
            attempts += 1;
            prop_assert!(attempts <= MAX_HOPS + 1);
            prop_assert!(seen.insert(attempt.model.folded().to_owned()));
            tried = attempt;
        }
    }

    #[test]
    fn explain_agrees_with_decide(
        text in config(),
        route in prop::sample::select(ROUTES.to_vec()),
        asked in model(),
        seed: u64,
    ) {
        let (policy, problems) = compile(&text);
        let policy = policy.unwrap_or_else(|| panic!("{text}\n{problems:?}"));
        let asked = id(asked);
        let request = Subject::new(AuthRoute::parse(route).unwrap()).request(&asked);
        let memory = AlwaysClaims(Random { seed });
        let explanation = policy.explain(&request, &memory);
        match policy.decide(&request, &memory) {
            Decision::Forward(plan) => {
                prop_assert_eq!(explanation.decision, Some(plan.decision(&plan.first)));
                prop_assert_eq!(explanation.model_served.as_ref(), Some(&plan.first.model));
                prop_assert_eq!(explanation.upstream.as_ref(), Some(&plan.first.upstream.name));
                prop_assert_eq!(explanation.reason, Some(plan.first.reason));
                prop_assert_eq!(explanation.rules.first().map(|rule| &rule.rule), plan.rule.as_ref());
                let told: Vec<&ModelId> =
                    explanation.fallbacks.iter().filter(|line| line.skipped.is_none()).map(|line| &line.model).collect();
                let mut planned: Vec<&ModelId> = plan.rest.iter().map(|attempt| &attempt.model).collect();
                if plan.first.reason == AttemptReason::Learned {
                    planned.insert(0, &plan.first.model);
                }
                prop_assert_eq!(told, planned);
            }
            Decision::Reject(rejection) => prop_assert_eq!(explanation.rejection, Some(rejection)),
            Decision::Unrouted(_) => prop_assert_eq!(explanation.decision, None),
        }
    }

    #[test]
    fn every_allowed_model_works(text in config(), route in prop::sample::select(ROUTES.to_vec()), asked in model()) {
        let (policy, problems) = compile(&text);
        let policy = policy.unwrap_or_else(|| panic!("{text}\n{problems:?}"));
        let asked = id(asked);
        let request = Subject::new(AuthRoute::parse(route).unwrap()).request(&asked);
        if let Decision::Reject(rejection) = policy.decide(&request, &NoMemory) {
            for model in &rejection.allowed {
                let works = matches!(policy.decide(&PolicyRequest { model, ..request }, &NoMemory), Decision::Forward(_));
                prop_assert!(works, "{model}");
            }
        }
    }

    #[test]
    fn a_covered_rule_never_decides(first in condition(), second in condition(), route in prop::sample::select(ROUTES.to_vec()), asked in model()) {
        let text = format!(
            "{HOME}[[rules]]\nname = \"first\"\nwhen = {{ {first} }}\nthen = {{ reject = \"1\" }}\n[[rules]]\nname = \"second\"\nwhen = {{ {second} }}\nthen = {{ reject = \"2\" }}\n"
        );
        let (policy, problems) = compile(&text);
        let is_covered = problems.iter().any(|problem| problem.message.contains("rule `second` can never match"));
        let decision = decided(&policy.unwrap(), &format!("{route} {asked}"), &NoMemory);
        prop_assert!(!is_covered || !decision.ends_with("by second"), "{text} {decision}");
    }

    #[test]
    fn patterns_match_as_globs_do(pattern in "[ab*?]{0,6}", text in "[ab]{1,8}") {
        let slow = globset::GlobBuilder::new(&pattern).build().unwrap().compile_matcher();
        prop_assert_eq!(ModelPattern::new(&pattern).unwrap().matches(&id(&text)), slow.is_match(&text));
    }

    #[test]
    fn covering_is_sound(wide in "[ab*?]{0,4}", narrow in "[ab*?]{0,4}", text in "[ab]{1,6}") {
        let (wide, narrow) = (ModelPattern::new(&wide).unwrap(), ModelPattern::new(&narrow).unwrap());
        prop_assert!(!wide.covers(&narrow) || !narrow.matches(&id(&text)) || wide.matches(&id(&text)));
    }
}
