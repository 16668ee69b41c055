//! Failures of the upstream: its own words byte for byte, and one of the contract's errors where it
//! has none.

use gateway_tests::client::{Call, Client, Reply};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, by_chatgpt, by_key, responses_body, signed_in};
use gateway_tests::upstream::{
    Chunking, Ending, FixedResponse, ModelAnswer, Payload, ReplyHead, Respond, Script, Step,
    Upstream, refused_address,
};
use gateway_tests::{start, start_with};
use serde_json::{Value, json};
use std::time::Duration;

/// The failure that the gateway told, as an error body or in-stream, in the shape that Codex reads.
#[track_caller]
fn told(reply: &Reply) -> (String, String) {
    assert_eq!(
        reply.cut,
        None,
        "the answer must end properly: {}",
        reply.text()
    );
    assert_ne!(
        reply.status,
        500,
        "Codex repeats a 500 thirty times: {}",
        reply.text()
    );
    let error = if reply.status == 200 {
        let last = reply
            .events()
            .pop()
            .unwrap_or_else(|| panic!("no event: {}", reply.text()));
        assert_eq!(last["type"], "response.failed", "{last}");
        assert!(last["response"]["id"].is_string(), "{last}");
        last["response"]["error"].clone()
    } else {
        let body = reply.json();
        for field in ["message", "type", "code", "param"] {
            assert!(body["error"].get(field).is_some(), "no `{field}` in {body}");
        }
        body["error"].clone()
    };
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    assert!(!text("message").is_empty(), "{error}");
    (text("code"), text("message"))
}

fn send(text: &str) -> Step {
    Step::Send {
        body: Payload::Text(text.to_owned()),
        cuts: Chunking::Whole,
        delay_ms: 0,
    }
}

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
const DELTA: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"half of\"}\n\n";

