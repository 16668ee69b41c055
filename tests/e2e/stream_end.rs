//! What stands behind the terminal event of a stream, and what is true of the end of an answer.

use gateway_tests::sample::by_key;
use gateway_tests::start;
use gateway_tests::upstream::{Chunking, Payload, ReplyHead, Step};
use std::time::Duration;

const STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n\
     data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n\
     data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2}}}\n\n";

fn send(text: &str) -> Step {
    Step::Send {
        body: Payload::Text(text.to_owned()),
        cuts: Chunking::default(),
        delay_ms: 0,
    }
}

#[tokio::test]
async fn what_stands_behind_the_terminal_event_arrives_byte_for_byte() {
    let rest = "data: [DONE]\n\n: bye\r\n\r\n\n";
    let whole = format!("{STREAM}{rest}");
    for steps in [
        // In one write, in a second one, and after a pause.
        vec![send(&whole)],
        vec![send(STREAM), send(rest)],
        vec![send(STREAM), Step::WaitMs(300), send(rest)],
    ] {
        let head = Step::Head(ReplyHead::event_stream());
        let steps: Vec<Step> = std::iter::once(head).chain(steps).collect();
        let (_upstream, gateway) = start(steps.clone()).await;
        let reply = by_key(&gateway.client()).send().await;
        assert_eq!(reply.text(), whole, "{steps:?}");
        assert_eq!(reply.cut, None);
        gateway.wait_for_output("completed").await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_end_its_stream_delays_neither_the_last_event_nor_the_end_for_long()
 {
    let head = Step::Head(ReplyHead::event_stream());
    let (_upstream, gateway) = start(vec![head, send(STREAM), Step::Stall]).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!((reply.text().as_str(), reply.cut), (STREAM, None));
    let told = reply.time_of("response.completed").unwrap();
    assert!(told < Duration::from_secs(1), "{told:?}");
    assert!(reply.took < Duration::from_secs(4), "{:?}", reply.took);
}

#[tokio::test]
async fn a_reset_behind_the_terminal_event_is_a_clean_end() {
    let head = Step::Head(ReplyHead::event_stream());
    let (_upstream, gateway) = start(vec![head, send(STREAM), Step::WaitMs(50), Step::Reset]).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!((reply.text().as_str(), reply.cut), (STREAM, None));
}
