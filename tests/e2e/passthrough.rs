//! Nothing changes on the way: bytes, headers, queries, in both directions, on every endpoint.

use gateway_tests::client::Reply;
use gateway_tests::codec;
use gateway_tests::sample::{API_KEY, by_chatgpt, by_key, responses_body, signed_in};
use gateway_tests::start;
use gateway_tests::upstream::{
    Chunking, FixedResponse, ModelAnswer, Payload, ReplyFraming, ReplyHead, Respond, Script, Step,
};
use serde_json::json;

/// A stream that a re-serialising gateway would change: order of keys, spaces, numbers, escapes,
/// comments, unknown events and fields, several data lines.
const ODD_STREAM: &str = concat!(
    ": a comment of the upstream's\n\n",
    "event: response.created\ndata: {\"type\":\"response.created\", \"response\": {\"id\":\"resp_1\",\"n\":1.0e2}}\n\n",
    "event: made.up\nid: 7\nretry: 10\ndata: {\"type\":\"made.up\",\"z\":1,\"a\":[ ]}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\ndata:  \"delta\":\"h\\u00e9 \u{1F600}\"}\n\n",
    "data:{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",",
    "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"hé\"}]}}\n\n",
    "data: {\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7,",
    "\"new_field\":{}}},\"type\":\"response.completed\"}\n\n",
);

fn stream(body: Payload, cuts: Chunking, delay_ms: u64) -> Script {
    Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body,
            cuts,
            delay_ms,
        },
    ])
}

#[track_caller]
pub(crate) fn assert_whole(reply: &Reply) {
    assert_eq!((reply.status, reply.cut), (200, None), "{}", reply.text());
}

#[tokio::test]
async fn a_stream_arrives_byte_for_byte_wherever_it_was_cut() {
    let (upstream, gateway) = start(Script::default()).await;
    let middle_of_a_character = ODD_STREAM.find('\u{1F600}').unwrap() + 2;
    for cuts in [
        Chunking::Whole,
        Chunking::Events,
        Chunking::Each(1),
        Chunking::Each(7),
        Chunking::At(vec![1, middle_of_a_character]),
    ] {
        upstream.set_script(stream(
            Payload::Text(ODD_STREAM.to_owned()),
            cuts.clone(),
            0,
        ));
        let reply = by_key(&gateway.client()).send().await;
        assert_whole(&reply);
        assert_eq!(reply.text(), ODD_STREAM, "{cuts:?}");
    }
}

#[tokio::test]
async fn line_ends_of_the_upstream_stay() {
    let text = ODD_STREAM.replace('\n', "\r\n");
    let (_upstream, gateway) =
        start(stream(Payload::Text(text.clone()), Chunking::Each(5), 0)).await;
    assert_eq!(by_key(&gateway.client()).send().await.text(), text);
}

#[tokio::test]
async fn each_event_is_passed_on_before_the_next_one_exists() {
    let first = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n";
    let second = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n";
    let step = |text: &str| Step::Send {
        body: Payload::Text(text.to_owned()),
        cuts: Chunking::Whole,
        delay_ms: 0,
    };
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        step(first),
        step(second),
        Step::Stall,
    ];
    let (_upstream, gateway) = start(steps).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until(second).await;
    assert_eq!(open.reply.text(), format!("{first}{second}"));
}

#[tokio::test]
async fn events_are_not_gathered_into_fewer_writes() {
    let events: Vec<_> = (0..20)
        .map(|n| json!({"type": "response.output_text.delta", "delta": n.to_string()}))
        .collect();
    let (_upstream, gateway) = start(stream(Payload::Events(events), Chunking::Events, 15)).await;
    let reply = by_key(&gateway.client()).send().await;
    assert!(
        reply.pieces.len() >= 20,
        "20 events came in {} pieces",
        reply.pieces.len()
    );
}

#[tokio::test]
async fn a_whole_answer_arrives_byte_for_byte() {
    let body = "{ \"id\":\"resp_1\",\"object\" : \"response\",\"usage\":{\"input_tokens\":1e0,\"x\":1.10}}\n";
    let plain = FixedResponse {
        status: 200,
        headers: vec![],
        body: Payload::Text(body.to_owned()),
    }
    .header("content-type", "application/json; charset=utf-8");
    let (upstream, gateway) = start(Script::always(Respond::FixedResponse(plain))).await;
    let sent = r#"{"model": "gpt-5.5", "input" :"hi", "big": 123456789012345678901234567890, "stream":false }"#;
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    let reply = call.body(sent).send().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, body));
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(upstream.only_request().raw, sent.as_bytes());
}

