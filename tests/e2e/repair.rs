//! Malformed streams on which the real Codex throws a finished answer away and buys it again:
//! mended on the way, and only there.

use gateway_tests::client::Reply;
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::by_key;
use gateway_tests::upstream::{
    Chunking, ModelAnswer, Output, Payload, ReplyHead, Script, Step, Upstream,
};
use serde_json::{Value, json};

fn good_events(text: &str) -> String {
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant",
        "content": [{"type": "output_text", "text": text}]});
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7});
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
    ];
    let frames: Vec<String> = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    frames.concat()
}

async fn answer_to(head: ReplyHead, body: Payload) -> Reply {
    let steps = vec![
        Step::Head(head),
        Step::Send {
            body,
            cuts: Chunking::Each(11),
            delay_ms: 0,
        },
    ];
    let upstream = Upstream::with(Script::steps(steps)).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!((reply.status, reply.cut), (200, None), "{}", reply.text());
    reply
}

#[tokio::test]
async fn gzip_that_nobody_asked_for_is_unpacked() {
    let body = Payload::Gzip(Box::new(Payload::Text(good_events("hi"))));
    let reply = answer_to(
        ReplyHead::event_stream().header("content-encoding", "gzip"),
        body,
    )
    .await;
    assert_eq!(reply.text(), good_events("hi"));
    assert_eq!(reply.header("content-encoding"), None);
}

#[tokio::test]
async fn a_byte_order_mark_is_dropped() {
    let reply = answer_to(
        ReplyHead::event_stream(),
        Payload::Text(format!("\u{feff}{}", good_events("hi"))),
    )
    .await;
    assert_eq!(reply.text(), good_events("hi"));
}

#[tokio::test]
async fn lone_carriage_returns_become_line_ends() {
    let reply = answer_to(
        ReplyHead::event_stream(),
        Payload::Text(good_events("hi").replace('\n', "\r")),
    )
    .await;
    assert!(
        !reply.text().contains('\r') || reply.text().contains("\r\n"),
        "{:?}",
        reply.text()
    );
    assert_eq!(
        reply.events(),
        gateway_tests::client::events(good_events("hi").as_bytes())
    );
}

#[tokio::test]
async fn invalid_utf8_becomes_replacement_characters() {
    let mut bytes = good_events("h#i").into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'#').unwrap();
    bytes[at] = 0xff;
    let reply = answer_to(ReplyHead::event_stream(), Payload::bytes_of(&bytes)).await;
    assert!(
        std::str::from_utf8(&reply.body).is_ok(),
        "{:?}",
        reply.text()
    );
    assert_eq!(
        reply.events()[1]["item"]["content"][0]["text"],
        "h\u{fffd}i"
    );
}

#[tokio::test]
async fn usage_that_is_not_integers_becomes_integers() {
    for (bad, field) in [
        (
            json!({"input_tokens": 3.0, "output_tokens": 4, "total_tokens": 7}),
            "input_tokens",
        ),
        (
            json!({"input_tokens": "3", "output_tokens": 4, "total_tokens": 7}),
            "input_tokens",
        ),
        (
            json!({"input_tokens": 3, "input_tokens_details": {}, "output_tokens": 4, "total_tokens": 7}),
            "output_tokens",
        ),
    ] {
        let mut answer = ModelAnswer::of(vec![Output::Text("hi".to_owned())]);
        answer.raw_usage = Some(bad.clone());
        let upstream = Upstream::with(Script::answer(answer)).await;
        let gateway = Gateway::start(&Config::to(&upstream)).await;
        let reply = by_key(&gateway.client()).send().await;
        let usage = reply.events().pop().unwrap()["response"]["usage"].clone();
        assert!(codex_would_read(&usage), "{bad} became {usage}");
        assert!(
            usage.is_null() || usage[field].is_u64(),
            "{bad} became {usage}"
        );
    }
}

/// Codex's own decoder: the three sums as integers, and details that are absent or whole.
fn codex_would_read(usage: &Value) -> bool {
    let whole =
        |details: &str, part: &str| usage[details].is_null() || usage[details][part].is_i64();
    usage.is_null()
        || ["input_tokens", "output_tokens", "total_tokens"]
            .iter()
            .all(|field| usage[*field].is_i64())
            && whole("input_tokens_details", "cached_tokens")
            && whole("output_tokens_details", "reasoning_tokens")
}
