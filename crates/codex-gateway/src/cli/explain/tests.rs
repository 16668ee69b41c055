//! What a person reads, as snapshots.

use gateway_policy::{AuthRoute, ModelId};

use super::*;
use crate::testing::{DAY, configured};

const RULES: &str = r#"# A comment, so that lines are counted.

[[rules]]
name = "small jobs go to mini"
when = { route = "api_key", model = "gpt-5.5", effort = ["minimal", "low"] }
then = { rewrite = "gpt-5.4-mini" }

[[rules]]
name = "no 5.2 here"
when = { model = "gpt-5.2" }
then = { reject = "retired by the platform team" }

[fallback]
"gpt-5.4-mini" = ["gpt-5.2", "gpt-5.4"]
"#;

fn asked(config: &str, route: &str, model: &str, effort: Option<&str>) -> Explained {
    let (settings, places) = configured(config);
    let query = ExplainQuery {
        effort: effort.map(str::to_owned),
        ..ExplainQuery::new(
            AuthRoute::parse(route).unwrap(),
            ModelId::new(model).unwrap(),
        )
    };
    explain(&settings, &places, &query, DAY)
}

#[test]
fn a_passed_model_shows_its_chain_price_and_sources() {
    insta::assert_snapshot!(text(&asked("", "chatgpt", "gpt-5.5", None)));
}

#[test]
fn a_rewrite_shows_rule_file_and_line_and_why_a_fallback_is_skipped() {
    insta::assert_snapshot!(text(&asked(RULES, "api_key", "gpt-5.5", Some("low"))));
}

#[test]
fn a_rejection_is_an_answer() {
    insta::assert_snapshot!(text(&asked("", "api_key", "gpt-5.3-codex-spark", None)));
}

#[test]
fn a_current_model_without_a_chain_is_told() {
    let answer = text(&asked("", "chatgpt", "gpt-6.1-sol", None));
    assert!(
        answer.contains("no fallback chain for `gpt-6.1-sol`"),
        "{answer}"
    );
}

#[test]
fn an_upstream_with_a_key_of_its_own_is_not_for_everybody() {
    let config = r#"
[server]
listen = "127.0.0.1:8787"
require_gateway_key = true
"#;
    let answer = text(&asked(config, "api_key", "gpt-5.5", None));
    assert!(answer.contains("requires a gateway key"), "{answer}");
}

#[test]
fn json_has_place_price_and_statements() {
    let answer = serde_json::to_value(asked(RULES, "api_key", "gpt-5.5", Some("low"))).unwrap();
    assert_eq!(answer["decision"], "rewritten");
    assert_eq!(answer["rules"][0]["place"], "gateway.toml:3");
    assert_eq!(answer["chain"]["place"], "gateway.toml:14");
    assert_eq!(answer["fallbacks"][0]["model"], "gpt-5.2");
    assert!(answer["fallbacks"][0]["skipped"].is_string());
    assert_eq!(answer["price"]["usd_per_million_tokens"]["input"], "0.75");
    assert!(answer["statements"].as_array().unwrap().len() > 2);
}

#[test]
fn what_a_refused_request_or_an_alias_would_ask_upstream_is_not_claimed() {
    let refused = text(&asked(
        "[[rules]]\nname = \"no\"\nwhen = { model = \"ghost\" }\nthen = { reject = \"why\" }\n",
        "api_key",
        "ghost",
        None,
    ));
    assert!(!refused.contains("goes upstream"), "{refused}");
    let unrouted = text(&asked("", "anonymous", "ghost", None));
    assert!(!unrouted.contains("goes upstream"), "{unrouted}");
    let alias = text(&asked(
        "[[rules]]\nname = \"pin\"\nwhen = { model = \"house\" }\nthen = { rewrite = \"gpt-5.4\" \
         }\n",
        "api_key",
        "house",
        None,
    ));
    assert!(!alias.contains("goes upstream"), "{alias}");
    let passed = text(&asked("", "api_key", "ghost", None));
    assert!(passed.contains("goes upstream unchanged"), "{passed}");
}

#[test]
fn an_effort_that_the_target_does_not_take_is_told() {
    let rewrite = "[[rules]]\nname = \"r\"\nwhen = { model = \"gpt-6-sol\" }\nthen = { rewrite = \
                   \"gpt-5.4\" }\n";
    let answer = text(&asked(rewrite, "api_key", "gpt-6-sol", Some("max")));
    assert!(
        answer.contains("the effort max becomes xhigh: `gpt-5.4` does not support it"),
        "{answer}"
    );
}

#[test]
fn a_running_server_tells_the_refusals_that_concern_the_request() {
    let fact = |model: &str, route: AuthRoute, plan: Option<&str>| gateway_ledger::ModelRefusal {
        upstream: "openai".to_owned(),
        route,
        plan: plan.map(str::to_owned),
        credential: Some("0011223344556677".to_owned()),
        model: model.to_owned(),
        evidence: "model_not_found".to_owned(),
        learned_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        expires_at: "2026-11-20T12:10:00Z".parse().unwrap(),
    };
    let facts = vec![
        fact("GPT-5.5", AuthRoute::ApiKey, None),
        fact("gpt-5.4", AuthRoute::ApiKey, None),
        fact("gpt-5.5", AuthRoute::Chatgpt, None),
        fact("gpt-5.2", AuthRoute::ApiKey, None),
        fact("gpt-5.5", AuthRoute::ApiKey, Some("team")),
    ];
    let answer = asked("", "api_key", "gpt-5.5", None).with_learned(facts.clone(), None);
    let models: Vec<&str> = answer
        .learned
        .iter()
        .map(|fact| fact.model.as_str())
        .collect();
    assert_eq!(models, ["GPT-5.5", "gpt-5.4", "gpt-5.5"]);
    let told = text(&answer);
    assert!(
        told.contains(
            "upstream `openai` refused `GPT-5.5` for caller 0011223344556677 recently: \
                       until 2026-11-20 12:10:00Z"
        ),
        "{told}"
    );
    let of_plan = asked("", "api_key", "gpt-5.5", None).with_learned(facts, Some("team"));
    assert_eq!(of_plan.learned.len(), 1);
}
