//! Signals: an orderly end that cuts nobody off, and a new configuration without a restart.

use gateway_tests::client::Client;
use gateway_tests::gateway::{Config, Gateway, free_address};
use gateway_tests::sample::{by_key, responses_body};
use gateway_tests::upstream::{
    Chunking, ModelAnswer, Output, Payload, ReplyHead, Script, Step, Upstream,
};
use gateway_tests::wait::poll_interval;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn slow_answer() -> Script {
    let words = (0..20).map(|number| format!("word{number} ")).collect();
    Script::answer(ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(25))
}

async fn refuses(gateway: &Gateway) -> bool {
    TcpStream::connect(gateway.address()).await.is_err()
}

#[tokio::test]
async fn running_streams_finish_while_new_connections_are_refused() {
    for signal in ["TERM", "INT"] {
        let upstream = Upstream::with(slow_answer()).await;
        let mut gateway = Gateway::start(&Config::to(&upstream)).await;
        let mut streams = Vec::new();
        for _ in 0..5 {
            let mut open = by_key(&gateway.client()).open().await;
            open.until("word1 ").await;
            streams.push(open);
        }
        gateway.signal(signal);
        while !refuses(&gateway).await {
            assert!(gateway.is_running(), "it ended with streams running");
            poll_interval().await;
        }
        for open in streams {
            let reply = open.finish().await;
            assert_eq!(reply.cut, None);
            assert_eq!(
                reply.event_types().last().map(String::as_str),
                Some("response.completed"),
                "{}",
                reply.text()
            );
        }
        let status = gateway.wait_for_exit(Duration::from_secs(3)).await;
        assert_eq!(status.code(), Some(0), "{}", gateway.output());
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&upstream)).await;
    let idle = gateway.client().connect().await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(reply.status, 200);
    gateway.signal("TERM");
    let status = gateway.wait_for_exit(Duration::from_secs(3)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    drop(idle);
}

#[tokio::test]
async fn streams_that_do_not_finish_are_ended_after_the_grace() {
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(
                "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n".to_owned(),
            ),
            cuts: Chunking::default(),
            delay_ms: 0,
        },
        Step::Stall,
    ];
    let upstream = Upstream::with(Script::steps(steps)).await;
    let mut gateway =
        Gateway::start(&Config::to(&upstream).server("shutdown_grace = \"400ms\"")).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("data").await;
    gateway.signal("TERM");
    let status = gateway.wait_for_exit(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    drop(open);
}

#[tokio::test]
async fn a_new_configuration_is_taken_over_and_a_bad_one_is_not() {
    let old = Upstream::start().await;
    let new = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&old)).await;
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    assert_eq!((old.requests().len(), new.requests().len()), (1, 0));

    let bad = Config::to(&new)
        .text()
        .replace("[upstreams.openai]", "[upstreams.openai]\nbase_ulr = \"x\"");
    std::fs::write(gateway.config_file(), bad).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_output("base_ulr").await;
    assert!(gateway.is_running());
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    assert_eq!(
        (old.requests().len(), new.requests().len()),
        (2, 0),
        "the old configuration stays"
    );

    std::fs::write(gateway.config_file(), Config::to(&new).text()).unwrap();
    gateway.signal("HUP");
    let started = tokio::time::Instant::now();
    while new.requests().is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the new configuration never counted:\n{}",
            gateway.output()
        );
        assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    }
}

#[tokio::test]
async fn a_running_stream_survives_a_new_configuration() {
    let old = Upstream::with(slow_answer()).await;
    let new = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&old)).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("word1 ").await;
    std::fs::write(gateway.config_file(), Config::to(&new).text()).unwrap();
    gateway.signal("HUP");
    let reply = open.finish().await;
    assert_eq!(
        reply.event_types().last().map(String::as_str),
        Some("response.completed")
    );
}

#[tokio::test]
async fn a_reload_applies_what_it_can_and_names_what_has_to_wait() {
    let upstream = Upstream::with(Script::steps(vec![Step::Stall])).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let changed = Config::to(&upstream)
        .server("max_concurrent = 1")
        .server("shutdown_grace = \"300ms\"")
        .rest("[storage]\nretention = \"30d\"\ntime_zone = \"Europe/Berlin\"\n[log]\nformat = \"json\"");
    std::fs::write(gateway.config_file(), changed.text()).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_output("is in force").await;
    gateway
        .wait_for_output("`storage.retention`, `storage.time_zone`, `log.format` changed")
        .await;
    let waiting = by_key(&gateway.client());
    let waiting = tokio::spawn(waiting.open());
    upstream
        .wait_until("the request", |requests| requests.len() == 1)
        .await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (503, "server_is_overloaded")
    );
    let mut gateway = gateway;
    gateway.signal("TERM");
    let status = gateway.wait_for_exit(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
    drop(waiting);
}

#[tokio::test]
async fn the_listener_for_administration_says_to_the_end_that_it_is_not_ready() {
    let upstream = Upstream::with(slow_answer()).await;
    let apart = free_address();
    let config = Config::to(&upstream).rest(&format!("[admin]\nlisten = \"{apart}\""));
    let mut gateway = Gateway::start(&config).await;
    let ask = |path: &'static str| Client::direct(apart).get(path).send();
    assert_eq!(ask("/readyz").await.status, 200);
    let mut open = by_key(&gateway.client()).open().await;
    open.until("word1 ").await;
    gateway.signal("TERM");
    while !refuses(&gateway).await {
        poll_interval().await;
    }
    assert_eq!(ask("/readyz").await.status, 503);
    assert_eq!(ask("/healthz").await.status, 200);
    assert_eq!(open.finish().await.cut, None);
    let status = gateway.wait_for_exit(Duration::from_secs(3)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
}

/// The configuration in force becomes this one as well.
async fn reload_with(gateway: &Gateway, more: &str) {
    let mut config = std::fs::read_to_string(gateway.config_file()).unwrap();
    config.push_str(more);
    std::fs::write(gateway.config_file(), config).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_output("is in force").await;
}

#[tokio::test]
async fn a_request_is_admitted_by_the_configuration_that_it_began_with() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "[prices]\nunpriced = \"allow\"\n").await;
    let (_, key) = gateway
        .new_key(&["--name", "ci", "--budget", "5.00/day"])
        .await;
    // A model without a price, which the second configuration refuses where a budget counts.
    let mut body = responses_body("hi");
    body["model"] = "no-such-price".into();
    let text = body.to_string();
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: \
         application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        gateway.address(),
        text.len()
    );
    let (first, rest) = text.split_at(text.len() / 2);
    let mut connection = gateway.client().connect().await;
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(first.as_bytes()).await.unwrap();
    let has_begun = "codex_gateway_in_flight_requests{endpoint=\"responses\"} 1";
    while !gateway
        .client()
        .get("/metrics")
        .send()
        .await
        .text()
        .contains(has_begun)
    {}
    let config = std::fs::read_to_string(gateway.config_file()).unwrap();
    std::fs::write(
        gateway.config_file(),
        config.replace("\"allow\"", "\"refuse\""),
    )
    .unwrap();
    reload_with(&gateway, "").await;
    let later = gateway.client().post("/v1/responses").bearer(&key);
    let later = later.json(&body).send().await;
    assert_eq!(
        (later.status, later.error_code().as_str()),
        (400, "model_not_found")
    );
    connection.write_all(rest.as_bytes()).await.unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert_eq!(upstream.model_requests().len(), 1);
}
