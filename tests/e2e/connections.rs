//! Connections on both sides: reused, closed under the gateway's feet, many at once, and readers
//! that stop reading.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::http1::{BodyReader, Framing, Reader};
use gateway_tests::sample::{API_KEY, by_key, responses_body};
use gateway_tests::start;
use gateway_tests::upstream::{
    Chunking, Matcher, ModelAnswer, Output, Payload, ReplyHead, Script, Step,
};
use gateway_tests::wait::steady;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

fn request(body: &str) -> String {
    format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {API_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn one_connection_of_the_client_carries_many_requests() {
    let (upstream, gateway) = start(Script::default()).await;
    let (read, mut writer) = gateway.client().connect().await.into_split();
    let mut reader = Reader::new(read);
    for _ in 0..20 {
        writer
            .write_all(request(&responses_body("hi").to_string()).as_bytes())
            .await
            .unwrap();
        let head = reader
            .head()
            .await
            .unwrap()
            .expect("the connection stays open");
        assert_eq!(head.word(1), "200");
        let framing = Framing::of_answer(&head, "POST", 200).unwrap();
        let body = BodyReader::new(framing).all(&mut reader).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("response.completed"));
    }
    let connections = upstream
        .requests()
        .iter()
        .map(|request| request.connection)
        .max()
        .unwrap();
    assert!(
        connections <= 3,
        "20 requests opened {connections} connections upstream"
    );
}

#[tokio::test]
async fn a_client_that_waits_for_a_go_ahead_gets_it() {
    let (_upstream, gateway) = start(Script::default()).await;
    let reply = by_key(&gateway.client())
        .header("expect", "100-continue")
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_costs_nobody_a_request() {
    let answer = ModelAnswer::text("x");
    let ask = gateway_tests::upstream::answer::Ask {
        wire: gateway_tests::upstream::Wire::Responses,
        model: "gpt-5.5",
        stream: true,
        include_usage: false,
        number: 1,
    };
    let mut steps = answer.steps(&ask);
    steps.pop();
    // The body ends as it should, and the connection with it, unannounced.
    steps.extend([
        Step::Raw(Payload::Text("0\r\n\r\n".to_owned())),
        Step::WaitMs(20),
        Step::Close,
    ]);
    let (upstream, gateway) = start(steps).await;
    for _ in 0..5 {
        let reply = by_key(&gateway.client()).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            reply.event_types().last().map(String::as_str),
            Some("response.completed"),
            "{}",
            reply.text()
        );
        upstream.wait_until_idle().await;
    }
}

#[tokio::test]
async fn a_hundred_streams_at_once_keep_apart() {
    let mut script = Script::default();
    for number in 0..100 {
        let words = (0..10).map(|word| format!("<{number}.{word}>")).collect();
        let answer = ModelAnswer::of(vec![Output::Deltas(words)])
            .delay_ms(3)
            .cuts(Chunking::Each(97));
        let then = gateway_tests::upstream::Respond::ModelAnswer(Box::new(answer));
        script = script.rule(Matcher::model(&format!("model-{number}")), then);
    }
    let (_upstream, gateway) = start(script).await;
    let mut streams = Vec::new();
    for number in 0..100 {
        let mut body = responses_body("hi");
        body["model"] = json!(format!("model-{number}"));
        let call = gateway
            .client()
            .post("/v1/responses")
            .bearer(API_KEY)
            .json(&body);
        streams.push(tokio::spawn(async move { (number, call.send().await) }));
    }
    for stream in streams {
        let (number, reply) = stream.await.unwrap();
        let deltas: String = reply
            .events()
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .filter_map(|event| event["delta"].as_str().map(str::to_owned))
            .collect();
        let expected: Vec<String> = (0..10).map(|word| format!("<{number}.{word}>")).collect();
        assert_eq!(deltas, expected.concat());
        assert_eq!(
            reply.header("x-gateway-model-served"),
            Some(format!("model-{number}").as_str())
        );
    }
}

#[tokio::test]
async fn a_reader_that_stops_reading_slows_the_upstream_instead_of_filling_the_memory() {
    const SENT: usize = 256 * 1024 * 1024;
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"0123456789abcdef0123456789abcdef\"}\n\n";
    let body = Payload::Repeat {
        text: delta.to_owned(),
        times: SENT / delta.len(),
    };
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body,
            cuts: Chunking::Each(64 * 1024),
            delay_ms: 0,
        },
    ];
    let (upstream, gateway) = start(steps).await;
    let before = gateway.present_memory();
    let mut open = by_key(&gateway.client()).open().await;
    open.until("delta").await;
    // Were the upstream not held back, all of it would move now.
    let peak = steady("the gateway's memory", || gateway.peak_memory()).await;
    let grown = peak.saturating_sub(before);
    assert!(
        grown < 64 * 1024 * 1024,
        "{} MiB are buffered for a reader that does not read",
        grown / 1024 / 1024
    );
    assert!(
        upstream.requests()[0].outcome.is_none(),
        "the upstream is held back"
    );
    open.reset();
    upstream.wait_until_idle().await;
}

#[tokio::test]
async fn an_upstream_that_does_not_take_the_connection_is_given_up_after_its_own_time() {
    // A listener whose queue is full lets the kernel drop what else comes.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        let connect = tokio::net::TcpStream::connect(address);
        queue.push(tokio::time::timeout(Duration::from_millis(100), connect).await);
    }
    let base = format!("http://{address}/v1");
    let config = Config::of(&base, &base).upstream("connect_timeout = \"300ms\"");
    let gateway = Gateway::start(&config).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (502, "upstream_unreachable"),
        "{}",
        reply.text()
    );
    assert!(reply.took < Duration::from_secs(3), "{:?}", reply.took);
    drop((listener, queue));
}
