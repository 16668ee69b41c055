//! Attempts to get past admission: bodies that outlast a key, bounds that mean nothing, models
//! without a price, rules that change who pays.

use crate::keys::KNOWN_WITHIN;
use gateway_tests::client::Reply;
use gateway_tests::gateway::Gateway;
use gateway_tests::sample::{responses_body, signed_in};
use gateway_tests::upstream::{Script, Upstream, Usage};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn ask(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    let call = gateway.client().post("/v1/responses").bearer(key);
    call.json(body).send().await
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.error_code())
}

fn spent(gateway: &Gateway) -> Value {
    let budgets = gateway.administer(&["budgets", "list", "--json"]);
    serde_json::from_str(&budgets).expect("JSON")
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_body_arrives_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "slow"]).await;
    let body = responses_body("hi").to_string();
    let (first, rest) = body.split_at(20);
    let mut connection = gateway.client().connect().await;
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{first}",
        gateway.address(),
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("sent");
    gateway.administer(&["keys", "revoke", &id]);
    while gateway
        .client()
        .get("/v1/models")
        .bearer(&key)
        .send()
        .await
        .status
        != 401
    {}
    connection.write_all(rest.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(answer.contains("invalid_gateway_key"), "{answer}");
    assert!(upstream.model_requests().is_empty());
}

/// On SQLite nobody can notify a server; it looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_revoked_by_another_process_stops_in_time_under_load() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "busy"]).await;
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let (client, key, over) = (gateway.client(), key.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let call = client.post("/v1/responses").bearer(&key);
                    let reply = call.json(&responses_body("hi")).send().await;
                    seen.push((asked, reply.status));
                }
                seen
            })
        })
        .collect();
    upstream
        .wait_until("it is busy", |requests| requests.len() >= 30)
        .await;
    gateway.administer(&["keys", "revoke", &id]);
    let revoked = Instant::now();
    tokio::time::sleep_until((revoked + KNOWN_WITHIN + Duration::from_millis(500)).into()).await;
    over.store(true, Ordering::Relaxed);
    let mut counts = [0, 0];
    for worker in workers {
        for (asked, status) in worker.await.expect("no worker panics") {
            let late = asked.saturating_duration_since(revoked);
            match status {
                200 => assert!(late < KNOWN_WITHIN, "served {late:?} after it was revoked"),
                status => assert_eq!(status, 401),
            }
            counts[usize::from(status == 401)] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
}

#[tokio::test]
async fn a_bound_that_no_model_reaches_does_not_make_a_request_free() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "poor", "--budget", "0.01/day"])
        .await;
    for bound in [1 << 40, (1 << 53) + 1, u64::MAX] {
        let mut body = responses_body("hi");
        body["max_output_tokens"] = json!(bound);
        let reply = ask(&gateway, &key, &body).await;
        assert_eq!(
            refusal(&reply),
            (429, "usage_limit_reached".to_owned()),
            "{bound}"
        );
    }
    assert!(upstream.model_requests().is_empty());
}

#[tokio::test]
async fn a_large_body_without_a_length_is_set_aside_for_in_full() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    // 1.5 MB are some 390,000 tokens, about two dollars.
    let (_, key) = gateway
        .new_key(&["--name", "one dollar", "--budget", "1.00/day"])
        .await;
    let body = responses_body(&"x".repeat(1_500_000)).to_string();
    for chunk in [0, 60_000] {
        let call = gateway.client().post("/v1/responses").bearer(&key);
        let call = call
            .header("content-type", "application/json")
            .body(body.clone());
        let call = if chunk > 0 { call.chunked(chunk) } else { call };
        let reply = call.send().await;
        assert_eq!(
            refusal(&reply),
            (429, "usage_limit_reached".to_owned()),
            "in chunks of {chunk}"
        );
    }
    assert!(upstream.model_requests().is_empty());
}

#[tokio::test]
async fn a_budget_of_nothing_admits_nothing_and_less_than_nothing_is_no_budget() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "[prices]\nunpriced = \"allow\"\n").await;
    let (_, key) = gateway
        .new_key(&["--name", "none", "--budget", "0/month"])
        .await;
    let mut body = responses_body("hi");
    for model in ["gpt-5.5", "a-model-without-a-price"] {
        body["model"] = json!(model);
        let reply = ask(&gateway, &key, &body).await;
        assert_eq!(refusal(&reply), (429, "usage_limit_reached".to_owned()));
    }
    let place = gateway.data_dir();
    let place = place.parent().expect("the data lies in the test's place");
    let arguments = [
        "--data-dir",
        "data",
        "budgets",
        "set",
        "gateway",
        "--",
        "-1/day",
    ];
    let ended = gateway_tests::gateway::run(place, &arguments);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("budget `-1/day`"), "{ended:?}");
}

#[tokio::test]
async fn a_model_without_a_price_is_told_of_once_or_refused_as_the_operator_wishes() {
    let mut body = responses_body("hi");
    body["model"] = json!("a-model-without-a-price");
    for (table, expected) in [("[prices]\nunpriced = \"allow\"\n", 200), ("", 400)] {
        let upstream = Upstream::start().await;
        let gateway = Gateway::of_a_team(&upstream, table).await;
        let (_, counted) = gateway
            .new_key(&["--name", "counted", "--budget", "1.00/day"])
            .await;
        // Plan money is another matter.
        let plan = [
            "--name",
            "plan",
            "--budget",
            "1.00/day",
            "--billing",
            "plan",
        ];
        let (_, uncounted) = gateway.new_key(&plan).await;
        for _ in 0..2 {
            let reply = ask(&gateway, &counted, &body).await;
            assert_eq!(reply.status, expected, "{}", reply.text());
            if expected == 400 {
                assert_eq!(reply.error_code(), "model_not_found");
                assert!(reply.text().contains("has no price"), "{}", reply.text());
            }
        }
        assert_eq!(ask(&gateway, &uncounted, &body).await.status, 200);
        let warnings = gateway.output().matches("does not count it").count();
        assert_eq!(
            warnings,
            usize::from(expected == 200),
            "{}",
            gateway.output()
        );
    }
}

