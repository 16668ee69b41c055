//! Who may administer: the admin token and its rotation, guesses, one-time links and sessions, a
//! listener of its own.

use gateway_tests::TEST_TIMEOUT;
use gateway_tests::client::{Call, Checks, Client, Reply};
use gateway_tests::gateway::{Config, Gateway, command, free_address};
use gateway_tests::sample::{API_KEY, by_key};
use gateway_tests::upstream::Upstream;
use serde_json::{Value, json};

pub(crate) async fn gateway(server: &str, tables: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let config = Config::to(&upstream).server(server).rest(tables);
    let gateway = Gateway::start(&config).await;
    (upstream, gateway)
}

pub(crate) fn token(gateway: &Gateway) -> String {
    let path = gateway.data_dir().join("admin-token");
    let token = std::fs::read_to_string(path).expect("a token");
    token.trim().to_owned()
}

/// Runs a command beside the running gateway, on its store and configuration.
pub(crate) fn beside(gateway: &Gateway, arguments: &[&str]) -> String {
    let place = gateway.data_dir();
    let place = place.parent().expect("the data lies in the test's place");
    let mut all = vec!["--data-dir", "data", "--config", "gateway.toml"];
    all.extend(arguments);
    let output = command(place, &all).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The secret of a fresh sign-in link.
pub(crate) fn link(gateway: &Gateway) -> String {
    let printed = beside(gateway, &["dashboard"]);
    let (_, secret) = printed
        .trim()
        .split_once("/dashboard#sign-in=")
        .expect("a link");
    assert_eq!(secret.len(), 48, "192 random bits: {printed}");
    secret.to_owned()
}

pub(crate) async fn sign_in(client: &Client, link: &str) -> Reply {
    let call = client.post("/api/session").json(&json!({ "link": link }));
    call.send().await
}

/// The cookie of an answer, as a browser sends it back.
pub(crate) fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").expect("a cookie");
    set.split(';').next().expect("a pair").to_owned()
}

pub(crate) async fn status(call: Call) -> (u16, String) {
    let reply = call.send().await;
    let code = if reply.status == 200 {
        String::new()
    } else {
        reply.error_code()
    };
    (reply.status, code)
}

#[tokio::test]
async fn nothing_of_the_api_answers_without_a_credential() {
    let (_upstream, gateway) = gateway("", "").await;
    let client = gateway.client();
    let described = client
        .get("/api/openapi.json")
        .bearer(&token(&gateway))
        .send()
        .await
        .json();
    let mut count = 0;
    for (path, operations) in described["paths"].as_object().expect("paths") {
        let path = path.replace(['{', '}'], "");
        for method in operations.as_object().expect("operations").keys() {
            if (path.as_str(), method.as_str()) == ("/api/session", "post") {
                continue;
            }
            // An API key of somebody is no admin token, and neither is a cookie of somebody else.
            let ways = [
                client.call(&method.to_uppercase(), &path),
                client.call(&method.to_uppercase(), &path).bearer(API_KEY),
                client
                    .call(&method.to_uppercase(), &path)
                    .header("cookie", "codex_gateway_session=guess"),
            ];
            for call in ways {
                let reply = call.send().await;
                let code = reply.error_code();
                let is_refused = matches!(
                    (reply.status, code.as_str()),
                    (403, "admin_required" | "origin_not_allowed") | (429, "rate_limit_exceeded")
                );
                assert!(is_refused, "{method} {path}: {} {code}", reply.status);
                count += 1;
            }
        }
    }
    assert!(count >= 60, "{count}");
}

