//! What raw sockets do that client libraries do not: write all before they read, close one side,
//! send what is no HTTP.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, by_key, responses_body};
use gateway_tests::start;
use gateway_tests::upstream::{AnswerEnd, ModelAnswer, Output, Script, Step, Upstream};
use gateway_tests::wait::{poll_interval, read_by_peer};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn head(more: &str) -> String {
    format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{more}\r\n"
    )
}

async fn rest_of(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let reading = stream.read_to_end(&mut seen);
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .expect("the gateway closes in time")
        .expect("the answer is not cut by a reset");
    String::from_utf8_lossy(&seen).into_owned()
}

/// The error envelope of a raw answer, which must have a request id.
fn envelope(answer: &str) -> Value {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .expect("an answer with a head");
    assert!(head.contains("x-request-id: "), "{answer}");
    serde_json::from_str(body).unwrap_or_else(|_| panic!("no envelope: {answer}"))
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_writes_all_of_its_body_first() {
    let upstream = Upstream::start().await;
    let config = Config::to(&upstream).server("max_request_body = \"1MiB\"");
    let gateway = Gateway::start(&config).await;
    let length = 24 << 20;
    let key = format!("authorization: Bearer {API_KEY}\r\n");
    let by_length = format!("content-length: {length}\r\n");
    for (fields, status, code) in [
        (format!("{key}{by_length}"), "400", "body_too_large"),
        (by_length.clone(), "401", "missing_credential"),
        (
            format!("{key}{by_length}origin: http://evil.example\r\n"),
            "403",
            "origin_not_allowed",
        ),
    ] {
        let mut stream = gateway.client().connect().await;
        stream.write_all(head(&fields).as_bytes()).await.unwrap();
        let block = vec![b' '; 1 << 20];
        for _ in 0..length / block.len() {
            stream
                .write_all(&block)
                .await
                .expect("the whole body can be written");
        }
        let answer = rest_of(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert_eq!(envelope(&answer)["error"]["code"], code);
    }
    // One that never ends is not listened to for ever.
    let mut stream = gateway.client().connect().await;
    let fields = format!("content-length: {}\r\n", u64::MAX / 4);
    stream.write_all(head(&fields).as_bytes()).await.unwrap();
    let started = Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10));
        poll_interval().await;
    }
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_has_left() {
    let words = (0..10).map(|number| format!("word{number} ")).collect();
    let script = Script::answer(ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(100));
    let (upstream, gateway) = start(script).await;
    let body = responses_body("hi").to_string();
    let request = head(&format!(
        "authorization: Bearer {API_KEY}\r\ncontent-length: {}\r\n",
        body.len()
    )) + &body;
    let mut stream = gateway.client().connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    upstream
        .wait_until("a request", |requests| !requests.is_empty())
        .await;
    stream.shutdown().await.unwrap();
    let answer = rest_of(&mut stream).await;
    assert!(!answer.contains("response.completed"), "{answer}");
    let requests = upstream.wait_until_idle().await;
    let end = requests[0].outcome.unwrap().0;
    assert_eq!(end, AnswerEnd::PeerGone);
    gateway.wait_for_output("client_gone").await;
}

#[tokio::test]
async fn requests_sent_together_are_all_answered() {
    let script = Script::answer(ModelAnswer::text("hello").delay_ms(30));
    let (_upstream, gateway) = start(script).await;
    let body = responses_body("hi").to_string();
    let ask = head(&format!(
        "authorization: Bearer {API_KEY}\r\ncontent-length: {}\r\n",
        body.len()
    )) + &body;
    let health = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let last = health.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    for (requests, count) in [
        (ask.repeat(3), 3),
        (health.repeat(5), 5),
        (health.to_owned() + &ask, 2),
    ] {
        let mut stream = gateway.client().connect().await;
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream.write_all(last.as_bytes()).await.unwrap();
        let answers = rest_of(&mut stream).await;
        let answered = answers.matches(" 200 OK\r\n").count();
        assert_eq!(answered, count + 1, "{answers}");
    }
    assert!(!gateway.output().contains("client_gone"));
}

