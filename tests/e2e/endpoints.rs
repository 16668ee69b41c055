//! Every endpoint of the table passes, on all its paths, and those that are not served say so.

use crate::passthrough::assert_whole;
use gateway_tests::gateway::Config;
use gateway_tests::sample::{API_KEY, responses_body, signed_in};
use gateway_tests::upstream::{Matcher, Respond, Script};
use gateway_tests::{start, start_with};

#[tokio::test]
async fn queries_are_forwarded_and_paths_answer_without_v1() {
    let (upstream, gateway) = start(Script::default()).await;
    for (path, forwarded) in [
        (
            "/v1/responses?api-version=preview&x=%20y",
            "/v1/responses?api-version=preview&x=%20y",
        ),
        ("/responses", "/v1/responses"),
        ("/chat/completions?a", "/v1/chat/completions?a"),
    ] {
        upstream.reset();
        let reply = gateway
            .client()
            .post(path)
            .bearer(API_KEY)
            .json(&responses_body("hi"))
            .send()
            .await;
        assert_whole(&reply);
        assert_eq!(upstream.only_request().target, forwarded);
    }
}

#[tokio::test]
async fn the_other_endpoints_pass_with_their_method_body_and_credential() {
    let (upstream, gateway) =
        start(Script::default().rule(Matcher::default(), Respond::Echo)).await;
    let multipart =
        "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt-image\r\n--b--\r\n";
    for (method, target, kind, body) in [
        (
            "POST",
            "/v1/responses/compact",
            "application/json",
            r#"{"model":"gpt-5.5","input":[]}"#,
        ),
        ("GET", "/v1/responses/resp_1?include=x", "", ""),
        ("DELETE", "/v1/responses/resp_1", "", ""),
        (
            "POST",
            "/v1/responses/resp_1/cancel",
            "application/json",
            "",
        ),
        ("GET", "/v1/responses/resp_1/input_items?limit=2", "", ""),
        (
            "POST",
            "/v1/responses/input_tokens",
            "application/json",
            r#"{"model":"gpt-5.5","input":"x"}"#,
        ),
        (
            "POST",
            "/v1/alpha/search",
            "application/json",
            r#"{"query":"x"}"#,
        ),
        (
            "POST",
            "/v1/images/generations",
            "application/json",
            r#"{"model":"gpt-image","prompt":"x"}"#,
        ),
        (
            "POST",
            "/v1/images/edits",
            "multipart/form-data; boundary=b",
            multipart,
        ),
        (
            "POST",
            "/v1/realtime/calls",
            "multipart/form-data; boundary=b",
            multipart,
        ),
        (
            "POST",
            "/v1/memories/trace_summarize",
            "application/json",
            r#"{"model":"gpt-5.5","traces":[]}"#,
        ),
    ] {
        for signed in [true, false] {
            upstream.reset();
            let call = gateway.client().call(method, target).body(body);
            let call = if kind.is_empty() {
                call
            } else {
                call.header("content-type", kind)
            };
            let reply = if signed {
                signed_in(call)
            } else {
                call.bearer(API_KEY)
            }
            .send()
            .await;
            assert_eq!(reply.status, 200, "{method} {target}: {}", reply.text());
            let request = upstream.only_request();
            assert_eq!(
                (request.method.as_str(), request.target.as_str()),
                (method, target)
            );
            assert_eq!(request.raw, body.as_bytes(), "{method} {target}");
            assert_eq!(
                request.header("content-type").unwrap_or_default(),
                kind,
                "{method} {target}"
            );
            assert_eq!(
                request.header("authorization").unwrap().contains(API_KEY),
                !signed
            );
        }
    }
}

#[tokio::test]
async fn chat_completions_pass_and_say_that_they_are_deprecated() {
    let (upstream, gateway) = start(Script::default()).await;
    let body = r#"{"model":"gpt-5.2","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#;
    let call = gateway
        .client()
        .post("/v1/chat/completions")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    let reply = call.body(body).send().await;
    assert_whole(&reply);
    assert!(
        reply.text().ends_with("data: [DONE]\n\n"),
        "{}",
        reply.text()
    );
    assert!(
        reply.header("deprecation").is_some() && reply.header("link").is_some(),
        "{:?}",
        reply.fields
    );
    assert_eq!(upstream.only_request().raw, body.as_bytes());
}

#[tokio::test]
async fn an_upgrade_is_refused_so_that_codex_falls_back() {
    let off = |config: Config| config.server("websocket = false");
    let (upstream, gateway) = start_with(Script::default(), off).await;
    let call = signed_in(gateway.client().get("/v1/responses"))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "ad58oRhHLNL2g8TCA12bvg==");
    let reply = call.send().await;
    assert_eq!((reply.status, reply.text().as_str()), (426, ""));
    assert!(upstream.requests().is_empty());
}