#[tokio::test]
async fn a_link_signs_in_once() {
    let (_upstream, gateway) = gateway("", "").await;
    let client = gateway.client();
    let printed = link(&gateway);
    // Looking at the page spends nothing, however often.
    for _ in 0..2 {
        let page = client.get("/dashboard").send().await;
        assert_eq!(page.status, 200);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(page.header("set-cookie").is_none());
    }
    let signed_in = sign_in(&client, &printed).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    let set = signed_in.header("set-cookie").expect("a cookie").to_owned();
    for attribute in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/",
        "; Max-Age=43200",
    ] {
        assert!(set.contains(attribute), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains("Domain"), "{set}");
    let again = sign_in(&client, &printed).await;
    assert_eq!(
        (again.status, again.error_code().as_str()),
        (403, "admin_required")
    );

    let session = cookie(&signed_in);
    let state = client
        .get("/api/session")
        .header("cookie", &session)
        .send()
        .await
        .json();
    assert!(
        state["actor"]
            .as_str()
            .expect("a name")
            .starts_with("session "),
        "{state}"
    );
    let usage = client
        .get("/api/usage?by=")
        .header("cookie", &session)
        .send()
        .await;
    assert_eq!(usage.json()["total"]["requests"], 0);

    // A session survives the process: it is in the store.
    let (gateway, client) = {
        let mut gateway = gateway;
        gateway.signal("TERM");
        gateway.wait_for_exit(TEST_TIMEOUT).await;
        gateway.start_again().await;
        let client = gateway.client();
        (gateway, client)
    };
    let call = client
        .call("PUT", "/api/teams/core")
        .header("cookie", &session);
    let put = call
        .header("x-gateway-session", "1")
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(put.status, 200, "{}", put.text());
    let audit = client
        .get("/api/audit")
        .header("cookie", &session)
        .send()
        .await
        .json();
    assert_eq!(audit["items"][0]["actor"], state["actor"]);
    assert_eq!(audit["items"][0]["address"], "127.0.0.1");

    let call = client
        .call("DELETE", "/api/session")
        .header("cookie", &session);
    let out = call.header("x-gateway-session", "1").send().await;
    assert_eq!(out.json(), json!({ "ended": true }));
    assert!(
        out.header("set-cookie")
            .expect("a cookie")
            .contains("Max-Age=0")
    );
    let after = client.get("/api/usage").header("cookie", &session);
    assert_eq!(status(after).await, (403, "admin_required".to_owned()));
    drop(gateway);
}

