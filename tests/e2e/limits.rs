//! What one client may take: memory, header space, time, places.

use gateway_tests::codec;
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, by_key, responses_body, signed_in};
use gateway_tests::upstream::{Script, Step, Upstream};
use std::io::Write as _;
use std::time::{Duration, Instant};

const GIB: usize = 1024 * 1024 * 1024;

/// A gigabyte of spaces inside a JSON object, packed into some forty kilobytes.
fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd_encoder();
    encoder
        .write_all(b"{\"model\":\"gpt-5.5\",\"input\":\"")
        .unwrap();
    let piece = vec![b' '; 1024 * 1024];
    for _ in 0..GIB / piece.len() {
        encoder.write_all(&piece).unwrap();
    }
    encoder.write_all(b"\"}").unwrap();
    encoder.finish().unwrap()
}

fn zstd_encoder() -> zstd::stream::write::Encoder<'static, Vec<u8>> {
    zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap()
}

#[tokio::test]
async fn a_zstd_bomb_is_refused_in_bounded_memory() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    upstream.reset();
    let bomb = zstd_bomb();
    assert!(bomb.len() < 200 * 1024, "the bomb is {} bytes", bomb.len());
    let before = gateway.peak_memory();
    for chatgpt in [true, false] {
        let call = gateway
            .client()
            .post("/v1/responses")
            .header("content-type", "application/json");
        let call = call.header("content-encoding", "zstd").body(bomb.clone());
        let reply = if chatgpt {
            signed_in(call)
        } else {
            call.bearer(API_KEY)
        }
        .send()
        .await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "body_too_large"),
            "{}",
            reply.text()
        );
    }
    let grown = gateway.peak_memory().saturating_sub(before);
    assert!(
        grown < 192 * 1024 * 1024,
        "the memory grew by {} MiB",
        grown / 1024 / 1024
    );
    assert!(upstream.requests().is_empty());
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_in_every_form() {
    let upstream = Upstream::start().await;
    let gateway =
        Gateway::start(&Config::to(&upstream).server("max_request_body = \"64KiB\"")).await;
    let fits = responses_body(&"x".repeat(60_000)).to_string();
    let call = || {
        gateway
            .client()
            .post("/v1/responses")
            .bearer(API_KEY)
            .header("content-type", "application/json")
    };
    assert_eq!(call().body(fits).send().await.status, 200);
    upstream.reset();
    let body = responses_body(&"x".repeat(70_000)).to_string();
    let mut calls = vec![
        ("length", call().body(body.clone())),
        ("chunks", call().body(body.clone()).chunked(1000)),
    ];
    for encoding in ["zstd", "gzip", "deflate", "br"] {
        let packed = codec::encode(encoding, body.as_bytes()).unwrap();
        calls.push((
            encoding,
            call().header("content-encoding", encoding).body(packed),
        ));
    }
    for (form, call) in calls {
        let reply = call.send().await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "body_too_large"),
            "{form}: {}",
            reply.text()
        );
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn headers_have_room_and_an_end() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let metadata = "m".repeat(30_000);
    let call = by_key(&gateway.client())
        .header("x-codex-turn-metadata", &metadata)
        .header("x-other", &metadata);
    assert_eq!(call.send().await.status, 200);
    assert_eq!(
        upstream.only_request().header("x-codex-turn-metadata"),
        Some(metadata.as_str())
    );
    upstream.reset();
    let reply = by_key(&gateway.client())
        .header("x-big", &"m".repeat(200_000))
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (431, "headers_too_large"),
        "{}",
        reply.text()
    );
    let mut call = by_key(&gateway.client());
    for number in 0..300 {
        call = call.header(&format!("x-{number}"), "1");
    }
    let reply = call.send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (431, "headers_too_large"),
        "{}",
        reply.text()
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_dribbles_its_headers_is_closed_and_harms_nobody() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let client = gateway.client();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let client = client.clone();
        let bytes = b"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ";
        slow.push(tokio::spawn(async move {
            let started = Instant::now();
            client.raw(bytes, Duration::from_secs(30)).await;
            started.elapsed()
        }));
    }
    let reply = by_key(&client).send().await;
    assert_eq!(reply.status, 200);
    assert!(reply.took < Duration::from_secs(2), "{:?}", reply.took);
    for waited in slow {
        let waited = waited.await.unwrap();
        assert!(
            waited < Duration::from_secs(20),
            "the connection lived for {waited:?}"
        );
    }
}

#[tokio::test]
async fn the_number_of_running_exchanges_has_a_limit_with_a_clear_503() {
    let upstream = Upstream::with(Script::steps(vec![Step::Stall])).await;
    let gateway = Gateway::start(&Config::to(&upstream).server("max_concurrent = 2")).await;
    let mut waiting = Vec::new();
    for count in 1..=2 {
        let client = gateway.client();
        waiting.push(tokio::spawn(async move { by_key(&client).open().await }));
        upstream
            .wait_until("the request", |requests| requests.len() == count)
            .await;
    }
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (503, "server_is_overloaded"),
        "{}",
        reply.text()
    );
    assert!(reply.header("retry-after").is_some());
    let id = reply.header("x-gateway-request-id").expect("an id");
    gateway.wait_for_output(id).await;
    let metrics = gateway.client().get("/metrics").send().await.text();
    assert!(
        metrics.contains("codex_gateway_limit_rejections_total{kind=\"max_concurrent\"} 1"),
        "{metrics}"
    );
    assert_eq!(gateway.client().get("/healthz").send().await.status, 200);
    assert_eq!(upstream.requests().len(), 2);
    upstream.set_script(Script::default());
    for open in waiting {
        open.abort();
    }
    upstream.wait_until_idle().await;
    let started = Instant::now();
    while by_key(&gateway.client()).send().await.status != 200 {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "the places are not given back"
        );
    }
}
