//! Responses clients before an upstream that speaks Chat Completions: what it gets, what comes
//! back, and how each failure is told.

mod bad_input;
mod failures;
mod requests;
mod streams;

use gateway_tests::client::{Call, Reply};
use gateway_tests::gateway::{Gateway, Start};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Script, Upstream};
use serde_json::{Value, json};

/// The gateway's own key at the upstream; no client may ever see it.
pub(crate) const THIRD_KEY: &str = "sk-canary-third-party-9d1e";

/// An upstream of another party that speaks `wire`, and a gateway in front of it for everybody.
pub(crate) async fn third_party(script: Script, wire: &str, lines: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::with(script).await;
    upstream.expect_gateway();
    let config = format!(
        "[upstreams.third]\nbase_url = \"{}\"\nwire_api = {wire}\ncredential = {{ env = \"THIRD_KEY\" }}\n{lines}\n\
         [routes]\napi_key = \"third\"\nanonymous = \"third\"\n",
        upstream.base_url()
    );
    let gateway = start(&config).await;
    (upstream, gateway)
}

/// A gateway with a configuration that names `THIRD_KEY`.
pub(crate) async fn start(config: &str) -> Gateway {
    Gateway::start_with(Start {
        config: Some(config.to_owned()),
        environment: vec![("THIRD_KEY".to_owned(), THIRD_KEY.to_owned())],
        ..Start::default()
    })
    .await
}

pub(crate) async fn chat_only(script: Script, lines: &str) -> (Upstream, Gateway) {
    third_party(script, "\"chat\"", lines).await
}

pub(crate) fn call(gateway: &Gateway, path: &str, body: &Value) -> Call {
    gateway.client().post(path).bearer(API_KEY).json(body)
}

/// `POST /v1/responses` and the whole answer.
pub(crate) async fn respond(gateway: &Gateway, body: &Value) -> Reply {
    call(gateway, "/v1/responses", body).send().await
}

/// A turn of a conversation that has only just begun.
pub(crate) fn turn(stream: bool) -> Value {
    json!({
        "model": "third-a", "stream": stream, "store": false, "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    })
}

/// The same with more or other members.
pub(crate) fn turn_with(stream: bool, more: &Value) -> Value {
    let mut body = turn(stream);
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// The one line about the only exchange so far.
pub(crate) async fn exchange_line(gateway: &Gateway) -> String {
    gateway.wait_for_output(" duration_ms=").await;
    let output = gateway.output();
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| line.contains("outcome=") || line.contains("\"outcome\""))
        .collect();
    assert_eq!(lines.len(), 1, "{output}");
    lines[0].to_owned()
}

/// The value of a metric's line that begins so.
pub(crate) async fn metric(gateway: &Gateway, line: &str) -> Option<String> {
    let text = gateway.client().get("/metrics").send().await.text();
    text.lines()
        .find_map(|found| found.strip_prefix(line))
        .map(|rest| rest.trim().to_owned())
}
