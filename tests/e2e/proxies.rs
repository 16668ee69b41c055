//! Forwarding headers: believed from listed proxies only, noticed from everybody, told to nobody.

use gateway_tests::client::Reply;
use gateway_tests::gateway::{Config, Gateway, Start};
use gateway_tests::sample::{by_key, responses_body};
use gateway_tests::upstream::Upstream;
use serde_json::json;

const TEAM_CREDENTIAL: &str = "sk-canary-team-credential-90aa";
/// Headers by which a proxy shows itself.
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-for", "198.51.100.7"),
    ("forwarded", "for=198.51.100.7"),
    ("x-real-ip", "198.51.100.7"),
    ("via", "1.1 proxy.example"),
];

/// A gateway whose anonymous route has a credential of its own: for whoever sits at this machine.
async fn gateway(upstream: &Upstream, server: &str) -> Gateway {
    let tables = format!(
        "[upstreams.team]\nbase_url = \"{}\"\nwire_api = \"responses\"\ncredential = {{ env = \"TEAM_KEY\" }}\n\n\
         [routes]\nanonymous = \"team\"\n",
        upstream.base_url()
    );
    let config = Config::to(upstream).server(server).rest(&tables);
    Gateway::start_with(Start {
        config: Some(config.text()),
        environment: vec![("TEAM_KEY".to_owned(), TEAM_CREDENTIAL.to_owned())],
        ..Start::default()
    })
    .await
}

async fn anonymously(gateway: &Gateway, fields: &[(&str, &str)]) -> Reply {
    let call = gateway.client().post("/v1/responses");
    let call = call.json(&responses_body("hi"));
    let call = fields
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value));
    call.send().await
}

async fn metrics(gateway: &Gateway, fields: &[(&str, &str)]) -> u16 {
    let call = gateway.client().get("/metrics");
    let call = fields
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value));
    call.send().await.status
}

#[tokio::test]
async fn somebody_behind_a_proxy_does_not_sit_at_this_machine() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "").await;
    assert_eq!(anonymously(&gateway, &[]).await.status, 200);
    assert_eq!(metrics(&gateway, &[]).await, 200);
    for field in FORWARDED {
        let refused = anonymously(&gateway, &[field]).await;
        assert_eq!(refused.error_code(), "key_not_permitted", "{field:?}");
        assert_eq!(metrics(&gateway, &[field]).await, 403, "{field:?}");
    }
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn a_listed_proxy_is_believed_from_right_to_left() {
    let upstream = Upstream::start().await;
    let listed = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";
    let gateway = gateway(&upstream, listed).await;
    for (chain, status) in [
        ("127.0.0.1", 200),
        ("198.51.100.7", 403),
        // The client wrote the left part.
        ("127.0.0.1, 198.51.100.7", 403),
        ("198.51.100.7, 10.0.0.3", 403),
        ("nonsense", 403),
    ] {
        let reply = anonymously(&gateway, &[("x-forwarded-for", chain)]).await;
        assert_eq!(reply.status, status, "{chain}: {}", reply.text());
        let status = if status == 200 { 200 } else { 403 };
        assert_eq!(
            metrics(&gateway, &[("x-forwarded-for", chain)]).await,
            status
        );
    }
}

#[tokio::test]
async fn forwarding_headers_go_no_further() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "trusted_proxies = [\"127.0.0.1\"]").await;
    let more = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "gw.example"),
    ];
    let call = by_key(&gateway.client());
    let call = FORWARDED
        .iter()
        .chain(&more)
        .fold(call, |call, (name, value)| call.header(name, value));
    assert_eq!(call.send().await.status, 200);
    let sent = upstream.model_requests().remove(0);
    for (name, _) in FORWARDED.iter().chain(&more) {
        assert_eq!(sent.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn the_address_in_the_audit_log_is_the_clients() {
    let upstream = Upstream::start().await;
    let token = "audit-canary-token-5b1f77";
    for (listed, address) in [
        ("trusted_proxies = [\"127.0.0.1\"]", "198.51.100.7"),
        // Forged: nobody listed the peer.
        ("", "127.0.0.1"),
    ] {
        let config = Config::to(&upstream)
            .server(listed)
            .rest("[admin]\ntoken = { env = \"ADMIN_TOKEN\" }\n");
        let gateway = Gateway::start_with(Start {
            config: Some(config.text()),
            environment: vec![("ADMIN_TOKEN".to_owned(), token.to_owned())],
            ..Start::default()
        })
        .await;
        let client = gateway.client();
        let put = client.call("PUT", "/api/teams/core").bearer(token);
        let put = put
            .header("x-forwarded-for", "198.51.100.7")
            .json(&json!({}));
        assert_eq!(put.send().await.status, 200);
        let audit = client.get("/api/audit").bearer(token).send().await.json();
        let newest = &audit["items"][0];
        assert_eq!(
            (&newest["action"], &newest["actor"], &newest["address"]),
            (&json!("team.put"), &json!("admin"), &json!(address))
        );
    }
}

#[tokio::test]
async fn a_network_that_is_none_is_an_error_of_the_configuration() {
    let place = tempfile::tempdir().expect("a directory");
    let text = "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy.example\"]\n";
    std::fs::write(place.path().join("gateway.toml"), text).expect("written");
    let ended = gateway_tests::gateway::run(place.path(), &["--config", "gateway.toml", "check"]);
    assert_eq!(ended.code, Some(64));
    for said in [
        "`proxy.example` is not a valid network",
        "gateway.toml:2",
        "^",
    ] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}
