//! What a decision costs with two hundred rules. The goal is under two microseconds; run it with
//! `cargo bench -p gateway-policy`.

#![expect(
    clippy::panic,
    reason = "a benchmark whose set-up is wrong has to stop"
)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use divan::{Bencher, black_box};
use gateway_policy::{
    AuthRoute, Catalog, FallbackSpec, ModelId, NoMemory, Policy, PolicyInput, PolicyRequest,
    RoutesSpec, RuleSpec, Subject, UpstreamSpec,
};
use serde::Deserialize;
use serde_spanned::Spanned;

fn main() {
    divan::main();
}

#[derive(Deserialize)]
struct File {
    upstreams: BTreeMap<Spanned<String>, UpstreamSpec>,
    routes: RoutesSpec,
    rules: Vec<Spanned<RuleSpec>>,
    fallback: FallbackSpec,
}

/// Two hundred rules, none of which matches what is asked, so that each decision looks at all that
/// it must.
#[derive(Clone, Copy, Debug)]
enum Rules {
    /// Each names a model.
    Names,
    /// Each has a prefix such as `team-17-*`.
    Prefixes,
    /// Each has a glob that begins like the model asked for, so that all of it has to be compared:
    /// the worst that can be written.
    Globs,
    /// A third of each, with conditions on teams, kinds and clients.
    Mixed,
}

impl Rules {
    fn when(self, at: usize) -> String {
        match self {
            Self::Names => format!("model = \"house-{at}\""),
            Self::Prefixes => format!("model = \"team-{at}-*\""),
            Self::Globs => format!("model = \"gpt-*-{at}-*\""),
            Self::Mixed => match at % 3 {
                0 => format!("model = [\"house-{at}\", \"gpt-5.5\"], team = \"team-{at}\""),
                1 => format!("model = \"gpt-5*\", kind = \"review\", key = \"key-{at}\""),
                _ => format!("route = [\"api_key\", \"gateway_key\"], client = \"client-{at}*\""),
            },
        }
    }
}

fn policy(rules: Rules) -> Policy {
    let mut text = r#"
[upstreams.openai]
base_url = "https://api.openai.com/v1"
[routes]
api_key = "openai"
[fallback]
"gpt-5.5" = ["gpt-5.4", "gpt-5.3-codex", "gpt-5.2"]
"#
    .to_owned();
    for at in 0..200 {
        let when = rules.when(at);
        writeln!(text, "[[rules]]\nname = \"rule {at}\"\nwhen = {{ {when} }}\nthen = {{ rewrite = \"gpt-5.4\" }}")
            .unwrap_or_else(|error| panic!("{error}"));
    }
    let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let catalog = Catalog::read(include_str!("../../../config/models.toml"))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let (policy, problems) = Policy::compile(&PolicyInput {
        upstreams: file.upstreams,
        routes: file.routes,
        rules: file.rules,
        fallback: file.fallback,
        catalog: Arc::new(catalog),
        ..PolicyInput::default()
    });
    policy.unwrap_or_else(|| panic!("{problems:?}"))
}

/// With a chain of three, so that the rules are asked about four models.
#[divan::bench(args = [Rules::Names, Rules::Prefixes, Rules::Globs, Rules::Mixed])]
fn a_model_with_a_chain(bencher: Bencher<'_, '_>, rules: Rules) {
    decide(bencher, rules, "gpt-5.5");
}

#[divan::bench(args = [Rules::Names, Rules::Prefixes, Rules::Globs, Rules::Mixed])]
fn a_model_without_a_chain(bencher: Bencher<'_, '_>, rules: Rules) {
    decide(bencher, rules, "gpt-6.1-sol");
}

fn decide(bencher: Bencher<'_, '_>, rules: Rules, model: &str) {
    let policy = policy(rules);
    let model = ModelId::new(model).unwrap_or_else(|error| panic!("{error}"));
    let caller = Subject {
        team: Some("app"),
        key: Some("alice"),
        client: Some("codex_cli_rs"),
        ..Subject::new(AuthRoute::ApiKey)
    };
    let request = PolicyRequest {
        effort: Some("medium"),
        ..caller.request(&model)
    };
    bencher.bench_local(|| policy.decide(black_box(&request), &NoMemory));
}