/// A plan pays for its own sign-in; an upstream with a credential of its own sends a bill.
#[tokio::test]
async fn what_a_rule_sends_on_with_another_credential_counts_as_metered() {
    let mut script = Script::default();
    script.model.usage = Some(Usage {
        input: 1000,
        cached: 0,
        output: 100,
        ..Usage::default()
    });
    let upstream = Upstream::with(script).await;
    let rule = "[[rules]]\nname = \"cheap ones elsewhere\"\nwhen = { route = \"chatgpt\", model = \"gpt-5.4-mini\" }\nthen = { send = \"team\" }\n";
    let gateway = Gateway::of_a_team(&upstream, rule).await;
    for billing in ["plan", "metered"] {
        let set = [
            "budgets",
            "set",
            "gateway",
            "9.00/day",
            "--billing",
            billing,
        ];
        gateway.administer(&set);
    }
    let (_, key) = gateway.new_key(&["--name", "person"]).await;
    for model in ["gpt-5.5", "gpt-5.4-mini"] {
        let mut body = responses_body("hi");
        body["model"] = json!(model);
        let call = signed_in(gateway.client().post("/v1/responses"));
        let call = call.header("x-gateway-key", &key).json(&body);
        let reply = call.send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let lines = spent(&gateway);
    let of = |billing: &str| -> Value {
        let mut lines = lines.as_array().expect("lines").iter();
        let line = lines
            .find(|line| line["billing"] == billing)
            .expect(billing);
        line["spent_nanos"].clone()
    };
    // 1,000 input and 100 output tokens: of gpt-5.5 by the plan, of gpt-5.4-mini by the team's
    // credential.
    assert_eq!(
        (of("plan"), of("metered")),
        (json!(8_000_000), json!(1_200_000)),
        "{lines}"
    );
}

#[tokio::test]
async fn explain_says_what_the_key_may_and_where_its_money_stands() {
    let upstream = Upstream::start().await;
    let chain = "[fallback]\n\"gpt-5.4\" = [\"gpt-5.4-mini\", \"gpt-5.2\"]\n";
    let gateway = Gateway::of_a_team(&upstream, chain).await;
    gateway.administer(&["teams", "create", "core", "--rpm", "60"]);
    gateway.administer(&["budgets", "set", "team:core", "2.50/month"]);
    let (id, key) = gateway
        .new_key(&[
            "--name",
            "ci",
            "--team",
            "core",
            "--models",
            "gpt-5.4*",
            "--routes",
            "gateway_key",
            "--budget",
            "0.00001/day",
        ])
        .await;
    let explain = |arguments: &[&str]| -> Value {
        let mut all = vec!["explain", "--json"];
        all.extend(arguments);
        serde_json::from_str(&gateway.administer(&all)).expect("JSON")
    };
    let route = [
        "--route",
        "gateway_key",
        "--model",
        "gpt-5.4",
        "--key",
        "ci",
    ];
    let fine = explain(&route);
    assert_eq!(fine["decision"], "passed", "{fine}");
    let holder = &fine["holder"];
    assert_eq!(
        holder["key"],
        json!({"id": id, "name": "ci", "team": "core", "state": "live"})
    );
    assert_eq!(holder["refused"], Value::Null);
    assert_eq!(
        holder["budgets"].as_array().map(Vec::len),
        Some(2),
        "{holder}"
    );
    assert_eq!(holder["limits"][0]["scope"], "team:core");
    let skipped: Vec<bool> = fine["fallbacks"]
        .as_array()
        .expect("a chain")
        .iter()
        .map(|fallback| fallback["skipped"].is_string())
        .collect();
    assert_eq!(skipped, [false, true], "{fine}");

    let code = |arguments: &[&str]| explain(arguments)["holder"]["refused"]["code"].clone();
    let other_model = [
        "--route",
        "gateway_key",
        "--model",
        "gpt-5.5",
        "--key",
        id.as_str(),
    ];
    assert_eq!(code(&other_model), "model_not_found");
    assert_eq!(explain(&other_model)["decision"], "rejected");
    let other_route = ["--route", "chatgpt", "--model", "gpt-5.4", "--key", "ci"];
    assert_eq!(code(&other_route), "key_not_permitted");
    // As the gateway itself answers.
    let refused = ask(&gateway, &key, &responses_body("hi")).await;
    assert_eq!(refusal(&refused), (400, "model_not_found".to_owned()));
    assert_eq!(
        explain(&other_model)["message"],
        refused.json()["error"]["message"]
    );

    let team = [
        "--route",
        "gateway_key",
        "--model",
        "gpt-5.4",
        "--team",
        "core",
    ];
    let text = gateway.administer(&[&["explain"], &team[..]].concat());
    assert!(
        text.contains("budget    team:core: 2.5000 left of 2.5000 USD, month (metered)"),
        "{text}"
    );
    gateway.administer(&["keys", "revoke", "ci"]);
    assert_eq!(code(&route), "invalid_gateway_key");
    let nobody = explain(&[
        "--route",
        "gateway_key",
        "--model",
        "gpt-5.4",
        "--key",
        "nobody",
    ]);
    assert_eq!(nobody["holder"]["key"]["state"], "unknown");
}
