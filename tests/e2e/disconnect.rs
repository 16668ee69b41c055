//! Clients that go away: before the answer, in the middle, and right after the end as Codex does.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::by_key;
use gateway_tests::upstream::{
    AnswerEnd, Chunking, ModelAnswer, Payload, ReplyHead, Script, Step, Upstream,
};
use std::time::Duration;

fn endless() -> Script {
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n".to_owned();
    let send = Step::Send {
        body: Payload::Text(delta),
        cuts: Chunking::default(),
        delay_ms: 0,
    };
    Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        send,
        Step::Stall,
    ])
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_closes_the_upstream_at_once() {
    let upstream = Upstream::with(endless()).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    for reset in [true, false] {
        upstream.reset();
        let mut open = by_key(&gateway.client()).open().await;
        open.until("delta").await;
        let left = tokio::time::Instant::now();
        if reset {
            open.reset();
        } else {
            drop(open);
        }
        let requests = upstream.wait_until_idle().await;
        assert_eq!(requests[0].outcome.unwrap().0, AnswerEnd::PeerGone);
        assert!(
            left.elapsed() < Duration::from_secs(2),
            "it took {:?}",
            left.elapsed()
        );
    }
    gateway.wait_for_output("client_gone").await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_closes_the_upstream_at_once() {
    let upstream = Upstream::with(Script::steps(vec![Step::Stall])).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let client = gateway.client();
    let waiting = tokio::spawn(async move { by_key(&client).open().await });
    upstream
        .wait_until("the request", |requests| requests.len() == 1)
        .await;
    waiting.abort();
    let requests = upstream.wait_until_idle().await;
    assert_eq!(requests[0].outcome.unwrap().0, AnswerEnd::PeerGone);
    gateway.wait_for_output("client_gone").await;
}

#[tokio::test]
async fn with_drain_the_upstream_is_read_to_its_end() {
    let words = (0..20).map(|number| format!("word{number} ")).collect();
    let answer = ModelAnswer::of(vec![gateway_tests::upstream::Output::Deltas(words)]).delay_ms(10);
    let upstream = Upstream::with(Script::answer(answer)).await;
    let gateway = Gateway::start(&Config::to(&upstream).server("on_disconnect = \"drain\"")).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("word1 ").await;
    open.reset();
    let requests = upstream.wait_until_idle().await;
    assert_eq!(requests[0].outcome.unwrap().0, AnswerEnd::Done);
    assert!(upstream.served()[0].completed);
}

#[tokio::test]
async fn a_client_that_closes_right_after_the_terminal_event_has_finished() {
    // The upstream leaves its own stream open after the terminal event, so only the client can end
    // it.
    let mut answer = ModelAnswer::text("hi");
    answer.headers.push(("x-test".to_owned(), "1".to_owned()));
    let ask = gateway_tests::upstream::answer::Ask {
        wire: gateway_tests::upstream::Wire::Responses,
        model: "gpt-5.5",
        stream: true,
        include_usage: false,
        number: 1,
    };
    let mut steps = answer.steps(&ask);
    steps.pop();
    steps.push(Step::Stall);
    let upstream = Upstream::with(Script::steps(steps)).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("response.completed").await;
    drop(open);
    upstream.wait_until_idle().await;
    gateway.wait_for_output("completed").await;
    assert!(
        !gateway.output().contains("client_gone"),
        "{}",
        gateway.output()
    );
}

#[tokio::test]
async fn clients_that_leave_leave_nothing_behind() {
    let upstream = Upstream::with(endless()).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("delta").await;
    drop(open);
    upstream.wait_until_idle().await;
    let before = gateway.open_files();
    for _ in 0..50 {
        let mut open = by_key(&gateway.client()).open().await;
        open.until("delta").await;
        open.reset();
    }
    let requests = upstream.wait_until("all are gone", |requests| {
        requests.len() == 51 && requests.iter().all(|request| request.outcome.is_some())
    });
    assert!(
        requests
            .await
            .iter()
            .all(|request| request.outcome.unwrap().0 == AnswerEnd::PeerGone)
    );
    let started = tokio::time::Instant::now();
    while gateway.open_files() > before + 4 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{} files are open, {before} were",
            gateway.open_files()
        );
        tokio::task::yield_now().await;
    }
}