#[tokio::test]
async fn a_large_body_arrives_byte_for_byte() {
    let (upstream, gateway) = start(Script::default()).await;
    let body = responses_body(&"lorem ipsum ".repeat(300_000)).to_string();
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json");
    let reply = call.body(body.clone()).chunked(10_000).send().await;
    assert_whole(&reply);
    assert!(
        upstream.only_request().raw == body.as_bytes(),
        "the body changed"
    );
}

#[tokio::test]
async fn compressed_bodies_stay_as_they_are_where_the_upstream_takes_them_and_arrive_decoded_elsewhere()
 {
    let (upstream, gateway) = start(Script::default()).await;
    let body = responses_body("hi").to_string();
    for encoding in ["zstd", "gzip", "deflate", "br"] {
        let packed = codec::encode(encoding, body.as_bytes()).unwrap();
        for chatgpt in [true, false] {
            upstream.reset();
            let call = gateway
                .client()
                .post("/v1/responses")
                .header("content-type", "application/json");
            let call = call
                .header("content-encoding", encoding)
                .body(packed.clone());
            let call = if chatgpt {
                signed_in(call)
            } else {
                call.bearer(API_KEY)
            };
            assert_whole(&call.send().await);
            let request = upstream.only_request();
            let unchanged = chatgpt && encoding == "zstd";
            let expected = if unchanged {
                packed.as_slice()
            } else {
                body.as_bytes()
            };
            assert!(request.raw == expected, "{encoding}, chatgpt: {chatgpt}");
            assert_eq!(
                request.header("content-encoding"),
                unchanged.then_some(encoding),
                "{encoding}"
            );
        }
    }
}

/// What Codex sends, with values that would show any change.
const CODEX_HEADERS: [(&str, &str); 17] = [
    ("session-id", "01a1fae9-b334-7003-8c14-2a6079287eba"),
    ("thread-id", "01a1fae9-b334-7003-8c14-2a6079287eba"),
    ("originator", "codex_exec"),
    (
        "user-agent",
        "codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm (codex_exec; 0.169.0)",
    ),
    ("openai-beta", "responses_websockets=2026-02-06"),
    ("version", "0.169.0"),
    ("x-codex-window-id", "01a1fae9:0"),
    ("x-codex-turn-metadata", "{\"turn_id\": \"a  b\", \"n\": 0}"),
    ("x-codex-turn-state", "opaque==/+"),
    ("x-codex-beta-features", "remote_compaction_v2"),
    ("x-codex-routing-hint", "model=gpt-5.5;tier=priority"),
    ("x-client-request-id", "01a1fae9-b334"),
    ("x-openai-subagent", "review"),
    ("x-openai-internal-codex-responses-lite", "true"),
    ("openai-organization", "org-1"),
    ("x-title", "a header of the user's own"),
    ("accept", "text/event-stream"),
];

