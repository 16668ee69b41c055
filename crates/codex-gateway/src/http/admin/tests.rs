//! `/api` through the router, without a socket.

use std::sync::Arc;

use gateway_ledger::{Ledger, OpenOptions, Outcome};
use gateway_policy::{AuthRoute, Decision, ModelId, NoMemory, Subject};
use gateway_wire::{Failure, Verdict};
use jiff::Timestamp;
use serde_json::json;

use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::learned::Learned;
use crate::plan_limits::PlanWatch;
use crate::record::AnswerFacts;
use crate::reports::{explain, models};
use crate::testing::{PATIENCE, Process, chatgpt_caller, entry};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

async fn with_entries() -> Process {
    let process = Process::start("").await;
    for (time, route, model, outcome, status) in [
        (
            "2026-11-18T10:00:00Z",
            AuthRoute::ApiKey,
            "gpt-5.5",
            Outcome::Completed,
            200,
        ),
        (
            "2026-11-19T10:00:00Z",
            AuthRoute::ApiKey,
            "gpt-5.4",
            Outcome::Completed,
            200,
        ),
        (
            "2026-11-19T11:00:00Z",
            AuthRoute::Chatgpt,
            "gpt-5.5",
            Outcome::Completed,
            200,
        ),
        (
            "2026-11-20T10:00:00Z",
            AuthRoute::ApiKey,
            "gpt-5.5",
            Outcome::Failed,
            429,
        ),
    ] {
        let mut entry = entry(at(time), route, model);
        entry.result.outcome = outcome;
        entry.result.status = Some(status);
        drop(process.part::<Ledger>().settle(entry).await);
    }
    process
}

#[tokio::test]
async fn nothing_answers_without_the_admin_token() {
    let process = Process::start("").await;
    for (method, path) in [
        ("GET", "/api/explain?route=api_key&model=m"),
        ("GET", "/api/models"),
        ("GET", "/api/usage"),
        ("GET", "/api/exchanges"),
        ("GET", "/api/facts"),
        ("DELETE", "/api/facts"),
        ("GET", "/api/plan"),
        ("GET", "/api/nothing"),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:8787")
            .header("authorization", "Bearer wrong");
        let answer = process
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.json()["error"]["code"], "admin_required", "{path}");
    }
    process.stop().await;
}

/// HTTP/2 says in the target alone whom it calls.
#[tokio::test]
async fn over_http_2_too_a_listed_origin_cannot_use_a_session() {
    let process = Process::start("[server]\norigins = [\"https://tool.example\"]\n").await;
    for (origin, code) in [
        ("https://tool.example", "origin_not_allowed"),
        ("https://127.0.0.1:8787", "admin_required"),
    ] {
        let request = http::Request::builder()
            .uri("https://127.0.0.1:8787/api/keys")
            .header("origin", origin)
            .header("cookie", "codex_gateway_session=guess");
        let answer = process
            .send(request.body(axum::body::Body::empty()).unwrap())
            .await;
        assert_eq!(answer.json()["error"]["code"], code, "{origin}");
    }
    process.stop().await;
}

#[tokio::test]
async fn explain_and_models_answer_as_the_command_line_does() {
    let config = "[[rules]]\nname = \"r\"\nwhen = { model = \"gpt-5.5\" }\nthen = { rewrite = \"gpt-5.4\" }\n";
    let process = Process::start(config).await;
    let live = process.part::<SharedConfig>().load_full();
    let day = Clock::system().date();
    let query = explain::ExplainQuery {
        endpoint: gateway_wire::WireApi::Chat,
        kind: gateway_wire::codex::RequestKind::Review,
        ..explain::ExplainQuery::new(AuthRoute::ApiKey, ModelId::new("gpt-5.5").unwrap())
    };
    let expected = explain::explain(&live.settings, &live.places, &query, day);
    let answer = process
        .get("/api/explain?route=api_key&model=gpt-5.5&endpoint=chat&kind=review")
        .await;
    assert_eq!(answer, serde_json::to_value(expected).unwrap());
    assert_eq!(answer["rules"][0]["place"], "gateway.toml:1");

    let expected = models::models(&live.settings, Some(AuthRoute::ApiKey), day);
    let answer = process.get("/api/models?route=api_key").await;
    assert_eq!(answer, serde_json::to_value(expected).unwrap());
    process.stop().await;
}

#[tokio::test]
async fn usage_sums_in_integers_and_keeps_the_two_monies_apart() {
    let process = with_entries().await;
    insta::assert_json_snapshot!(process.get("/api/usage?by=model,route").await);
    let total = |answer: &serde_json::Value| answer["total"]["requests"].clone();
    for (path, requests) in [
        ("/api/usage", 4),
        ("/api/usage?by=", 4),
        ("/api/usage?since=2026-11-19", 3),
        ("/api/usage?since=2026-11-19T10:30:00Z&until=2026-11-20", 1),
        ("/api/usage?day=2026-11-19", 2),
        ("/api/usage?model=gpt-5.5&route=api_key", 2),
        ("/api/usage?outcome=failed", 1),
        ("/api/usage?status=429", 1),
        ("/api/usage?billing=plan", 1),
        (
            "/api/usage?session=session-1&kind=turn&endpoint=responses&upstream=openai",
            4,
        ),
        ("/api/usage?team=nobody", 0),
        ("/api/usage?by=day&key=&decision=passed", 4),
    ] {
        assert_eq!(total(&process.get(path).await), requests, "{path}");
    }
    process.stop().await;
}

