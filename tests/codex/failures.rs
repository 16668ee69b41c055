//! What the real Codex makes of failures that pass the gateway, or that the gateway tells: how many
//! requests they cost and what the user reads.

use gateway_tests::codex::{CURRENT, Codex, SetUp, Turn};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{
    Chunking, Ending, FixedResponse, Matcher, ModelAnswer, Payload, ReplyHead, Respond, Script,
    Step, Upstream, refused_address,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpListener;

const PROMPT: &str = "say hi";

async fn turn(script: Script, config: impl FnOnce(Config) -> Config) -> (Turn, Upstream, Gateway) {
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::start(&config(Config::to(&upstream))).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), PROMPT)
        .await;
    (turn, upstream, gateway)
}

fn send(text: &str) -> Step {
    Step::Send {
        body: Payload::Text(text.to_owned()),
        cuts: Chunking::Whole,
        delay_ms: 0,
    }
}

const DELTA: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"half of\"}\n\n";

/// A script whose first answer is broken and whose second is good.
fn once(steps: Vec<Step>) -> Script {
    let first = Matcher {
        nth: Some(1),
        ..Matcher::path("/responses")
    };
    Script::default().rule(first, Respond::Steps(steps))
}

#[tokio::test]
async fn a_broken_stream_is_tried_again_and_comes_good() {
    for last in [Step::Reset, Step::End, Step::Close] {
        let steps = vec![
            Step::Head(ReplyHead::event_stream()),
            send(DELTA),
            last.clone(),
        ];
        let (turn, upstream, _gateway) = turn(once(steps), |config| config).await;
        assert!(turn.status.success(), "{last:?}: {}", turn.stdout);
        assert_eq!(
            turn.messages(),
            ["hello from the scripted upstream"],
            "{last:?}"
        );
        assert_eq!(upstream.model_requests().len(), 2, "{last:?}");
        assert!(
            turn.errors()
                .iter()
                .all(|error| !error.contains("stream closed before")),
            "{last:?}: {:?}",
            turn.errors()
        );
    }
}

#[tokio::test]
async fn slow_headers_are_tried_again_and_come_good() {
    let (turn, upstream, _gateway) = turn(once(vec![Step::Stall]), |config| {
        config.upstream("headers_timeout = \"500ms\"")
    })
    .await;
    assert!(turn.status.success(), "{}", turn.stdout);
    assert_eq!(upstream.model_requests().len(), 2);
}

#[tokio::test]
async fn an_idle_stream_is_tried_again_and_comes_good() {
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        send(DELTA),
        Step::Stall,
    ];
    let (turn, upstream, _gateway) = turn(once(steps), |config| {
        config
            .upstream("stream_idle_timeout = \"500ms\"")
            .upstream("keepalive = \"100ms\"")
    })
    .await;
    assert!(turn.status.success(), "{}", turn.stdout);
    assert_eq!(upstream.model_requests().len(), 2);
}

#[tokio::test]
async fn keep_alives_carry_codex_over_a_silence_longer_than_its_own_limit() {
    let upstream = Upstream::start().await;
    upstream.set_script(Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        send("data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n"),
        Step::WaitMs(4000),
        send("data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"late\"}]}}\n\n"),
        send("data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n"),
    ]));
    let gateway = Gateway::start(&Config::to(&upstream).upstream("keepalive = \"300ms\"")).await;
    let set_up = SetUp::env_key(API_KEY).provider_line("stream_idle_timeout_ms = 1500");
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), PROMPT)
        .await;
    turn.assert_clean();
    assert_eq!(turn.messages(), ["late"]);
    assert_eq!(upstream.model_requests().len(), 1);
}

/// As above, with an upstream that says nothing at all for long: not even a head.
#[tokio::test]
async fn an_answer_that_begins_late_is_bought_once() {
    let upstream = Upstream::start().await;
    upstream.set_script(Script::steps(vec![
        Step::WaitMs(4000),
        Step::Head(ReplyHead::event_stream()),
        send("data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"late\"}]}}\n\n"),
        send("data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\"}}\n\n"),
    ]));
    let gateway = Gateway::start(&Config::to(&upstream).upstream("keepalive = \"300ms\"")).await;
    let set_up = SetUp::env_key(API_KEY).provider_line("stream_idle_timeout_ms = 1500");
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), PROMPT)
        .await;
    turn.assert_clean();
    assert_eq!(turn.messages(), ["late"]);
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn one_json_in_place_of_a_stream_is_bought_once() {
    let answer = json!({
        "id": "resp_1", "object": "response", "status": "completed",
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "whole", "annotations": []}]}],
        "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    });
    let reply = FixedResponse {
        status: 200,
        headers: vec![],
        body: Payload::Text(answer.to_string()),
    };
    let script = Script::always(Respond::FixedResponse(
        reply.header("content-type", "application/json"),
    ));
    let (turn, upstream, _gateway) = turn(script, |config| config).await;
    turn.assert_clean();
    assert_eq!(turn.messages(), ["whole"]);
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_is_down_costs_no_thirty_requests() {
    let refused = refused_address().await;
    let base_url = format!("http://{refused}/v1");
    let gateway = Gateway::start(&Config::of(&base_url, &base_url)).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), PROMPT)
        .await;
    assert!(!turn.status.success());
    let exchanges = gateway.output().matches("INFO exchange ").count();
    assert!(
        (1..=6).contains(&exchanges),
        "{exchanges} exchanges:\n{}",
        gateway.output()
    );
    let last = turn.errors().pop().unwrap_or_default();
    assert!(
        last.contains("openai"),
        "the user reads which upstream is down: {last}"
    );
}

