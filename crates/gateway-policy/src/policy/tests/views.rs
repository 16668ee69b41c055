//! What people see: explanations and lists of models.

use super::*;
use crate::policy::models::Access;

fn explained(text: &str, request: &str, memory: &dyn Memory) -> crate::Explanation {
    let config = format!("{HOME}{text}");
    let policy = policy(text);
    let mut explanation = with_request(request, |request| policy.explain(request, memory));
    explanation.locate(|span| {
        format!(
            "line {}",
            config.get(..span.start).unwrap().lines().count() + 1
        )
    });
    explanation
}

#[test]
fn a_passed_model_is_explained_with_its_dated_sources() {
    insta::assert_json_snapshot!(explained("", "api_key gpt-5.5", &NoMemory));
}

#[test]
fn a_rejection_is_explained_with_what_works() {
    insta::assert_json_snapshot!(explained("", "gateway_key gpt-5.3-codex-spark", &NoMemory));
}

#[test]
fn a_rewrite_is_explained_with_its_place_and_its_chain() {
    let text = r#"
[[rules]]
name = "small jobs"
when = { route = "api_key", model = "gpt-5.5", effort = ["minimal", "low"] }
then = { rewrite = "house-1" }
[[rules]]
name = "house mirror"
when = { model = "house-3" }
then = { send = "mirror" }
[[rules]]
name = "house models"
when = { model = "house-*" }
then = { send = "deepseek" }
[[rules]]
name = "no 5.2"
when = { model = "gpt-5.2" }
then = { reject = "retired here" }
[upstreams.mirror]
base_url = "https://mirror.example/v1"
[fallback]
"house-1" = ["gpt-5.2", "gpt-5.4", "house-2", "house-3"]
"#;
    let memory = Told::refused(&[("deepseek", "house-2", RefusalState::Refused)]);
    insta::assert_json_snapshot!(explained(text, "api_key gpt-5.5 effort=low", &memory));
}

#[test]
fn a_model_without_a_chain_is_told() {
    let explanation = explained("", "chatgpt gpt-6.1-sol", &NoMemory);
    assert_eq!(
        explanation.notes,
        ["no fallback chain for `gpt-6.1-sol`: a refusal is passed to the client unchanged"]
    );
}

#[test]
fn what_memory_does_is_told() {
    let notes = |memory: &Told| explained("", "chatgpt gpt-5.5", memory).notes.join("; ");
    let refused = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Refused)]);
    assert_eq!(
        notes(&refused),
        "upstream `chatgpt` refused `gpt-5.5` recently, so `gpt-5.4` is asked first"
    );
    let expired = Told::refused(&[("chatgpt", "gpt-5.5", RefusalState::Probe)]);
    assert_eq!(
        notes(&expired),
        "upstream `chatgpt` refused `gpt-5.5` some time ago; this request would check whether it \
         still does"
    );
    let sticky = Told {
        sticky: Some(("chatgpt", "gpt-5.4")),
        ..Told::default()
    };
    assert_eq!(
        notes(&sticky),
        "the session stays on `gpt-5.4`, which served it before"
    );
}

#[test]
fn a_route_without_an_upstream_is_told() {
    let explanation = explained("", "anonymous gpt-5.5", &NoMemory);
    assert_eq!(explanation.decision, None);
    assert_eq!(
        explanation.notes,
        ["no upstream is configured for the anonymous route; set `routes.anonymous`"]
    );
}

#[test]
fn a_translation_is_told_with_its_reason() {
    let notes = |text: &str, request: &str| explained(text, request, &NoMemory).notes.join("; ");
    assert!(notes("", "api_key gpt-5.3-codex endpoint=chat").contains(
        "the request is translated: `gpt-5.3-codex` is served only on the Responses API"
    ));
    let send =
        "[[rules]]\nname = \"d\"\nwhen = { model = \"d\" }\nthen = { send = \"deepseek\" }\n";
    assert!(notes(send, "api_key d").contains(
        "the request is translated: upstream `deepseek` does not support the responses API"
    ));
}

#[test]
fn pickers_show_what_this_caller_can_use() {
    let policy = policy(
        r#"
[[rules]]
name = "interns"
when = { team = "interns", model = "gpt-6*" }
then = { reject = "request your mentor" }
[[rules]]
name = "house model"
when = { model = "house-1" }
then = { send = "deepseek" }
[[rules]]
name = "alias"
when = { model = "gpt-5-codex" }
then = { rewrite = "gpt-5.3-codex" }
"#,
    );
    let memory = Told::refused(&[
        ("openai", "gpt-5.5", RefusalState::Refused),
        ("openai", "gpt-5.1", RefusalState::Refused),
    ]);
    let hidden = |subject: Subject<'_>| {
        let views = policy.models_for(subject, &memory);
        assert_eq!(
            views.len(),
            catalog().entries().len() + 1,
            "and the house model"
        );
        let hidden = views.iter().filter(|view| !view.access.is_visible());
        hidden
            .map(|view| view.model.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        hidden(Subject::new(AuthRoute::Chatgpt)),
        Vec::<String>::new()
    );
    assert_eq!(
        hidden(Subject::new(AuthRoute::ApiKey)),
        ["gpt-5.5", "gpt-5.3-codex-spark", "gpt-5.1"]
    );
    let intern = Subject {
        team: Some("interns"),
        ..Subject::new(AuthRoute::GatewayKey)
    };
    let spark = ["gpt-5.5", "gpt-5.3-codex-spark", "gpt-5.1"];
    let found = hidden(intern);
    assert_eq!(found[..3], spark);
    assert!(
        found[3..].iter().all(|id| id.starts_with("gpt-6")),
        "{found:?}"
    );
    assert_eq!(found.len(), 10);
    assert_eq!(
        hidden(Subject::new(AuthRoute::Anonymous)).len(),
        catalog().entries().len()
    );

    let access = |model: &str| policy.access(Subject::new(AuthRoute::ApiKey), &id(model), &memory);
    assert!(
        matches!(access("house-1"), Access::Served { upstream } if upstream.as_str() == "deepseek")
    );
    assert!(
        matches!(access("gpt-5-codex"), Access::Rewritten { to, .. } if to == id("gpt-5.3-codex"))
    );
    assert!(
        matches!(access("gpt-5.5"), Access::Refused { instead: Some(model), .. } if model == id("gpt-5.4"))
    );
    assert!(matches!(
        access("gpt-5.1"),
        Access::Refused { instead: None, .. }
    ));
    assert!(matches!(
        access("gpt-5.3-codex-spark"),
        Access::Rejected { .. }
    ));
    assert!(matches!(access("unheard-of"), Access::Served { .. }));
}