#[tokio::test]
async fn errors_of_the_upstream_pass_byte_for_byte() {
    let (upstream, gateway) = start(Script::default()).await;
    for (status, body) in [
        (
            400,
            "{\"detail\":\"The 'gpt-5.1-codex' model is not supported when using Codex with a ChatGPT account.\"}",
        ),
        (401, "{ \"error\": {\"code\":\"token_invalidated\"}}"),
        (403, "<html>Cloudflare</html>"),
        (
            404,
            "{\"error\":{\"code\":\"model_not_found\",\"message\":\"no\",\"n\":1.0}}",
        ),
        (413, ""),
        (
            429,
            "{\"error\":{\"type\":\"usage_limit_reached\",\"plan_type\":\"free\",\"resets_at\":1795000000}}",
        ),
        (500, "oops"),
        (503, "{\"error\":{\"code\":\"server_is_overloaded\"}}"),
        (529, "{}"),
    ] {
        let plain = FixedResponse {
            status,
            headers: vec![],
            body: Payload::Text(body.to_owned()),
        }
        .header("content-type", "application/json")
        .header("retry-after", "3")
        .header("x-codex-primary-used-percent", "100")
        .header("x-request-id", "req_up");
        upstream.set_script(Script::always(Respond::FixedResponse(plain)));
        // A model that no built-in fallback knows.
        let mut body_sent = responses_body("hi");
        body_sent["model"] = json!("a-model-of-their-own");
        let call = || gateway.client().post("/v1/responses").json(&body_sent);
        for call in [call().bearer(API_KEY), signed_in(call())] {
            upstream.reset();
            let reply = call.send().await;
            assert_eq!((reply.status, reply.text().as_str()), (status, body));
            assert_eq!(reply.header("retry-after"), Some("3"));
            assert_eq!(reply.header("x-codex-primary-used-percent"), Some("100"));
            assert_eq!(reply.header("x-request-id"), Some("req_up"));
            assert_eq!(
                upstream.requests().len(),
                1,
                "the gateway may not repeat a {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_failed_event_passes_as_it_is() {
    let failed = "event: response.failed\ndata: {\"type\":\"response.failed\", \"response\":{\"id\":\"resp_1\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"try again in 2s\"}}}\n\n";
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(CREATED),
        send(failed),
    ];
    let (_upstream, gateway) = start(steps).await;
    assert_eq!(
        by_key(&gateway.client()).send().await.text(),
        format!("{CREATED}{failed}")
    );
}

#[tokio::test]
async fn an_incomplete_answer_passes() {
    let ending = Ending::Incomplete {
        reason: "max_output_tokens".to_owned(),
    };
    let (_upstream, gateway) = start_with(
        Script::answer(ModelAnswer::text("x").ending(ending)),
        |config| config,
    )
    .await;
    let last = by_key(&gateway.client())
        .send()
        .await
        .events()
        .pop()
        .unwrap();
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
}

#[tokio::test]
async fn an_error_event_alone_becomes_a_failure_that_codex_reads() {
    for code in [Some("server_error".to_owned()), None] {
        let ending = Ending::ErrorEvent {
            code: code.clone(),
            message: "the GPU caught fire".to_owned(),
        };
        let (_upstream, gateway) = start_with(
            Script::answer(ModelAnswer::text("x").ending(ending)),
            |config| config,
        )
        .await;
        let (_, message) = told(&by_key(&gateway.client()).send().await);
        assert!(message.contains("the GPU caught fire"), "{message}");
    }
}

/// Each way of not getting an answer at all, with the code for it.
async fn unreachable_upstreams() -> Vec<(String, &'static str)> {
    let refused = refused_address().await;
    vec![
        (format!("http://{refused}/v1"), "refused"),
        ("http://no-such-host.invalid/v1".to_owned(), "unknown name"),
    ]
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_told_as_such() {
    for (base_url, what) in unreachable_upstreams().await {
        let gateway = Gateway::start(&Config::of(&base_url, &base_url)).await;
        for call in [
            by_key(&gateway.client()),
            by_chatgpt(&gateway.client()),
            whole(&gateway.client()),
        ] {
            let (code, message) = told(&call.send().await);
            assert_eq!(code, "upstream_unreachable", "{what}: {message}");
        }
    }
}

/// A request whose answer is not streamed.
fn whole(client: &Client) -> Call {
    let mut body = responses_body("hi");
    body["stream"] = json!(false);
    client.post("/v1/responses").bearer(API_KEY).json(&body)
}

#[tokio::test]
async fn an_upstream_without_proper_tls_is_told_as_unreachable() {
    let upstream = Upstream::start().await;
    let base_url = format!("https://{}/v1", upstream.address());
    let gateway = Gateway::start(&Config::of(&base_url, &base_url)).await;
    let (code, _) = told(&by_key(&gateway.client()).send().await);
    assert_eq!(code, "upstream_unreachable");
}

#[tokio::test]
async fn slow_headers_become_a_timeout() {
    let upstream = Upstream::with(Script::steps(vec![Step::Stall])).await;
    let gateway =
        Gateway::start(&Config::to(&upstream).upstream("headers_timeout = \"300ms\"")).await;
    for call in [by_key(&gateway.client()), whole(&gateway.client())] {
        let reply = call.send().await;
        assert_eq!(told(&reply).0, "upstream_timeout");
        assert!(
            reply.took >= Duration::from_millis(300) && reply.took < Duration::from_secs(5),
            "{:?}",
            reply.took
        );
    }
    let requests = upstream.wait_until_idle().await;
    assert_eq!(
        requests.len(),
        2,
        "a request that may be running is not repeated"
    );
}

#[tokio::test]
async fn a_connection_lost_before_the_headers_is_an_error_and_no_second_attempt() {
    for last in [Step::Reset, Step::Close] {
        let (upstream, gateway) = start(vec![last.clone()]).await;
        let (code, _) = told(&by_key(&gateway.client()).send().await);
        assert!(
            ["upstream_unreachable", "upstream_truncated"].contains(&code.as_str()),
            "{last:?}: {code}"
        );
        assert_eq!(upstream.requests().len(), 1, "{last:?}");
    }
}

#[tokio::test]
async fn a_stream_without_its_end_gets_one_that_codex_retries() {
    for last in [Step::Reset, Step::Close, Step::HalfClose, Step::End] {
        let steps = vec![
            Step::Head(ReplyHead::event_stream()),
            send(CREATED),
            send(DELTA),
            last.clone(),
        ];
        let (upstream, gateway) = start(steps).await;
        let reply = by_key(&gateway.client()).send().await;
        assert!(
            reply.text().starts_with(&format!("{CREATED}{DELTA}")),
            "{last:?}: {}",
            reply.text()
        );
        assert_eq!(told(&reply).0, "upstream_truncated", "{last:?}");
        assert_eq!(upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn half_an_event_is_not_passed_on_as_a_whole_one() {
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(CREATED),
        send("data: {\"type\":\"respo"),
        Step::Reset,
    ];
    let (_upstream, gateway) = start(steps).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(told(&reply).0, "upstream_truncated");
    let frames = reply.text().matches("\n\n").count();
    assert_eq!(
        reply.events().len(),
        frames,
        "every frame parses: {}",
        reply.text()
    );
}

#[tokio::test]
async fn a_stream_that_is_empty_is_no_success() {
    let (_upstream, gateway) = start_with(
        Script::steps(vec![Step::Head(ReplyHead::event_stream())]),
        |config| config,
    )
    .await;
    assert_eq!(
        told(&by_key(&gateway.client()).send().await).0,
        "upstream_truncated"
    );
}

#[tokio::test]
async fn silence_in_mid_stream_ends_after_the_idle_timeout() {
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(CREATED),
        send(DELTA),
        Step::Stall,
    ];
    let config = |config: Config| {
        config
            .upstream("stream_idle_timeout = \"400ms\"")
            .upstream("keepalive = \"100ms\"")
    };
    let (upstream, gateway) = start_with(Script::steps(steps), config).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(told(&reply).0, "upstream_timeout");
    assert!(
        reply.took < Duration::from_secs(5),
        "keep-alives must not prolong the silence: {:?}",
        reply.took
    );
    upstream.wait_until_idle().await;
}

#[tokio::test]
async fn comments_of_the_upstream_do_not_count_as_progress_forever() {
    // Codex ignores comments, so the gateway has to keep the client alive itself.
    let mut steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(CREATED),
        send(DELTA),
    ];
    for _ in 0..8 {
        steps.extend([Step::WaitMs(100), send(": ping\n\n")]);
    }
    steps.push(send(
        "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n",
    ));
    let (_upstream, gateway) = start_with(Script::steps(steps), |config| {
        config.upstream("keepalive = \"200ms\"")
    })
    .await;
    let reply = by_key(&gateway.client()).send().await;
    let added = reply.events().len() - 3;
    assert!(
        added >= 2,
        "data events keep Codex alive, comments do not: {}",
        reply.text()
    );
}

#[tokio::test]
async fn silence_is_bridged_with_data_events_that_leave_the_rest_alone() {
    let completed = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(CREATED),
        send("data: {\"type\":\"response.output_text.del"),
        Step::WaitMs(700),
        send("ta\",\"delta\":\"x\"}\n\n"),
        Step::WaitMs(700),
        send(completed),
    ];
    let (_upstream, gateway) = start_with(Script::steps(steps), |config| {
        config.upstream("keepalive = \"150ms\"")
    })
    .await;
    let reply = by_key(&gateway.client()).send().await;
    let (own, added): (Vec<Value>, Vec<Value>) = reply.events().into_iter().partition(|event| {
        [
            "response.created",
            "response.output_text.delta",
            "response.completed",
        ]
        .contains(&event["type"].as_str().unwrap())
    });
    assert_eq!(own.len(), 3, "{}", reply.text());
    assert!(added.len() >= 4, "{}", reply.text());
    assert!(
        reply
            .text()
            .contains("data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n"),
        "{}",
        reply.text()
    );
    assert_eq!(reply.cut, None);
}

#[tokio::test]
async fn a_redirect_is_neither_followed_nor_passed() {
    let other = Upstream::start().await;
    for status in [301, 302, 307, 308] {
        let plain = FixedResponse {
            status,
            headers: vec![],
            body: Payload::default(),
        };
        let plain = plain.header(
            "location",
            &format!("http://{}/v1/responses", other.address()),
        );
        let (_upstream, gateway) =
            start_with(Script::always(Respond::FixedResponse(plain)), |config| {
                config
            })
            .await;
        let reply = by_key(&gateway.client()).send().await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "upstream_redirected")
        );
        assert_eq!(reply.header("location"), None);
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_an_error() {
    let (_upstream, gateway) = start_with(
        Script::steps(vec![
            Step::Raw(Payload::Text("SSH-2.0-x\r\n\r\n".to_owned())),
            Step::Close,
        ]),
        |config| config,
    )
    .await;
    let (code, message) = told(&by_key(&gateway.client()).send().await);
    assert_eq!(code, "upstream_unreachable");
    assert!(message.contains("not HTTP"), "{message}");
}

#[tokio::test]
async fn an_answer_may_have_more_header_fields_than_common_libraries_take() {
    let head = (0..300).fold(ReplyHead::event_stream(), |head, number| {
        head.header(&format!("x-limit-{number}"), "1")
    });
    let completed = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    let steps = vec![Step::Head(head), send(completed)];
    let (_upstream, gateway) = start(steps).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, completed));
    assert_eq!(reply.header("x-limit-299"), Some("1"));
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_is_not_passed_as_whole() {
    let head = ReplyHead {
        status: 200,
        headers: vec![],
        framing: gateway_tests::upstream::ReplyFraming::AsHeaders,
    }
    .header("content-type", "application/json")
    .header("content-length", "100");
    let steps = vec![Step::Head(head), send("{\"id\":"), Step::Close];
    let (_upstream, gateway) = start(steps).await;
    let reply = whole(&gateway.client()).send().await;
    assert!(
        reply.cut.is_some() || reply.status >= 400,
        "{} {}",
        reply.status,
        reply.text()
    );
}

#[tokio::test]
async fn a_chat_stream_without_its_end_gets_an_error_too() {
    let chunk =
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ha\"}}]}\n\n";
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(chunk),
        Step::Reset,
    ];
    let (_upstream, gateway) = start(steps).await;
    let body = json!({"model": "m", "stream": true, "messages": []});
    let reply = gateway
        .client()
        .post("/v1/chat/completions")
        .bearer(API_KEY)
        .json(&body)
        .send()
        .await;
    assert_eq!(reply.cut, None, "{}", reply.text());
    let last = reply.events().pop().unwrap();
    assert_eq!(last["error"]["code"], "upstream_truncated", "{last}");
    assert!(!reply.text().contains("[DONE]"));
}
