//! The admin token: rotated, followed in the operator's file, refused when it could be guessed,
//! slow to guess at.

use crate::administration::{beside, cookie, gateway, link, sign_in, status, token};
use gateway_tests::client::Call;
use gateway_tests::gateway::{Config, Gateway, Start, command};
use gateway_tests::upstream::Upstream;
use gateway_tests::wait::within;
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[tokio::test]
async fn a_rotated_token_works_within_two_seconds_and_the_old_one_is_dead() {
    let (_upstream, gateway) = gateway("", "").await;
    let client = gateway.client();
    let old = token(&gateway);
    let session = cookie(&sign_in(&client, &link(&gateway)).await);
    let unused = link(&gateway);

    let said = beside(&gateway, &["admin", "rotate-token"]);
    let new = token(&gateway);
    gateway.secrets().note(&new);
    assert!(old != new && !said.contains(&new), "{said}");
    let mode = std::fs::metadata(gateway.data_dir().join("admin-token")).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    // Asking with the new one before it is known would count as guessing.
    within(
        Duration::from_secs(2),
        "the new token is known",
        async || gateway.output().contains("the admin token has changed"),
    )
    .await;
    let opened = client.get("/api/version").bearer(&new).send().await;
    assert_eq!(opened.status, 200);
    let refused = |call: Call| async { status(call).await };
    let dead = (403, "admin_required".to_owned());
    assert_eq!(refused(client.get("/api/version").bearer(&old)).await, dead);
    assert_eq!(
        refused(client.get("/api/version").header("cookie", &session)).await,
        dead
    );
    assert_eq!(sign_in(&client, &unused).await.status, 403);
    let audit = client.get("/api/audit").bearer(&new).send().await.json();
    let actions: Vec<&str> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|record| record["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        [
            "session.end",
            "admin_token.rotate",
            "sign_in.create",
            "session.begin",
            "sign_in.create"
        ]
    );
}

#[tokio::test]
async fn a_token_file_of_the_operators_is_followed_too() {
    let upstream = Upstream::start().await;
    let (first, second) = ("first-canary-token-19ab", "second-canary-token-72cd");
    let config = Config::to(&upstream).rest("[admin]\ntoken = { file = \"token\" }\n");
    let gateway = Gateway::start_with(Start {
        config: Some(config.text()),
        files: vec![("token".to_owned(), first.to_owned())],
        ..Start::default()
    })
    .await;
    let client = gateway.client();
    let ask = |token: &str| client.get("/api/version").bearer(token).send();
    assert_eq!(ask(first).await.status, 200);
    let file = gateway.config_file().with_file_name("token");
    // Nothing that could be guessed is taken.
    std::fs::write(&file, "").expect("written");
    gateway.wait_for_output("the old one stays in force").await;
    assert_eq!(ask(first).await.status, 200);
    std::fs::write(&file, second).expect("written");
    gateway.wait_for_output("the admin token has changed").await;
    assert_eq!(ask(second).await.status, 200);
    assert_eq!(ask(first).await.status, 403);
    beside(&gateway, &["admin", "rotate-token"]);
    let third = std::fs::read_to_string(&file).expect("a token");
    assert_eq!(third.trim().len(), 64);
    gateway.secrets().note(&third);
}

#[test]
fn a_token_that_could_be_guessed_is_an_error_of_the_configuration() {
    let place = tempfile::tempdir().expect("a directory");
    let config = place.path().join("gateway.toml");
    std::fs::write(&config, "[admin]\ntoken = { env = \"ADMIN_TOKEN\" }\n").expect("written");
    for token in [
        "",
        "   ",
        "short",
        "changeme-changeme-changeme",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        let mut check = command(place.path(), &["--config", "gateway.toml", "check"]);
        let output = check.env("ADMIN_TOKEN", token).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "`{token}`: {said}");
        assert!(
            said.contains("the admin token cannot be used"),
            "`{token}`: {said}"
        );
        assert!(
            token.trim().is_empty() || token == "short" || !said.contains(token),
            "{said}"
        );
    }
    // The same for an upstream's credential.
    let upstream = "[upstreams.team]\nbase_url = \"https://a.example\"\nwire_api = \"responses\"\ncredential = { env = \"TEAM\" }\n";
    std::fs::write(&config, upstream).expect("written");
    for credential in ["", " "] {
        let mut check = command(place.path(), &["--config", "gateway.toml", "check"]);
        let output = check.env("TEAM", credential).output().expect("it starts");
        assert_eq!(output.status.code(), Some(64));
    }
}

