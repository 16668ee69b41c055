//! Gateway keys, budgets and limits in the request path, administered from another process while
//! the gateway serves.

use std::time::{Duration, Instant};

use gateway_tests::client::Reply;
use gateway_tests::gateway::{Gateway, TEAM_CREDENTIAL, run};
use gateway_tests::sample::{API_KEY, responses_body, signed_in};
use gateway_tests::upstream::{Recorded, Script, Upstream, Usage};
use serde_json::{Value, json};

/// The contract: a change made by any process is known everywhere within so long.
pub(crate) const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// The one request for an answer; looking whether a key is known asks for models.
fn only_model_request(upstream: &Upstream) -> Recorded {
    let mut requests = upstream.model_requests();
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

async fn models_by(gateway: &Gateway, key: &str) -> Reply {
    gateway.client().get("/v1/models").bearer(key).send().await
}

/// Asks until the answer is as expected; fails when that takes longer than changes may.
pub(crate) async fn until<F: Future<Output = Reply>>(
    gateway: &Gateway,
    ask: impl Fn() -> F,
    is_expected: impl Fn(&Reply) -> bool,
) -> Reply {
    let started = Instant::now();
    loop {
        let reply = ask().await;
        if is_expected(&reply) {
            return reply;
        }
        assert!(
            started.elapsed() < KNOWN_WITHIN,
            "still {} {} after {KNOWN_WITHIN:?}\n{}",
            reply.status,
            reply.text(),
            gateway.output()
        );
    }
}

pub(crate) async fn ask_as(gateway: &Gateway, key: &str, body: &Value) -> Reply {
    gateway
        .client()
        .post("/v1/responses")
        .bearer(key)
        .json(body)
        .send()
        .await
}

#[tokio::test]
async fn a_key_uses_the_upstreams_credential_until_it_is_revoked() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "ci", "--team", "core"]).await;
    assert!(key.starts_with("cgw_"));
    let reply = ask_as(&gateway, &key, &responses_body("hi")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-gateway-route"), Some("gateway_key"));
    let sent = only_model_request(&upstream);
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {TEAM_CREDENTIAL}").as_str())
    );
    gateway.administer(&["keys", "revoke", &id]);
    let body = responses_body("hi");
    let refused = until(
        &gateway,
        || ask_as(&gateway, &key, &body),
        |reply| reply.status != 200,
    )
    .await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (401, "invalid_gateway_key")
    );
    assert!(!gateway.output().contains(&key), "the log holds a key");
}

#[tokio::test]
async fn a_rotated_key_works_with_its_new_secret_alone() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, old) = gateway.new_key(&["--name", "rotating"]).await;
    let rotated: Value =
        serde_json::from_str(&gateway.administer(&["keys", "rotate", "rotating", "--json"]))
            .expect("JSON");
    let new = rotated["key"].as_str().expect("a key").to_owned();
    until(
        &gateway,
        || models_by(&gateway, &old),
        |reply| reply.status == 401,
    )
    .await;
    assert_eq!(
        ask_as(&gateway, &new, &responses_body("hi")).await.status,
        200
    );
}

#[tokio::test]
async fn in_the_header_a_key_identifies_and_limits_while_the_callers_credential_goes_on() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "person"]).await;
    let by_header = || {
        signed_in(gateway.client().post("/v1/responses"))
            .header("x-gateway-key", &key)
            .json(&responses_body("hi"))
            .send()
    };
    let reply = by_header().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-gateway-route"), Some("chatgpt"));
    let sent = only_model_request(&upstream);
    assert!(sent.header("x-gateway-key").is_none());
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {}", gateway_tests::sample::chatgpt_token()).as_str())
    );
    gateway.administer(&["keys", "revoke", &id]);
    let refused = until(&gateway, by_header, |reply| reply.status != 200).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (403, "invalid_gateway_key"),
        "a 401 would make Codex refresh the user's token"
    );
}

