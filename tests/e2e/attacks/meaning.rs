//! Bodies that mean one thing to the gateway and another to its upstream.

use gateway_tests::client::Reply;
use gateway_tests::gateway::Gateway;
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{FixedResponse, Matcher, Respond, Script, Upstream};
use serde_json::json;

/// Bodies whose meaning depends on the reader, each with the member that the refusal names.
const UNCLEAR: [(&str, &str, &str); 14] = [
    (
        "/v1/chat/completions",
        r#""stream":true,"stream_options":{"include_usage":true},"stream_options":{"include_usage":false}"#,
        "stream_options",
    ),
    (
        "/v1/chat/completions",
        r#""stream":true,"stream_options":{"include_usage":true,"include_usage":false}"#,
        "stream_options.include_usage",
    ),
    (
        "/v1/chat/completions",
        r#""stream":true,"stream_options":[]"#,
        "stream_options",
    ),
    (
        "/v1/chat/completions",
        r#""stream":true,"stream_options":{"include_usage":"yes"}"#,
        "stream_options.include_usage",
    ),
    ("/v1/chat/completions", r#""stream":1"#, "stream"),
    ("/v1/chat/completions", r#""stream":"true""#, "stream"),
    ("/v1/chat/completions", r#""Stream":true"#, "stream"),
    ("/v1/chat/completions", r#""n":"128""#, "n"),
    ("/v1/responses", r#""background":1"#, "background"),
    ("/v1/responses", r#""background":"true""#, "background"),
    (
        "/v1/responses",
        r#""background":false,"background":true"#,
        "background",
    ),
    (
        "/v1/responses",
        r#""max_output_tokens":1e9"#,
        "max_output_tokens",
    ),
    (
        "/v1/responses",
        r#""max_output_tokens":1,"max_output_tokens":100000"#,
        "max_output_tokens",
    ),
    (
        "/v1/responses",
        r#""service_tier":"flex","service_tier":"priority""#,
        "service_tier",
    ),
];

async fn ask(gateway: &Gateway, key: &str, path: &str, members: &str) -> Reply {
    let content = if path == "/v1/responses" {
        r#""input":"hi""#
    } else {
        r#""messages":[{"role":"user","content":"hi"}]"#
    };
    let body = format!(r#"{{"model":"gpt-5.5",{content},{members}}}"#);
    let call = gateway.client().post(path).bearer(key);
    call.header("content-type", "application/json")
        .body(body)
        .send()
        .await
}

#[tokio::test]
async fn what_could_mean_something_else_upstream_is_refused_where_the_gateway_pays_or_counts() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, budget) = gateway
        .new_key(&["--name", "poor", "--budget", "5.00/day"])
        .await;
    let (_, paid) = gateway.new_key(&["--name", "paid for"]).await;
    for (path, members, member) in UNCLEAR {
        for key in [&budget, &paid] {
            let reply = ask(&gateway, key, path, members).await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (400, "invalid_request"),
                "{members}"
            );
            assert_eq!(reply.json()["error"]["param"], member, "{members}");
        }
    }
    assert!(upstream.model_requests().is_empty());
    // Those who pay themselves may send what they like, byte for byte.
    for (path, members, _) in UNCLEAR {
        upstream.reset();
        ask(&gateway, API_KEY, path, members).await;
        let sent = upstream.only_request();
        assert!(
            String::from_utf8_lossy(sent.body()).contains(members),
            "{members}"
        );
    }
}

#[tokio::test]
async fn model_lists_on_the_gateways_credential_count_like_any_request() {
    let list = json!({"object": "list", "data": [{"id": "gpt-5.5", "object": "model"}]});
    let script = Script::default().rule(
        Matcher::path("/models"),
        Respond::FixedResponse(FixedResponse::json(200, list)),
    );
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway.new_key(&["--name", "list", "--rpm", "1"]).await;
    let lists = async |path: &str| gateway.client().get(path).bearer(&key).send().await;
    assert_eq!(lists("/v1/models").await.status, 200);
    for path in ["/v1/models", "/v1/models/gpt-5.5", "/models"] {
        let reply = lists(path).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (429, "rate_limit_exceeded"),
            "{path}"
        );
        assert!(reply.header("retry-after").is_some(), "{path}");
    }
    assert_eq!(upstream.requests().len(), 1);
    // A spent budget does not hide which models there are, and one list at a time is enough.
    let (_, spent) = gateway
        .new_key(&["--name", "spent", "--budget", "0/day", "--concurrency", "1"])
        .await;
    for _ in 0..5 {
        let reply = gateway
            .client()
            .get("/v1/models")
            .bearer(&spent)
            .send()
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let body = responses_body("hi");
    let call = gateway.client().post("/v1/responses").bearer(&spent);
    assert_eq!(
        call.json(&body).send().await.error_code(),
        "usage_limit_reached"
    );
}
