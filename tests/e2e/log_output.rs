//! A log that cannot be written costs its lines and nothing else.

use gateway_tests::gateway::{Config, Gateway, LogTarget, Start};
use gateway_tests::sample::by_key;
use gateway_tests::upstream::{ModelAnswer, Output, Script, Upstream};
use std::time::Duration;

async fn with_log(log: LogTarget) -> (Upstream, Gateway) {
    let words = (0..5).map(|number| format!("word{number} ")).collect();
    let answer = ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(5);
    let upstream = Upstream::with(Script::answer(answer)).await;
    let start = Start {
        config: Some(Config::to(&upstream).text()),
        log,
        ..Start::default()
    };
    (upstream, Gateway::start_with(start).await)
}

async fn dropped_lines(gateway: &Gateway) -> u64 {
    let text = gateway.client().get("/metrics").send().await.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("codex_gateway_log_lines_dropped_total "))
        .expect("the metric is there");
    line.parse().expect("a number")
}

/// Requests, a reload and a stop, all as if the log could be written.
async fn works(gateway: &mut Gateway) {
    for _ in 0..3 {
        let reply = by_key(&gateway.client()).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("response.completed"));
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(entry["outcome"], "completed");
    }
    gateway.signal("HUP");
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    gateway.signal("TERM");
    let status = gateway.wait_for_exit(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_full_disk_or_a_closed_pipe_costs_log_lines_and_no_request() {
    for log in [LogTarget::File("/dev/full"), LogTarget::ClosedPipe] {
        let (_upstream, mut gateway) = with_log(log).await;
        let reply = by_key(&gateway.client()).send().await;
        assert!(reply.text().contains("response.completed"), "{log:?}");
        let mut asked = 0;
        while dropped_lines(&gateway).await == 0 {
            asked += 1;
            assert!(asked < 1000, "no line was dropped: {log:?}");
        }
        works(&mut gateway).await;
    }
}

#[tokio::test]
async fn a_terminal_that_hangs_holds_nobody_up() {
    let (_upstream, mut gateway) = with_log(LogTarget::FullPipe).await;
    works(&mut gateway).await;
}