#[tokio::test]
async fn every_described_query_parameter_is_known() {
    let process = Process::start("").await;
    let described = process.get("/api/openapi.json").await;
    for (path, operations) in described["paths"].as_object().unwrap() {
        let parameters = operations["get"]["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "query" {
                let name = parameter["name"].as_str().unwrap();
                let answer = process.api("GET", &format!("{path}?{name}=")).await.text();
                assert!(
                    !answer.contains("not a parameter of this endpoint"),
                    "{path} {name}: {answer}"
                );
            }
        }
    }
    process.stop().await;
}

#[tokio::test]
async fn exchanges_come_page_by_page_newest_first() {
    let process = with_entries().await;
    let first = process.get("/api/exchanges?limit=3&cursor=").await;
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    assert_eq!(first["items"][0]["status"], 429);
    assert_eq!(first["items"][0]["input_tokens"], 100);
    assert_eq!(first["items"][0]["cost_nanos"], 1000);
    let cursor = first["next"].as_str().unwrap();
    assert!(
        cursor
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let last = process
        .get(&format!("/api/exchanges?limit=3&cursor={cursor}"))
        .await;
    assert_eq!(last["items"].as_array().unwrap().len(), 1);
    assert_eq!(last["next"], json!(null));
    let failed = process
        .get("/api/exchanges?outcome=failed&status=429")
        .await;
    assert_eq!(failed["items"].as_array().unwrap().len(), 1);
    let day = process
        .get("/api/exchanges?day=2026-11-19&since=2026-11-19T10:30:00Z")
        .await;
    assert_eq!(day["items"][0]["route"], "chatgpt");
    assert_eq!(day["items"].as_array().unwrap().len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_said() {
    let process = Process::start("").await;
    for (path, said) in [
        ("/api/usage?by=modle", "`modle`"),
        ("/api/usage?since=soon", "`since`"),
        ("/api/usage?modell=x", "`modell`"),
        ("/api/usage?model=a&model=b", "`model` is given twice"),
        ("/api/usage?outcome=fine", "client_gone"),
        ("/api/usage?status=teapot", "`status`"),
        ("/api/usage?day=today", "`day`"),
        ("/api/exchanges?limit=0", "1 to 1000"),
        ("/api/exchanges?limit=1001", "1 to 1000"),
        ("/api/exchanges?cursor=none-of-ours", "cursor"),
        ("/api/explain?model=m", "`route` is missing"),
        ("/api/explain?route=api_key", "`model` is missing"),
        ("/api/explain?route=wifi&model=m", "chatgpt, api_key"),
        ("/api/explain?route=api_key&model=m&kind=x", "subagent"),
        ("/api/explain?route=api_key&model=%20m", "`model`"),
        ("/api/models?route=x", "`route`"),
        ("/api/usage?kind=chat", "subagent"),
        ("/api/audit?limit=0", "1 to 1000"),
        ("/api/audit?limit=1001", "1 to 1000"),
        ("/api/audit?limit=x", "`limit`"),
        ("/api/audit?top=3", "`top`"),
        ("/api/facts?x=1", "`x`"),
        ("/api/plan?x=1", "`x`"),
        ("/api/usage?model=%ff", "query string"),
    ] {
        let answer = process.api("GET", path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_request", "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(said), "{path}: {message}");
    }
    process.stop().await;
}

/// A tool beside the server.
async fn beside(process: &Process) -> Ledger {
    let live = process.part::<SharedConfig>().load_full();
    let storage = &live.settings.storage;
    Ledger::attach(OpenOptions {
        url: storage.url.clone(),
        data_dir: process.dir.path().to_owned(),
        instance: gateway_ledger::InstanceId::new("tool"),
        durability: storage.durability,
        retention: None,
        lease: PATIENCE,
        time_zone: storage.time_zone.clone(),
        clock: std::sync::Arc::new(crate::clock::now),
    })
    .await
    .unwrap()
}

/// Waits until something holds that happens in the background.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

fn refuse(process: &Process, model: &str) {
    let live = process.part::<SharedConfig>().load_full();
    let model = ModelId::new(model).unwrap();
    let ask = Subject::new(AuthRoute::Chatgpt).request(&model);
    let Decision::Forward(plan) = live.settings.policy.decide(&ask, &NoMemory) else {
        panic!("{model} is not forwarded");
    };
    let verdict = Verdict {
        failure: Failure::UnsupportedModel,
        code: Some("model_not_found".to_owned()),
        message: Some("no such model".to_owned()),
    };
    process
        .part::<Arc<Learned>>()
        .refused(&chatgpt_caller(), &plan.first, &verdict);
}

#[tokio::test]
async fn refusals_are_listed_kept_and_cleared_from_both_sides() {
    let process = Process::start("").await;
    let tool = beside(&process).await;
    refuse(&process, "gpt-5.5");
    refuse(&process, "gpt-5.2");
    let listed = process.get("/api/facts").await;
    assert_eq!(listed["facts"].as_array().unwrap().len(), 2);
    assert_eq!(listed["facts"][0]["upstream"], "chatgpt");
    assert_eq!(listed["facts"][0]["credential"], "8899aabbccddeeff");
    assert_eq!(
        listed["facts"][0]["evidence"],
        "model_not_found: no such model"
    );
    until(async || tool.model_refusals().await.unwrap().len() == 2).await;

    // Another process clears one: the server forgets it, and only it.
    assert_eq!(
        tool.clear_model_refusals(Some("GPT-5.2"), "cli")
            .await
            .unwrap(),
        1
    );
    until(async || process.part::<Arc<Learned>>().known().len() == 1).await;

    let cleared = process.api("DELETE", "/api/facts?model=gpt-5.2").await;
    assert_eq!(cleared.json(), json!({"cleared": 0}));
    let cleared = process.api("DELETE", "/api/facts").await;
    assert_eq!(cleared.json(), json!({"cleared": 1}));
    assert_eq!(process.get("/api/facts").await, json!({"facts": []}));
    assert!(tool.model_refusals().await.unwrap().is_empty());
    tool.close().await;
    process.stop().await;
}

#[tokio::test]
async fn what_another_process_learned_is_known_here() {
    let process = Process::start("").await;
    refuse(&process, "gpt-5.5");
    let tool = beside(&process).await;
    until(async || tool.model_refusals().await.unwrap().len() == 1).await;
    let mut fact = tool.model_refusals().await.unwrap().remove(0);
    fact.model = "gpt-5.4".to_owned();
    tool.put_model_refusal(&fact).await.unwrap();
    until(async || process.part::<Arc<Learned>>().known().len() == 2).await;

    // A later start knows both, as they were.
    let known = process.part::<Arc<Learned>>().known();
    let (learned, waiting) = crate::learned::Learned::new(
        crate::clock::Clock::system(),
        std::time::Duration::from_secs(1),
    );
    drop(
        crate::learned::sync::LearnedSync::open(tool.clone(), waiting, &learned)
            .await
            .unwrap(),
    );
    let keys = |facts: &[(gateway_policy::RefusalKey, gateway_policy::LearnedRefusal)]| {
        let mut keys: Vec<String> = facts
            .iter()
            .map(|(key, fact)| format!("{key:?} {}", fact.expires_at.as_microsecond()))
            .collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&learned.known()), keys(&known));
    tool.close().await;
    process.stop().await;
}

#[tokio::test]
async fn plan_limits_are_a_gauge_and_an_answer_by_hashed_account() {
    let process = Process::start("").await;
    let plan_limits = process.part::<Arc<PlanWatch>>();
    let mut caller = chatgpt_caller();
    let mut answer_facts = AnswerFacts::default();
    let mut head = http::HeaderMap::new();
    for (name, value) in [
        ("x-codex-plan-type", "plus"),
        ("x-codex-primary-used-percent", "12.5"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", "99999999999"),
        ("x-codex-secondary-used-percent", "90"),
        ("x-codex-secondary-reset-at", "1"),
    ] {
        head.insert(name, value.parse().unwrap());
    }
    answer_facts.plan_limits = gateway_wire::codex::PlanLimits::from_headers(&head).map(Box::new);
    plan_limits.note(&caller, &answer_facts, at("2026-11-20T12:00:00Z"));
    insta::assert_json_snapshot!(process.get("/api/plan").await);

    // An event of a later exchange is newer than its head.
    answer_facts.summary.plan_limits = vec![bytes::Bytes::from_static(
        br#"{"type":"codex.rate_limits","plan_type":"plus","rate_limits":{"primary":{"used_percent":41,"window_minutes":300,"reset_after_seconds":999999999}}}"#,
    )];
    plan_limits.note(&caller, &answer_facts, at("2026-11-20T12:01:00Z"));
    let answer = process.get("/api/plan").await;
    assert_eq!(answer["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(
        answer["accounts"][0]["limits"][0]["windows"][0]["used_percent"],
        41.0
    );

    let request = http::Request::builder()
        .uri("/metrics")
        .header("host", "127.0.0.1:8787");
    let metrics = process
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await
        .text();
    let gauge = "codex_gateway_chatgpt_plan_used_percent{window=\"primary\"} 41";
    assert!(metrics.contains(gauge), "{metrics}");

    // Kept for the next start.
    let ledger = process.part::<Ledger>();
    until(async || {
        let stored = ledger.account_limits().await.unwrap();
        stored
            .first()
            .is_some_and(|it| it.observed_at == at("2026-11-20T12:01:00Z"))
    })
    .await;
    // Somebody with an API key has no plan.
    caller.route = AuthRoute::ApiKey;
    caller.account = None;
    plan_limits.note(&caller, &answer_facts, at("2026-11-20T12:02:00Z"));
    let answer = process.get("/api/plan").await;
    assert_eq!(answer["accounts"].as_array().unwrap().len(), 1);
    process.stop().await;
}