#[tokio::test]
async fn guesses_wait_and_a_right_token_never_does() {
    let (_upstream, gateway) = gateway("trusted_proxies = [\"127.0.0.1\"]", "").await;
    let client = gateway.client();
    let right = token(&gateway);
    let ask = |from: &'static str, token: &str| {
        let call = client.get("/api/version").header("x-forwarded-for", from);
        call.bearer(token).send()
    };
    for _ in 0..10 {
        assert_eq!(ask("198.51.100.7", "wrong").await.status, 403);
    }
    let refused = ask("198.51.100.7", "wrong").await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (429, "rate_limit_exceeded")
    );
    let seconds: u32 = refused
        .header("retry-after")
        .expect("when")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    // Whoever shares the address with a guesser is not locked out.
    assert_eq!(ask("198.51.100.7", &right).await.status, 200);
    assert_eq!(ask("198.51.100.8", &right).await.status, 200);
    assert_eq!(ask("127.0.0.1", &right).await.status, 200);
    // `/metrics` asks for the same token, and counts the same guesses.
    let metrics = client
        .get("/metrics")
        .header("x-forwarded-for", "198.51.100.7");
    assert_eq!(metrics.bearer("wrong").send().await.status, 429);
    // Links are counted by themselves.
    for _ in 0..10 {
        let wrong = client
            .post("/api/session")
            .header("x-forwarded-for", "198.51.100.9");
        assert_eq!(
            wrong.json(&json!({ "link": "wrong" })).send().await.status,
            403
        );
    }
    let call = client
        .post("/api/session")
        .header("x-forwarded-for", "198.51.100.9");
    let refused = call.json(&json!({ "link": link(&gateway) })).send().await;
    assert_eq!(refused.status, 429);
    assert_eq!(ask("198.51.100.9", &right).await.status, 200);
    let seen = gateway.output();
    assert!(
        seen.contains("refused an administrator's credential") && !seen.contains("wrong\""),
        "{seen}"
    );
}

/// Runs a command beside a gateway of a team, without the variable that holds the upstream's secret.
fn without_secrets(gateway: &Gateway, arguments: &[&str]) -> std::process::Output {
    let place = gateway.config_file();
    let place = place.parent().expect("the test's place");
    let mut all = vec!["--data-dir", "data", "--config", "gateway.toml"];
    all.extend(arguments);
    command(place, &all).output().expect("the program starts")
}

#[tokio::test]
async fn commands_that_do_not_send_anything_need_no_secret_of_an_upstream() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    for arguments in [
        "admin rotate-token",
        "models --json",
        "explain --route gateway_key --model gpt-5.4",
        "audit",
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = without_secrets(&gateway, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {said}");
    }
    gateway.secrets().note(&token(&gateway));
}

#[tokio::test]
async fn a_rotated_token_is_in_force_when_the_command_returns() {
    let (_upstream, gateway) = gateway("", "").await;
    let said = beside(&gateway, &["admin", "rotate-token"]);
    assert!(said.contains("the running server uses it"), "{said}");
    let new = token(&gateway);
    gateway.secrets().note(&new);
    let asked = gateway.client().get("/api/version").bearer(&new).send();
    assert_eq!(asked.await.status, 200);
    let audit: serde_json::Value =
        serde_json::from_str(&beside(&gateway, &["audit", "--json"])).expect("JSON");
    let rotated = &audit["items"][0];
    assert_eq!(rotated["action"], "admin_token.rotate", "{audit}");
    let actor = rotated["actor"].as_str().expect("a name");
    assert!(actor.len() > 4 && actor.starts_with("cli:"), "{actor}");
    assert!(beside(&gateway, &["audit"]).contains(actor));
}

#[tokio::test]
async fn a_token_that_the_running_server_does_not_read_is_put_back() {
    let (_upstream, gateway) = gateway("", "").await;
    let place = gateway.config_file();
    let place = place.parent().expect("the test's place");
    let other = "other-canary-token-55ef";
    std::fs::write(place.join("other-token"), other).expect("written");
    let config = "[admin]\ntoken = { file = \"other-token\" }\n";
    std::fs::write(place.join("other.toml"), config).expect("written");
    let arguments = [
        "--data-dir",
        "data",
        "--config",
        "other.toml",
        "admin",
        "rotate-token",
    ];
    let output = command(place, &arguments).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the old token was put back"), "{said}");
    let kept = std::fs::read_to_string(place.join("other-token")).expect("a token");
    assert_eq!(kept.trim(), other);
    let audit = beside(&gateway, &["audit", "--json"]);
    assert!(!audit.contains("admin_token.rotate"), "{audit}");
}

#[test]
fn a_token_is_rotated_before_the_first_start_too() {
    let place = tempfile::tempdir().expect("a directory");
    let arguments = ["--data-dir", "data", "admin", "rotate-token"];
    let output = command(place.path(), &arguments)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("from the next start"), "{said}");
    assert!(place.path().join("data/admin-token").exists());
}

/// Codex and other clients poll paths below `/api` with the credential of their own traffic.
#[tokio::test]
async fn credentials_of_another_kind_are_no_guesses() {
    let (_upstream, gateway) = gateway("", "").await;
    let client = gateway.client();
    for path in ["/api/codex/usage", "/api/usage"] {
        for (bearer, account) in [
            ("eyJhbGciOiJub25lIn0.e30.x", true),
            ("eyJhbGciOiJub25lIn0.e30.x", false),
            ("opaque", true),
            ("at-1", false),
            ("sk-1", false),
            ("cgw_1", false),
        ] {
            for _ in 0..4 {
                let mut call = client.get(path).bearer(bearer);
                if account {
                    call = call.header("chatgpt-account-id", "a");
                }
                let refused = call.send().await;
                assert_eq!(refused.status, 403, "{path} with {bearer}");
            }
        }
    }
    // Still ten guesses of the token's own kind.
    for expected in [[403; 10].as_slice(), &[429]].concat() {
        let guess = client.get("/api/version").bearer("wrong").send().await;
        assert_eq!(guess.status, expected);
    }
    let right = client.get("/api/version").bearer(&token(&gateway));
    assert_eq!(right.send().await.status, 200);
}