#[tokio::test]
async fn a_session_is_no_use_to_another_page() {
    let (_upstream, gateway) = gateway("origins = [\"https://tool.example\"]", "").await;
    let client = gateway.client();
    let session = cookie(&sign_in(&client, &link(&gateway)).await);
    let put = || {
        let call = client
            .call("PUT", "/api/teams/core")
            .header("cookie", &session);
        call.json(&json!({}))
    };
    let refused = (403, "origin_not_allowed".to_owned());
    // What a form, an image or a script of another page can bring about, a neighbour on this
    // machine included.
    assert_eq!(status(put()).await, refused);
    for site in ["cross-site", "same-site", "none"] {
        let call = put()
            .header("x-gateway-session", "1")
            .header("sec-fetch-site", site);
        assert_eq!(status(call).await, refused, "{site}");
    }
    for origin in [
        "https://evil.example",
        "http://127.0.0.1:3000",
        "null",
        "https://tool.example",
    ] {
        let call = put()
            .header("x-gateway-session", "1")
            .header("origin", origin);
        assert_eq!(status(call).await, refused, "{origin}");
    }
    let reading = client.get("/api/keys").header("cookie", &session);
    assert_eq!(
        status(reading.header("sec-fetch-site", "same-site")).await,
        refused
    );
    // A form is no JSON, even with everything else right.
    let form = client
        .call("PUT", "/api/teams/core")
        .header("cookie", &session);
    let form = form
        .header("x-gateway-session", "1")
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(
        status(form).await,
        (415, "unsupported_media_type".to_owned())
    );
    let own = format!("http://{}", gateway.address());
    let call = put()
        .header("x-gateway-session", "1")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(call.header("origin", &own).send().await.status, 200);
    // Whether a session or a token, no other origin is ever told that it may read.
    let answer = client
        .get("/api/session")
        .header("cookie", &session)
        .send()
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_session_over_tls_says_secure() {
    let (_upstream, gateway) = gateway("trusted_proxies = [\"127.0.0.1\"]", "").await;
    let call = gateway
        .client()
        .post("/api/session")
        .header("x-forwarded-proto", "https");
    let call = call.header("x-forwarded-for", "198.51.100.7");
    let reply = call.json(&json!({ "link": link(&gateway) })).send().await;
    let set = reply.header("set-cookie").expect("a cookie");
    assert!(
        set.starts_with("__Host-codex_gateway_session=") && set.contains("; Secure"),
        "{set}"
    );
    let call = gateway
        .client()
        .get("/api/session")
        .header("cookie", &cookie(&reply));
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn administration_has_a_listener_of_its_own() {
    let apart = free_address();
    let (upstream, gateway) = gateway("", &format!("[admin]\nlisten = \"{apart}\"\n")).await;
    let main = gateway.client();
    let token = token(&gateway);
    for path in [
        "/api/version",
        "/api/openapi.json",
        "/dashboard",
        "/dashboard/page.js",
        "/metrics",
    ] {
        let reply = main.get(path).bearer(&token).send().await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
    assert_eq!(by_key(&main).send().await.status, 200);
    assert_eq!(main.get("/readyz").send().await.status, 200);

    let secrets = gateway.secrets().clone();
    let admin = Client::checking(apart, Checks { secrets });
    assert_eq!(
        admin.get("/api/version").bearer(&token).send().await.status,
        200
    );
    assert_eq!(admin.get("/api/version").send().await.status, 403);
    assert_eq!(admin.get("/dashboard").send().await.status, 200);
    assert_eq!(admin.get("/readyz").send().await.status, 200);
    // Whoever reaches this listener may see the figures, forwarded or not.
    let metrics = admin
        .get("/metrics")
        .header("x-forwarded-for", "198.51.100.7");
    let metrics = metrics.send().await;
    assert!(
        metrics.text().contains("codex_gateway_requests_total"),
        "{}",
        metrics.text()
    );
    for path in ["/v1/responses", "/responses", "/v1/models", "/models"] {
        let reply = admin.get(path).bearer(API_KEY).send().await;
        assert_eq!(reply.status, 404, "{path}");
    }
    // The same checks stand in front of it.
    let named = admin
        .get("/metrics")
        .set_header("host", "evil.example")
        .send()
        .await;
    assert_eq!(named.error_code(), "host_not_allowed");
    let foreign = admin
        .get("/metrics")
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(foreign.error_code(), "origin_not_allowed");
    let printed = beside(&gateway, &["dashboard"]);
    assert!(
        printed.starts_with(&format!("http://{apart}/dashboard#")),
        "{printed}"
    );
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn every_change_by_either_hand_is_in_the_audit_log() {
    let (_upstream, gateway) = gateway("", "").await;
    let client = gateway.client();
    let token = token(&gateway);
    let api = |method: &str, path: &str, body: Option<Value>| {
        let call = client.call(method, path).bearer(&token);
        let call = body.iter().fold(call, Call::json);
        async move {
            let reply = call.send().await;
            assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
            reply.json()
        }
    };
    let key = api(
        "POST",
        "/api/keys",
        Some(json!({ "name": "ci", "team": "core" })),
    )
    .await;
    let id = key["id"].as_str().expect("an id").to_owned();
    gateway.secrets().note(key["key"].as_str().expect("a key"));
    api("POST", &format!("/api/keys/{id}/rotate"), Some(json!({}))).await;
    api(
        "PUT",
        "/api/budgets/team:core",
        Some(json!({ "amount": "5.00/day" })),
    )
    .await;
    api("DELETE", "/api/budgets/team:core/day/metered", None).await;
    api("DELETE", &format!("/api/keys/{id}"), None).await;
    api("DELETE", "/api/facts", None).await;
    api("DELETE", "/api/teams/core", None).await;
    beside(&gateway, &["keys", "create", "--name", "two"]);
    beside(&gateway, &["keys", "rotate", "two"]);
    beside(&gateway, &["keys", "revoke", "two"]);
    beside(&gateway, &["teams", "create", "red"]);
    beside(&gateway, &["budgets", "set", "team:red", "1.00/day"]);
    beside(&gateway, &["budgets", "delete", "team:red", "day"]);
    beside(&gateway, &["teams", "delete", "red"]);
    beside(&gateway, &["facts", "clear"]);
    beside(&gateway, &["reprice", "--apply"]);
    beside(&gateway, &["dashboard"]);
    let audit = api("GET", "/api/audit", None).await;
    let mut seen: Vec<String> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|record| {
            format!(
                "{} {} {}",
                record["actor"], record["address"], record["action"]
            )
            .replace('"', "")
        })
        .collect();
    seen.reverse();
    let by_api = [
        "key.create",
        "key.rotate",
        "budget.put",
        "budget.delete",
        "key.revoke",
        "facts.clear",
        "team.delete",
    ];
    let by_cli = [
        "key.create",
        "key.rotate",
        "key.revoke",
        "team.put",
        "budget.put",
        "budget.delete",
        "team.delete",
        "facts.clear",
        "ledger.reprice",
        "sign_in.create",
    ];
    // A command is recorded with the user of the operating system who ran it.
    let user = std::process::Command::new("id").arg("-un").output();
    let user = String::from_utf8(user.expect("there is id").stdout).expect("a name");
    let cli = format!("cli:{} null", user.trim());
    let expected: Vec<String> = by_api
        .iter()
        .map(|action| format!("admin 127.0.0.1 {action}"))
        .chain(by_cli.iter().map(|action| format!("{cli} {action}")))
        .collect();
    assert_eq!(seen, expected);
}
