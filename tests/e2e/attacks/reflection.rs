//! Upstreams that repeat the gateway's own credential, and callers who send more than a request.

use gateway_tests::gateway::{Gateway, TEAM_CREDENTIAL};
use gateway_tests::sample::responses_body;
use gateway_tests::upstream::{FixedResponse, Matcher, Payload, Respond, Script, Upstream};
use serde_json::json;

const ESCAPED: &str = "sk\\u002dcanary";

fn fixed(status: u16, kind: &str, body: String) -> FixedResponse {
    let answer = FixedResponse {
        status,
        headers: vec![],
        body: Payload::Text(body),
    };
    answer.header("content-type", kind)
}

#[tokio::test]
async fn an_answer_that_repeats_the_gateways_credential_reaches_nobody() {
    let encoded = TEAM_CREDENTIAL.replace('-', "%2D");
    let said = format!("{TEAM_CREDENTIAL} {encoded}");
    let error = json!({"error": {"message": said, "type": "invalid_request_error", "code": "bad"}});
    let stream = format!(
        "event: response.created\ndata: {{\"type\":\"response.created\",\"response\":{{\"id\":\"r\",\"model\":\"{TEAM_CREDENTIAL}\"}}}}\n\n\
         event: response.failed\ndata: {{\"type\":\"response.failed\",\"response\":{{\"id\":\"r\",\"error\":{{\"code\":\"x\",\"message\":\"{said}\"}}}}}}\n\n"
    );
    for answer in [
        fixed(400, "application/json", error.to_string()),
        fixed(500, "application/json", error.to_string()),
        fixed(200, "text/event-stream", stream),
        fixed(
            200,
            "application/json",
            format!("{{\"id\":\"{TEAM_CREDENTIAL}\",\"object\":\"response\",\"output\":[]}}"),
        ),
    ] {
        let answer = answer.header("x-request-id", &said);
        let script = Script::default().rule(Matcher::default(), Respond::FixedResponse(answer));
        let upstream = Upstream::with(script).await;
        let gateway = Gateway::of_a_team(&upstream, "").await;
        let (_, key) = gateway.new_key(&["--name", "curious"]).await;
        let call = gateway.client().post("/v1/responses").bearer(&key);
        let reply = call.json(&responses_body("hi")).send().await;
        let all = format!(
            "{} {} {}",
            reply.text(),
            reply.header("x-request-id").unwrap_or_default(),
            gateway.output()
        );
        for secret in [TEAM_CREDENTIAL, &encoded, ESCAPED] {
            assert!(!all.contains(secret), "{all}");
        }
        assert!(all.contains("****"), "{all}");
    }
}

#[tokio::test]
async fn beside_the_gateways_credential_only_known_headers_and_parameters_go_on() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway.new_key(&["--name", "tinker"]).await;
    let call = gateway
        .client()
        .post("/v1/responses?api-version=2020-01-01&include=a;api-version=b&limit=3&key=x")
        .bearer(&key);
    let mut call = call.json(&responses_body("hi"));
    for name in [
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-goog-api-key",
        "x-openai-api-key",
        "x-codex-authorization",
        "idempotency-key",
        "api-version",
        "ocp-apim-subscription-key",
        "anthropic-version",
        "x-anything",
    ] {
        call = call.header(name, "chosen-by-a-caller");
    }
    let call = call.header("codex-gateway-loop", "not an id\t;");
    assert_eq!(call.send().await.status, 200);
    let sent = upstream.only_request();
    let described = format!("{:?} {:?}", sent.query(), sent.describe());
    assert!(!described.contains("chosen-by-a-caller"), "{described}");
    assert_eq!(sent.query(), Some("limit=3"));
    let mut names = sent.header_names();
    names.sort_unstable();
    for name in names {
        let is_known = [
            "accept",
            "accept-encoding",
            "authorization",
            "codex-gateway-loop",
            "content-length",
            "content-type",
            "host",
            "transfer-encoding",
            "user-agent",
        ]
        .contains(&&*name);
        assert!(is_known, "{name}");
    }
}
