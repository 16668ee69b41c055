use axum::response::Response;
use futures_util::stream;
use gateway_wire::relay::{Relay, RelaySettings};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::exchange::client_response::ResponseSender;

const EVENTS: usize = 208;

fn delta(number: usize) -> Bytes {
    Bytes::from(format!(
        "data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{number}\"}}\n\n"
    ))
}

fn completed() -> Bytes {
    Bytes::from_static(
        b"data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"output\":[]}}\n\n",
    )
}

/// Relays a stream; answers with the pieces that the client's connection got, and how it ended.
async fn relayed(upstream: ReplyBody) -> (Vec<Bytes>, StreamEnd) {
    let (pieces, (end, _)) = relayed_and_timed(upstream).await;
    (pieces, end)
}

/// The same; also whether the first output was noted.
async fn relayed_and_timed(mut upstream: ReplyBody) -> (Vec<Bytes>, (StreamEnd, bool)) {
    let shutdown = CancellationToken::new();
    let (sender, response) = ResponseSender::channel(shutdown.clone());
    let client = sender.open(Response::default());
    let mut body = response.await.unwrap().into_body();
    let reading = async {
        let mut pieces = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            pieces.extend(frame.into_data());
        }
        pieces
    };
    let pumping = async move {
        let mut processor = StreamProcessor::Relay(Box::new(Relay::new(RelaySettings {
            wire: WireApi::Responses,
            max_event: 1 << 20,
            model_echo: None,
            strip_models_etag: false,
            hide_usage: false,
            ends_with_connection: false,
        })));
        let mut pump = Pump {
            processor: &mut processor,
            upstream: &mut upstream,
            client: &client,
            wire: WireApi::Responses,
            times: PumpTimes {
                idle: NEVER,
                keepalive: None,
                drain: NEVER,
            },
            on_disconnect: OnDisconnect::Cancel,
            shutdown: &shutdown,
            keepalive_first: false,
        };
        let mut is_noted = false;
        let end = pump.run(Vec::new(), None, || is_noted = true).await;
        drop(client);
        (end, is_noted)
    };
    tokio::join!(reading, pumping)
}

/// The library's connection is a task of its own that hands pieces over one at a time.
#[tokio::test]
async fn a_burst_of_events_is_few_writes_and_the_same_bytes() {
    let (sender, receiver) = mpsc::channel(1);
    let sending = async move {
        for number in 0..EVENTS {
            sender.send(Ok(delta(number))).await.unwrap();
        }
        sender.send(Ok(completed())).await.unwrap();
    };
    let upstream = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let ((pieces, end), ()) = tokio::join!(relayed(ReplyBody::from_stream(upstream)), sending);
    assert!(pieces.len() <= 4, "{} writes", pieces.len());
    let expected: Vec<u8> = (0..EVENTS).flat_map(delta).collect();
    assert_eq!(pieces.concat(), expected);
    assert!(matches!(end, StreamEnd::Terminal(last) if last.concat() == completed()));
}

#[tokio::test]
async fn what_is_gathered_is_bounded() {
    let pieces = (0..4 * GATHER_BYTES / 1024).map(|_| {
        let filler = "x".repeat(1024);
        Ok(Bytes::from(format!(
            "data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{filler}\"}}\n\n"
        )))
    });
    let upstream = stream::iter(pieces.chain([Ok(completed())]));
    let (pieces, _) = relayed(ReplyBody::from_stream(upstream)).await;
    assert!(pieces.iter().all(|piece| piece.len() < GATHER_BYTES + 2048));
}

/// Each event comes after the client got the one before it: nothing waits for company.
#[tokio::test]
async fn a_lone_event_leaves_at_once() {
    let (upstream, events) = mpsc::channel(1);
    let body = ReplyBody::from_stream(stream::unfold(events, |mut events| async move {
        events.recv().await.map(|piece| (piece, events))
    }));
    let sending = async move {
        for number in 0..3 {
            upstream.send(Ok(delta(number))).await.unwrap();
            // A pause for the relay, without a clock: it has nothing else to do.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        upstream.send(Ok(completed())).await.unwrap();
    };
    let ((pieces, _), ()) = tokio::join!(relayed(body), sending);
    assert_eq!(pieces, [delta(0), delta(1), delta(2)]);
}

#[tokio::test]
async fn the_first_output_is_noted_though_the_end_comes_with_it() {
    for pieces in [
        vec![Bytes::from([delta(0), completed()].concat())],
        vec![delta(0), completed()],
    ] {
        let upstream = ReplyBody::from_stream(stream::iter(pieces.into_iter().map(Ok)));
        let (_, (_, is_noted)) = relayed_and_timed(upstream).await;
        assert!(is_noted);
    }
}