/// Codex waits without limit for a port that refuses, so a restart costs the user a pause and
/// nothing else.
#[tokio::test]
async fn a_restart_of_the_gateway_in_mid_turn_is_a_pause() {
    let upstream = Upstream::with(once(vec![
        Step::Head(ReplyHead::event_stream()),
        send(DELTA),
        Step::Stall,
    ]))
    .await;
    let mut gateway =
        Gateway::start(&Config::to(&upstream).server("shutdown_grace = \"100ms\"")).await;
    let codex = Codex::new(CURRENT);
    let base_url = gateway.base_url();
    let turn = tokio::spawn(async move {
        codex
            .turn(&SetUp::env_key(API_KEY), &base_url, PROMPT)
            .await
    });
    upstream
        .wait_until("the first request", |requests| !requests.is_empty())
        .await;
    gateway.signal("TERM");
    gateway.wait_for_exit(Duration::from_secs(5)).await;
    // Codex asks again meanwhile, and finds nobody who answers.
    let silent = TcpListener::bind(gateway.address()).await;
    let silent = silent.expect("the gateway's port is free");
    drop(silent.accept().await.expect("Codex asks again"));
    drop(silent);
    gateway.start_again().await;
    let turn = turn.await.expect("Codex runs");
    assert!(turn.status.success(), "{}", turn.stdout);
    assert_eq!(turn.messages(), ["hello from the scripted upstream"]);
    assert_eq!(upstream.model_requests().len(), 2);
}

#[tokio::test]
async fn refusals_of_the_upstream_read_as_without_a_gateway() {
    let codex = Codex::new(CURRENT);
    // A model without a fallback, so that the upstream's first word is its last.
    let set_up = || SetUp::env_key(API_KEY).model(Some("gpt-5.6-luna"));
    for (status, body) in [
        (
            400,
            json!({"detail": "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."}),
        ),
        (
            404,
            json!({"error": {"code": "model_not_found", "message": "no such model"}}),
        ),
        (
            429,
            json!({"error": {"type": "usage_limit_reached", "plan_type": "team", "resets_at": 4_000_000_000_u64}}),
        ),
        (
            400,
            json!({"error": {"code": "context_length_exceeded", "message": "too long"}}),
        ),
    ] {
        let script = Script::always(Respond::FixedResponse(FixedResponse::json(
            status,
            body.clone(),
        )));
        let upstream = Upstream::with(script.clone()).await;
        let plain = codex.turn(&set_up(), &upstream.base_url(), PROMPT).await;
        let behind = Upstream::with(script).await;
        let gateway = Gateway::start(&Config::to(&behind)).await;
        let through = codex.turn(&set_up(), &gateway.base_url(), PROMPT).await;
        assert_eq!(
            behind.model_requests().len(),
            upstream.model_requests().len(),
            "{body}"
        );
        assert_eq!(through.errors(), plain.errors(), "{body}");
    }
}

#[tokio::test]
async fn an_error_event_keeps_its_reason() {
    let ending = Ending::ErrorEvent {
        code: Some("server_error".to_owned()),
        message: "the GPU caught fire".to_owned(),
    };
    let (turn, _upstream, _gateway) = turn(
        Script::answer(ModelAnswer::text("x").ending(ending)),
        |config| config,
    )
    .await;
    let shown = turn.errors().join("\n");
    assert!(
        shown.contains("the GPU caught fire"),
        "Codex alone says `stream closed before response.completed`: {shown}"
    );
}

/// Finished answers that Codex throws away and buys again when they come unmended.
#[tokio::test]
async fn malformed_but_finished_answers_are_bought_once() {
    let item = json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "h#i"}]});
    let stream = |usage: Value| -> String {
        [
            json!({"type": "response.created", "response": {"id": "resp_1"}}),
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
        ]
        .map(|event| format!("data: {event}\n\n"))
        .concat()
    };
    let good = stream(json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}));
    let invalid: Vec<u8> = good
        .bytes()
        .map(|byte| if byte == b'#' { 0xff } else { byte })
        .collect();
    let head = ReplyHead::event_stream;
    let text = |text: String| Payload::Text(text);
    let cases = [
        (
            "gzip",
            head().header("content-encoding", "gzip"),
            Payload::Gzip(Box::new(text(good.clone()))),
        ),
        ("byte order mark", head(), text(format!("\u{feff}{good}"))),
        ("carriage returns", head(), text(good.replace('\n', "\r"))),
        ("invalid UTF-8", head(), Payload::bytes_of(&invalid)),
        (
            "usage",
            head(),
            text(stream(
                json!({"input_tokens": 3.5, "output_tokens": 4.0, "total_tokens": 7.5}),
            )),
        ),
        (
            "details",
            head(),
            text(stream(
                json!({"input_tokens": 3, "input_tokens_details": {}, "output_tokens": 4, "total_tokens": 7}),
            )),
        ),
    ];
    for (what, head, body) in cases {
        let steps = vec![
            Step::Head(head),
            Step::Send {
                body,
                cuts: Chunking::Each(50),
                delay_ms: 0,
            },
        ];
        let (turn, upstream, _gateway) = turn(Script::steps(steps), |config| config).await;
        turn.assert_clean();
        assert_eq!(upstream.model_requests().len(), 1, "{what}");
        assert!(
            turn.messages()[0].starts_with('h'),
            "{what}: {:?}",
            turn.messages()
        );
    }
}
