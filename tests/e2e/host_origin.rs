//! Host and Origin, checked before anything else: a web page in the user's browser must not reach
//! the gateway.

use gateway_tests::client::Call;
use gateway_tests::gateway::Gateway;
use gateway_tests::sample::{API_KEY, by_key, responses_body};
use gateway_tests::upstream::Script;
use gateway_tests::{start, start_with};

fn every_path(gateway: &Gateway) -> Vec<Call> {
    let client = gateway.client();
    let mut calls: Vec<Call> = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/models",
        "/dashboard",
        "/api/usage",
        "/nothing",
        "/v1/responses",
    ]
    .map(|path| client.get(path))
    .into();
    calls.push(client.post("/v1/responses").json(&responses_body("hi")));
    calls.push(by_key(&client));
    calls
}

#[tokio::test]
async fn names_that_are_not_ours_are_refused_on_every_path() {
    let (upstream, gateway) = start(Script::default()).await;
    for host in [
        "evil.example",
        "evil.example:8787",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "",
    ] {
        for call in every_path(&gateway) {
            let reply = call.set_header("host", host).send().await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (403, "host_not_allowed"),
                "`{host}`: {}",
                reply.text()
            );
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn loopback_names_and_addresses_are_accepted() {
    let (_upstream, gateway) = start(Script::default()).await;
    let port = gateway.address().port();
    for host in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.0.0.1:8787",
        "[::1]",
        "[::1]:80",
        "10.1.2.3:8787",
        "localhost.",
    ] {
        let reply = by_key(&gateway.client())
            .set_header("host", host)
            .send()
            .await;
        assert_eq!(reply.status, 200, "`{host}`: {}", reply.text());
    }
    let reply = by_key(&gateway.client())
        .set_header("host", &format!("localhost:{port}"))
        .send()
        .await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn configured_names_are_accepted_exactly() {
    let (_upstream, gateway) = start_with(Script::default(), |config| {
        config.server("hosts = [\"gateway.example\"]")
    })
    .await;
    for (host, status) in [
        ("gateway.example", 200),
        ("GATEWAY.example:8787", 200),
        ("x.gateway.example", 403),
        ("gateway.example.evil", 403),
    ] {
        let reply = by_key(&gateway.client())
            .set_header("host", host)
            .send()
            .await;
        assert_eq!(reply.status, status, "`{host}`: {}", reply.text());
    }
}

#[tokio::test]
async fn foreign_origins_are_refused() {
    let (upstream, gateway) = start(Script::default()).await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "http://127.0.0.1.evil.example"),
        ("origin", "null"),
        ("origin", "chrome-extension://abc"),
        ("sec-fetch-site", "cross-site"),
    ] {
        for call in every_path(&gateway) {
            let reply = call.header(name, value).send().await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (403, "origin_not_allowed"),
                "{name}: {value}"
            );
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn our_own_origin_is_accepted() {
    let (_upstream, gateway) = start(Script::default()).await;
    let own = format!("http://{}", gateway.address());
    let reply = by_key(&gateway.client())
        .header("origin", &own)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = gateway
        .client()
        .get("/v1/models")
        .header("sec-fetch-site", "none")
        .bearer(API_KEY)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn a_preflight_gets_no_permission() {
    let (_upstream, gateway) = start(Script::default()).await;
    let reply = gateway
        .client()
        .call("OPTIONS", "/v1/responses")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .send()
        .await;
    assert_eq!(reply.status, 403);
    assert!(
        reply
            .fields
            .iter()
            .all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-"))
    );
}

#[tokio::test]
async fn pages_of_listed_origins_may_send_and_read() {
    let (_upstream, gateway) = start_with(Script::default(), |config| {
        config.server("origins = [\"https://ui.example\"]")
    })
    .await;
    let from = |call: Call, origin: &str| {
        call.header("origin", origin)
            .header("sec-fetch-site", "cross-site")
    };
    let preflight = |path: &str, origin: &str| {
        from(gateway.client().call("OPTIONS", path), origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
            .header("access-control-request-private-network", "true")
    };
    for path in [
        "/v1/responses",
        "/chat/completions",
        "/v1/models/x",
        "/api/usage",
        "/healthz",
        "/nothing",
    ] {
        let reply = preflight(path, "https://ui.example").send().await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        for (name, value) in [
            ("access-control-allow-origin", "https://ui.example"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "authorization,content-type"),
            ("access-control-allow-private-network", "true"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path}");
        }
        // A browser must not send the dashboard's session.
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let reply = preflight(path, "https://other.example").send().await;
        assert_eq!(reply.error_code(), "origin_not_allowed", "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
        // The Host header is checked of listed origins as well.
        let reply = preflight(path, "https://ui.example").set_header("host", "evil.example");
        assert_eq!(reply.send().await.error_code(), "host_not_allowed");
    }
    let client = gateway.client();
    let mut streamed = responses_body("hi");
    streamed["stream"] = true.into();
    for (call, status) in [
        (by_key(&client), 200),
        (
            client.post("/v1/responses").bearer(API_KEY).json(&streamed),
            200,
        ),
        (
            client.post("/v1/responses").json(&responses_body("hi")),
            401,
        ),
        (
            client
                .post("/v1/responses")
                .bearer(API_KEY)
                .body("not JSON"),
            400,
        ),
        (client.get("/api/usage"), 403),
        (client.get("/nothing"), 404),
        (client.get("/v1/%2e%2e/x"), 400),
    ] {
        let reply = from(call, "https://ui.example").send().await;
        assert_eq!(reply.status, status, "{}", reply.text());
        let allowed = reply.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://ui.example"), "{status}");
        let vary = reply.header("vary").unwrap_or_default();
        assert!(vary.contains("origin"), "{status}: {vary}");
    }
    let reply = by_key(&client).send().await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}