#[tokio::test]
async fn a_key_is_kept_to_its_models_and_routes() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, narrow) = gateway
        .new_key(&["--name", "narrow", "--models", "gpt-5.4*"])
        .await;
    let reply = ask_as(&gateway, &narrow, &responses_body("hi")).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "model_not_found")
    );
    assert!(reply.text().contains("gpt-5.4*"), "{}", reply.text());
    let mut body = responses_body("hi");
    body["model"] = json!("gpt-5.4-mini");
    assert_eq!(ask_as(&gateway, &narrow, &body).await.status, 200);

    let (_, routed) = gateway
        .new_key(&["--name", "routed", "--routes", "chatgpt"])
        .await;
    let reply = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("x-gateway-key", &routed)
        .json(&responses_body("hi"))
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (403, "key_not_permitted")
    );
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn a_spent_budget_answers_as_a_usage_limit() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "poor", "--budget", "0.000001/day"])
        .await;
    let reply = ask_as(&gateway, &key, &responses_body("hi")).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (429, "usage_limit_reached")
    );
    let error = &reply.json()["error"];
    assert_eq!(
        (&error["type"], &error["plan_type"]),
        (&json!("usage_limit_reached"), &json!("team"))
    );
    assert!(
        error["resets_at"]
            .as_i64()
            .is_some_and(|at| at > 1_700_000_000),
        "{error}"
    );
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| text.contains("`poor`")),
        "{error}"
    );
    assert!(upstream.model_requests().is_empty());
    let metrics = gateway.client().get("/metrics").send().await.text();
    assert!(
        metrics.contains("codex_gateway_limit_rejections_total{kind=\"budget\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_again() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway.new_key(&["--name", "slow", "--rpm", "1"]).await;
    let body = responses_body("hi");
    assert_eq!(ask_as(&gateway, &key, &body).await.status, 200);
    let reply = ask_as(&gateway, &key, &body).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (429, "rate_limit_exceeded")
    );
    let wait: u64 = reply
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("retry-after");
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_do_not_overspend_a_budget() {
    const REQUESTS: usize = 200;
    let upstream = Upstream::with(expensive()).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    gateway.administer(&["teams", "create", "core"]);
    gateway.administer(&["budgets", "set", "team:core", "1.00/day", "--soft", "50%"]);
    let (_, key) = gateway.new_key(&["--name", "many", "--team", "core"]).await;
    let body = responses_body("hi");
    let replies = (0..REQUESTS).map(|_| {
        let call = gateway
            .client()
            .post("/v1/responses")
            .bearer(&key)
            .json(&body);
        tokio::spawn(call.send())
    });
    let mut served = 0_i32;
    for reply in replies.collect::<Vec<_>>() {
        let reply = reply.await.expect("no request panics");
        match reply.status {
            200 => served += 1,
            429 => assert!(
                ["usage_limit_reached", "rate_limit_exceeded"]
                    .contains(&reply.error_code().as_str())
            ),
            other => panic!("{other}: {}", reply.text()),
        }
    }
    assert!(served > 0);
    let budgets: Value =
        serde_json::from_str(&gateway.administer(&["budgets", "list", "--json"])).expect("JSON");
    let spent = budgets[0]["spent_nanos"].as_i64().expect("a figure");
    let each = spent / i64::from(served);
    assert!(
        spent > 0 && spent <= 1_000_000_000 + each,
        "{served} served, {budgets}"
    );
    assert_eq!(
        budgets[0]["reserved_nanos"],
        json!(0),
        "what was set aside is given back: {budgets}"
    );
    assert_eq!(
        gateway
            .output()
            .matches("has reached its soft threshold")
            .count(),
        1
    );
    let metrics = gateway.client().get("/metrics").send().await.text();
    assert!(
        metrics.contains("budget_remaining_usd{budget=\"team:core/day/metered\"}"),
        "{metrics}"
    );
}

/// Answers that cost about what is set aside for them.
fn expensive() -> Script {
    let mut script = Script::default();
    script.model.usage = Some(Usage {
        output: 4096,
        ..Usage::default()
    });
    script.model.delay_ms = 5;
    script
}

#[tokio::test]
async fn what_cannot_be_a_key_is_said() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let place = gateway.data_dir();
    let place = place.parent().expect("the data lies in the test's place");
    let ended = run(
        place,
        &[
            "--data-dir",
            "data",
            "keys",
            "create",
            "--name",
            "x",
            "--budget",
            "5/year",
        ],
    );
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("budget `5/year`"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_chunked_body_is_weighed_whole_before_a_budget_lets_it_pass() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    // Enough for the first 64 KiB and an answer of ordinary length, not for 800,000 bytes.
    let (_, key) = gateway
        .new_key(&["--name", "small", "--budget", "0.50/day"])
        .await;
    let body = responses_body(&"x".repeat(800_000)).to_string();
    let ask = |body: &str| {
        let call = gateway.client().post("/v1/responses").bearer(&key);
        call.header("content-type", "application/json").body(body)
    };
    let reply = ask(&body).chunked(8 << 10).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (429, "usage_limit_reached"),
        "{}",
        reply.text()
    );
    assert!(upstream.model_requests().is_empty());
    // A bound on the output that stands behind the input counts as well.
    let mut long = responses_body(&"x".repeat(100_000));
    long["zz"] = json!(0);
    let long = long
        .to_string()
        .replace("\"zz\":0", "\"max_output_tokens\":100000");
    assert!(
        long.find("max_output_tokens").unwrap() > 100_000,
        "it stands behind the input"
    );
    assert_eq!(ask(&long).send().await.status, 429);
    let fits = responses_body(&"x".repeat(100_000)).to_string();
    assert_eq!(ask(&fits).chunked(8 << 10).send().await.status, 200);
}

