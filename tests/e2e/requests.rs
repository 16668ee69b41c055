//! Requests that the gateway refuses itself: always the OpenAI envelope, always before anything
//! goes upstream.

use gateway_tests::client::Reply;
use gateway_tests::codec;
use gateway_tests::gateway::Gateway;
use gateway_tests::sample::{API_KEY, by_key, responses_body};
use gateway_tests::start;
use gateway_tests::upstream::Script;
use serde_json::json;

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (status, code),
        "{}",
        reply.text()
    );
    let error = &reply.json()["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{error}"
    );
    assert!(
        error["type"].is_string() && error.get("param").is_some(),
        "{error}"
    );
    assert!(
        reply
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/json"))
    );
}

async fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> Reply {
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    call.body(body).send().await
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_with_its_position() {
    let (upstream, gateway) = start(Script::default()).await;
    for body in [
        "",
        "[]",
        "\"x\"",
        "{\"model\":\"gpt-5.5\",}",
        "{\"model\":\"gpt-5.5\"} x",
        "{\"model\":\"gpt-5.5\"",
        "\u{feff}",
    ] {
        let reply = post(&gateway, body).await;
        assert_refused(&reply, 400, "invalid_request");
    }
    let message = post(&gateway, "{\"model\":\"gpt-5.5\",\n \"stream\": yes }")
        .await
        .json()["error"]["message"]
        .to_string();
    assert!(
        message.chars().any(|char| char.is_ascii_digit()),
        "a position is named: {message}"
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn two_model_keys_are_refused_wherever_they_stand() {
    let (upstream, gateway) = start(Script::default()).await;
    let late = format!(
        "{{\"model\":\"gpt-5.5\",\"input\":\"{}\",\"model\":\"gpt-5.4\"}}",
        "x".repeat(1_000_000)
    );
    for body in [
        r#"{"model":"gpt-5.5","model":"gpt-5.5"}"#.to_owned(),
        r#"{"model":"gpt-5.5","input":"hi","mod\u0065l":"gpt-5.4"}"#.to_owned(),
        r#"{"\u006dodel":"gpt-5.5","input":"hi","model":"gpt-5.4"}"#.to_owned(),
        r#"{"model":"gpt-5.5","model":null}"#.to_owned(),
        // Some upstreams read names without regard to case.
        r#"{"model":"gpt-5.5","MODEL":"gpt-5.4"}"#.to_owned(),
        r#"{"Model":"gpt-5.4","model":"gpt-5.5"}"#.to_owned(),
        r#"{"MODEL":"gpt-5.4","input":"hi"}"#.to_owned(),
        r#"{"model":"gpt-5.5","stream":false,"\u017ftream":true}"#.to_owned(),
        late.replace("\"model\":\"gpt-5.4\"", "\"MODEL\":\"gpt-5.4\""),
        late.clone(),
    ] {
        assert_refused(&post(&gateway, body).await, 400, "invalid_request");
    }
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    assert_refused(
        &call.body(late).chunked(8_000).send().await,
        400,
        "invalid_request",
    );
    let served = upstream
        .served()
        .iter()
        .filter(|served| served.completed)
        .count();
    assert_eq!(
        served,
        0,
        "no upstream may have answered: {:?}",
        upstream.served()
    );
    // A `model` inside something else is nobody's business.
    let inner =
        r#"{"model":"gpt-5.5","input":[{"model":"x"}],"metadata":{"model":"y"},"stream":true}"#;
    assert_eq!(post(&gateway, inner).await.status, 200);
}

#[tokio::test]
async fn bad_model_ids_are_refused() {
    let (upstream, gateway) = start(Script::default()).await;
    for model in [
        json!(" gpt-5.5"),
        json!("gpt-5.5 "),
        json!("gpt\n5"),
        json!("a\u{0}b"),
        json!(""),
        json!(5),
        json!(null),
    ] {
        let mut body = responses_body("hi");
        body["model"] = model.clone();
        let reply = gateway
            .client()
            .post("/v1/responses")
            .bearer(API_KEY)
            .json(&body)
            .send()
            .await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "invalid_request"),
            "{model}: {}",
            reply.text()
        );
    }
    assert!(upstream.requests().is_empty());
    let mut body = responses_body("hi");
    body["model"] = json!("GPT-5.5");
    assert_eq!(
        gateway
            .client()
            .post("/v1/responses")
            .bearer(API_KEY)
            .json(&body)
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        upstream.only_request().json()["model"],
        "GPT-5.5",
        "matched whatever the case, sent as given"
    );
}

#[tokio::test]
async fn unknown_paths_methods_and_types_are_refused_in_json() {
    let (upstream, gateway) = start(Script::default()).await;
    let client = gateway.client();
    assert_refused(&client.get("/nothing/here").send().await, 404, "not_found");
    assert_refused(
        &client.get("/v1/").bearer(API_KEY).send().await,
        404,
        "not_found",
    );
    assert_refused(&client.get("/healthz/x").send().await, 404, "not_found");
    assert_refused(
        &client
            .call("PUT", "/v1/responses")
            .bearer(API_KEY)
            .send()
            .await,
        405,
        "method_not_allowed",
    );
    let reply = by_key(&client)
        .set_header("content-encoding", "rot13")
        .send()
        .await;
    assert_refused(&reply, 415, "unsupported_encoding");
    let reply = by_key(&client)
        .set_header("content-type", "text/plain")
        .send()
        .await;
    assert_refused(&reply, 415, "unsupported_media_type");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_refused() {
    let (upstream, gateway) = start(Script::default()).await;
    let body = responses_body("hi").to_string();
    for encoding in ["zstd", "gzip", "deflate", "br"] {
        let mut packed = codec::encode(encoding, body.as_bytes()).unwrap();
        packed.truncate(packed.len() / 2);
        let reply = by_key(&gateway.client())
            .header("content-encoding", encoding)
            .body(packed)
            .send()
            .await;
        assert_refused(&reply, 400, "invalid_request");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn malformed_http_is_refused_and_the_connection_closed() {
    let (upstream, gateway) = start(Script::default()).await;
    let client = gateway.client();
    for bytes in [
        "POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: \
         5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: \
         6\r\n\r\nhello",
        "POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: +5\r\n\r\nhello",
        "POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/responses HTTP/1.1\r\nhost : 127.0.0.1\r\n\r\n",
        "GARBAGE\r\n\r\n",
    ] {
        let smuggled = format!("{bytes}GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
        let answer = client
            .raw(smuggled.as_bytes(), std::time::Duration::from_millis(500))
            .await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let statuses: Vec<&str> = answer.matches("HTTP/1.1 ").collect();
        assert!(
            statuses.len() <= 1,
            "one answer at most to {bytes:?}: {answer}"
        );
        assert!(!answer.starts_with("HTTP/1.1 2"), "{bytes:?}: {answer}");
    }
    assert!(upstream.requests().is_empty());
}