#[tokio::test]
async fn half_a_request_ends_with_its_connection() {
    let (upstream, gateway) = start(Script::steps(vec![Step::Stall])).await;
    let full = head(&format!(
        "authorization: Bearer {API_KEY}\r\ncontent-length: 500\r\n"
    ));
    for request in [
        full.clone() + "{\"model\":",
        full.replace("\r\n\r\n", "\r\n"),
    ] {
        let mut stream = gateway.client().connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let started = Instant::now();
        rest_of(&mut stream).await;
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn what_is_no_http_gets_words_and_an_id() {
    let (_upstream, gateway) = start(Script::default()).await;
    let many = "x: 1\r\n".repeat(600);
    for (request, status, code) in [
        (
            "GET /v1/models HTTP/1.1\r\nhost localhost\r\n\r\n".to_owned(),
            400,
            "invalid_request",
        ),
        ("NONSENSE\r\n\r\n".to_owned(), 400, "invalid_request"),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), 400, "invalid_request"),
        (
            format!(
                "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
                "y".repeat(2 << 20)
            ),
            431,
            "headers_too_large",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
            431,
            "headers_too_large",
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
                "y".repeat(20_000)
            ),
            431,
            "headers_too_large",
        ),
        (
            format!(
                "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
                "y".repeat(100_000)
            ),
            431,
            "headers_too_large",
        ),
    ] {
        let mut stream = gateway.client().connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let shown: String = request.chars().take(60).collect();
        let mut seen = Vec::new();
        let mut text = String::new();
        while !text.ends_with('}') {
            let read = stream.read_buf(&mut seen);
            let read = tokio::time::timeout(Duration::from_secs(20), read).await;
            assert!(read.unwrap().unwrap() > 0, "{shown}: {text}");
            text = String::from_utf8_lossy(&seen).into_owned();
        }
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{shown}: {text}"
        );
        assert_eq!(envelope(&text)["error"]["code"], code, "{shown}");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_takes() {
    let (_upstream, gateway) = start(Script::default()).await;
    for (method, path, allow) in [
        ("GET", "/v1/responses", "POST"),
        ("PUT", "/v1/responses", "POST"),
        ("GET", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/healthz", "GET"),
    ] {
        let reply = gateway.client().call(method, path).send().await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        let told = reply.header("allow").unwrap_or_default();
        assert!(
            told.split(',').any(|word| word.trim() == allow),
            "{method} {path}: {told}"
        );
    }
    let upgrade = gateway.client().get("/v1/responses");
    let upgrade = upgrade
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let reply = upgrade.send().await;
    assert_eq!((reply.status, reply.text().as_str()), (426, ""));
}

#[tokio::test]
async fn while_it_drains_it_lives_but_is_not_ready() {
    let words = (0..40).map(|number| format!("word{number} ")).collect();
    let script = Script::answer(ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(50));
    let (_upstream, gateway) = start(script).await;
    let mut open = by_key(&gateway.client()).open().await;
    open.until("word1 ").await;
    // The listener closes at once, so both have begun to ask before.
    let mut asking = Vec::new();
    for path in ["/readyz", "/healthz"] {
        let mut stream = gateway.client().connect().await;
        let begun = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        stream.write_all(begun.as_bytes()).await.unwrap();
        asking.push(stream);
    }
    // Until both were read, the gateway would close them as idle.
    assert_eq!(gateway.client().get("/readyz").send().await.status, 200);
    for stream in &asking {
        read_by_peer(stream).await;
    }
    gateway.signal("TERM");
    gateway.wait_for_output("stopping").await;
    let mut answers = Vec::new();
    for stream in &mut asking {
        stream.write_all(b"\r\n").await.unwrap();
        answers.push(rest_of(stream).await);
    }
    assert!(answers[0].starts_with("HTTP/1.1 503 "), "{}", answers[0]);
    assert!(answers[1].starts_with("HTTP/1.1 200 "), "{}", answers[1]);
    assert_eq!(open.finish().await.cut, None);
}

#[tokio::test]
async fn a_connection_may_rest_but_a_head_that_has_begun_may_not() {
    let (_upstream, gateway) = start(Script::default()).await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut resting = gateway.client().connect().await;
    let mut dribbling = gateway.client().connect().await;
    for stream in [&mut resting, &mut dribbling] {
        stream.write_all(request).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ok\n") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
    }
    let started = Instant::now();
    dribbling.write_all(&request[..20]).await.unwrap();
    assert_eq!(rest_of(&mut dribbling).await, "");
    let took = started.elapsed();
    assert!(
        took > Duration::from_secs(9) && took < Duration::from_secs(13),
        "{took:?}"
    );
    // By now the other one has waited as long.
    let last = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    resting.write_all(last).await.unwrap();
    assert!(rest_of(&mut resting).await.ends_with("ok\n"));
}
