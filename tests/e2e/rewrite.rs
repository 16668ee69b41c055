//! A rule that changes the model changes that one JSON value and nothing else.

use gateway_tests::codec;
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, chatgpt_token};
use gateway_tests::upstream::{ModelAnswer, Script, Upstream};

const RULE: &str = "[[rules]]\nname = \"small\"\nwhen = { model = \"big-model\" }\nthen = { rewrite = \"small-model\" }\n";

/// Bodies that a parser would write differently, with the model anywhere; `@` is where the gateway
/// may change bytes.
const BODIES: [(&str, &str); 5] = [
    (
        r#"{"model":@,"stream":true,"n":1.10,"big":123456789012345678901234567890,"a":[ ]}"#,
        r#""big-model""#,
    ),
    (
        "{ \"input\" : \"a \\\"model\\\": \\u00e9\\/\" ,\n\t\"model\"\t:\t@ , \"stream\": true }",
        r#""big-model""#,
    ),
    (
        r#"{"input":[{"model":"big-model"}],"stream":true,"mod\u0065l":@}"#,
        r#""big-model""#,
    ),
    (
        r#"{"stream":true,"model":@,"z":{"model":["big-model"]}}"#,
        r#""b\u0069g-model""#,
    ),
    (r#"{"stream":true,"model":@}"#, r#""BIG-model""#),
];

#[tokio::test]
async fn only_the_models_value_changes() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream).rest(RULE)).await;
    for (body, model) in BODIES {
        let (sent, expected) = (
            body.replace('@', model),
            body.replace('@', "\"small-model\""),
        );
        for encoding in ["identity", "zstd", "gzip"] {
            upstream.reset();
            let packed = codec::encode(encoding, sent.as_bytes()).unwrap();
            let call = gateway
                .client()
                .post("/v1/responses")
                .bearer(API_KEY)
                .header("content-type", "application/json");
            let call = if encoding == "identity" {
                call
            } else {
                call.header("content-encoding", encoding)
            };
            let reply = call.body(packed).send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let request = upstream.only_request();
            assert_eq!(String::from_utf8_lossy(request.body()), expected);
            assert_eq!(reply.header("x-gateway-decision"), Some("rewritten"));
            assert_eq!(reply.header("x-gateway-rule"), Some("small"));
            assert_eq!(reply.header("x-gateway-model-served"), Some("small-model"));
        }
    }
}

#[tokio::test]
async fn codex_is_not_told_of_another_model_where_it_would_cry_wolf() {
    // The real Codex shows any other `openai-model` as "flagged for potentially high-risk cyber
    // activity".
    let answer = ModelAnswer::text("x").header("openai-model", "small-model-2026-01-01");
    let upstream = Upstream::with(Script::answer(answer)).await;
    let gateway = Gateway::start(&Config::to(&upstream).rest(RULE)).await;
    let ask = |model: &str| {
        let call = gateway
            .client()
            .post("/v1/responses")
            .bearer(&chatgpt_token());
        call.header("content-type", "application/json")
            .body(format!("{{\"model\":\"{model}\",\"stream\":true}}"))
    };
    let reply = ask("big-model").send().await;
    assert_eq!(reply.header("openai-model"), Some("big-model"));
    let reply = ask("other-model").send().await;
    assert_eq!(
        reply.header("openai-model"),
        Some("small-model-2026-01-01"),
        "the upstream's own change stays visible"
    );
}

#[tokio::test]
async fn a_rejected_model_is_told_in_the_words_that_codex_shows() {
    let upstream = Upstream::start().await;
    let rule = "[[rules]]\nname = \"no big ones\"\nwhen = { model = \"big-*\" }\nthen = { reject = \"too dear for this team\" }\n";
    let gateway = Gateway::start(&Config::to(&upstream).rest(rule)).await;
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    let reply = call.body(r#"{"model":"big-model"}"#).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "model_not_found"),
        "{}",
        reply.text()
    );
    let message = reply.json()["error"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        message.contains("no big ones") && message.contains("too dear for this team"),
        "{message}"
    );
    assert_eq!(reply.header("x-gateway-decision"), Some("rejected"));
    assert!(upstream.requests().is_empty());
}