#[tokio::test]
async fn a_background_response_is_not_for_those_whose_usage_is_counted() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, counted) = gateway
        .new_key(&["--name", "counted", "--budget", "5.00/day"])
        .await;
    let (_, free) = gateway.new_key(&["--name", "free", "--rpm", "60"]).await;
    // Behind so much text that it is read late.
    let mut body = responses_body(&"x".repeat(200_000));
    body["background"] = json!(true);
    let reply = ask_as(&gateway, &counted, &body).await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert_eq!(reply.json()["error"]["code"], json!("key_not_permitted"));
    assert_eq!(upstream.model_requests().len(), 0);
    let reply = ask_as(&gateway, &free, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_key_works_when_its_creation_or_rotation_returns() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let secret = |answer: &str| -> (String, String) {
        let made: Value = serde_json::from_str(answer).expect("JSON");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    };
    for index in 0..5 {
        let name = format!("ci {index}");
        let made = gateway.administer(&["keys", "create", "--name", &name, "--json"]);
        let (id, key) = secret(&made);
        let reply = ask_as(&gateway, &key, &responses_body("hi")).await;
        assert_eq!(reply.status, 200, "{index}: {}", reply.text());
        let (_, key) = secret(&gateway.administer(&["keys", "rotate", &id, "--json"]));
        assert_eq!(models_by(&gateway, &key).await.status, 200, "{index}");
    }
}

#[tokio::test]
async fn guessing_keys_is_refused_and_new_keys_are_known_all_the_same() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    for index in 0..60 {
        let guess = format!("cgw_{index:048}");
        assert_eq!(models_by(&gateway, &guess).await.status, 401, "{index}");
    }
    let made = gateway.administer(&["keys", "create", "--name", "ci", "--json"]);
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = made["key"].as_str().expect("a text");
    let known = until(
        &gateway,
        || models_by(&gateway, key),
        |reply| reply.status == 200,
    );
    known.await;
    assert!(upstream.model_requests().is_empty());
}

#[tokio::test]
async fn a_holder_sees_their_own_usage_and_nobody_elses() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (own_id, own) = gateway
        .new_key(&["--name", "alice", "--budget", "5.00/day"])
        .await;
    let (_, other) = gateway.new_key(&["--name", "bob"]).await;
    for key in [&own, &other, &other] {
        assert_eq!(
            ask_as(&gateway, key, &responses_body("hi")).await.status,
            200
        );
    }
    let client = gateway.client();
    let reply = client.get("/api/me/usage").bearer(&own).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = reply.json();
    assert_eq!(seen["key"]["id"], own_id.as_str());
    assert_eq!(seen["total"]["requests"], 1);
    assert_eq!(seen["rows"][0]["model"], "gpt-5.5");
    assert_eq!(seen["budgets"][0]["nanos"], 5_000_000_000_i64);
    assert_eq!(
        seen["budgets"][0]["spent_nanos"],
        seen["total"]["cost_nanos_metered"]
    );
    assert!(!reply.text().contains("bob"), "{}", reply.text());
    // The key opens nothing else below `/api`, and nothing else opens this.
    let admin = client.get("/api/usage").bearer(&own).send().await;
    assert_eq!(
        (admin.status, admin.error_code().as_str()),
        (403, "admin_required")
    );
    let none = client.get("/api/me/usage").send().await;
    assert_eq!(
        (none.status, none.error_code().as_str()),
        (401, "missing_credential")
    );
    let wrong = client
        .get("/api/me/usage?since=soon")
        .bearer(&own)
        .send()
        .await;
    assert_eq!(wrong.status, 400);
    gateway.administer(&["keys", "revoke", &own_id]);
    let gone = until(
        &gateway,
        || client.get("/api/me/usage").bearer(&own).send(),
        |reply| reply.status != 200,
    )
    .await;
    assert_eq!(
        (gone.status, gone.error_code().as_str()),
        (401, "invalid_gateway_key")
    );
}