#[tokio::test]
async fn headers_of_codex_reach_the_upstream_and_connection_headers_do_not() {
    let (upstream, gateway) = start(Script::default()).await;
    let mut call = by_chatgpt(&gateway.client());
    for (name, value) in CODEX_HEADERS {
        call = call.header(name, value);
    }
    let stopped = [
        ("connection", "x-per-hop"),
        ("x-per-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eA=="),
        ("proxy-connection", "keep-alive"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "a.example"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("x-gateway-route", "openai"),
        ("x-gateway-anything", "1"),
    ];
    for (name, value) in stopped {
        call = call.header(name, value);
    }
    assert_whole(&call.send().await);
    let request = upstream.only_request();
    for (name, value) in CODEX_HEADERS {
        let values: Vec<_> = request
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    for (name, value) in stopped {
        assert_ne!(request.header(name), Some(value), "{name} may not cross");
    }
    assert_eq!(
        request.header("host"),
        Some(upstream.address().to_string().as_str())
    );
    assert_eq!(request.header("x-gateway-anything"), None);
}

#[tokio::test]
async fn headers_that_codex_reads_come_back_and_cookies_do_not() {
    let read = [
        ("openai-model", "gpt-5.5"),
        ("x-codex-turn-state", "opaque=="),
        ("x-reasoning-included", "true"),
        ("x-codex-primary-used-percent", "12.5"),
        ("x-codex-secondary-reset-at", "1795000000"),
        ("x-mylimit-primary-used-percent", "3"),
        ("x-mylimit-limit-name", "my limit"),
        ("x-codex-credits-balance", "7"),
        ("x-request-id", "req_upstream"),
        ("cf-ray", "abc-FRA"),
        ("openai-processing-ms", "12"),
        ("x-unheard-of", "yes"),
    ];
    let mut answer = ModelAnswer::text("x")
        .header("set-cookie", "s=1")
        .header("x-gateway-upstream", "forged");
    for (name, value) in read {
        answer = answer.header(name, value);
    }
    let (_upstream, gateway) = start(Script::answer(answer)).await;
    let reply = by_key(&gateway.client()).send().await;
    for (name, value) in read {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(reply.header("x-gateway-upstream"), Some("openai"));
}

#[tokio::test]
async fn the_etag_of_the_models_crosses_only_with_the_upstreams_own_catalogue() {
    let (_upstream, gateway) = start(Script::answer(
        ModelAnswer::text("x").header("x-models-etag", "\"v1\""),
    ))
    .await;
    let reply = by_chatgpt(&gateway.client()).send().await;
    assert_eq!(
        reply.header("x-models-etag"),
        Some("\"v1\""),
        "the catalogue there is the upstream's"
    );
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(
        reply.header("x-models-etag"),
        None,
        "the catalogue there is ours"
    );
}

#[tokio::test]
async fn every_proxied_answer_says_what_was_decided() {
    let (_upstream, gateway) = start(Script::default()).await;
    for (call, route, upstream) in [
        (by_key(&gateway.client()), "api_key", "openai"),
        (by_chatgpt(&gateway.client()), "chatgpt", "chatgpt"),
    ] {
        let reply = call.send().await;
        let said = |name: &str| {
            reply
                .header(&format!("x-gateway-{name}"))
                .unwrap_or_default()
        };
        assert_eq!(
            (said("route"), said("upstream"), said("decision")),
            (route, upstream, "passed")
        );
        assert_eq!(
            (said("model-requested"), said("model-served")),
            ("gpt-5.5", "gpt-5.5")
        );
        assert!(!said("request-id").is_empty());
        assert_eq!(reply.header("x-gateway-rule"), None);
    }
}

#[tokio::test]
async fn interim_answers_of_the_upstream_do_no_harm() {
    let hints = Step::Interim {
        status: 103,
        headers: vec![("link".to_owned(), "</x>".to_owned())],
    };
    let body = Payload::Text(ODD_STREAM.to_owned());
    let steps = vec![
        hints,
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body,
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ];
    let (_upstream, gateway) = start(steps).await;
    assert_eq!(by_key(&gateway.client()).send().await.text(), ODD_STREAM);
}

#[tokio::test]
async fn a_stream_that_ends_with_the_connection_is_whole() {
    let mut head = ReplyHead::event_stream();
    head.framing = ReplyFraming::UntilClose;
    let body = Payload::Text(ODD_STREAM.to_owned());
    let steps = vec![
        Step::Head(head),
        Step::Send {
            body,
            cuts: Chunking::Each(100),
            delay_ms: 0,
        },
    ];
    let (_upstream, gateway) = start(steps).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_whole(&reply);
    assert_eq!(reply.text(), ODD_STREAM);
}

#[tokio::test]
async fn an_event_of_32_mib_passes() {
    let huge = Payload::Join(vec![
        Payload::Text("data: {\"type\":\"response.output_text.delta\",\"delta\":\"".to_owned()),
        Payload::Repeat {
            text: "0123456789abcdef".to_owned(),
            times: 2 * 1024 * 1024,
        },
        Payload::Text("\"}\n\n".to_owned()),
        Payload::Text(ODD_STREAM.to_owned()),
    ]);
    let expected = huge.bytes();
    let (_upstream, gateway) = start(stream(huge, Chunking::Each(256 * 1024), 0)).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_whole(&reply);
    assert!(
        reply.body == expected,
        "{} bytes came back of {}",
        reply.body.len(),
        expected.len()
    );
}
