//! The example for teams, as it is but for its addresses: two replicas of it, a key made at the one
//! and used at the other.

use crate::team::{KNOWN_WITHIN, database, refusal};
use gateway_tests::gateway::{Gateway, Start};
use gateway_tests::sample::responses_body;
use gateway_tests::upstream::Upstream;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

const TEAM_CREDENTIAL: &str = "sk-canary-example-credential-8d40";
const ADMIN_TOKEN: &str = "canary-admin-token-for-all-replicas";

/// Sets a key of the file to another value; panics when the file has no such line.
fn set(config: &str, key: &str, value: &str) -> String {
    let mut found = 0;
    let lines = config.lines().map(|line| {
        if line.starts_with(&format!("{key} = ")) {
            found += 1;
            return format!("{key} = \"{value}\"");
        }
        line.to_owned()
    });
    let lines: Vec<String> = lines.collect();
    assert_eq!(found, 1, "`{key}` stands once in the example");
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_for_teams_serves_a_team() {
    let (upstream, database) = (Upstream::start().await, database());
    upstream.expect_gateway();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/team-postgres.toml");
    let example = std::fs::read_to_string(path).expect("the example is there");
    let config = set(&example, "url", &database.url());
    let config = set(&config, "base_url", &upstream.base_url());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let start = Start {
        config: Some(config),
        environment: vec![
            pair("CODEX_GATEWAY_ADMIN_TOKEN", ADMIN_TOKEN),
            pair("OPENAI_API_KEY", TEAM_CREDENTIAL),
        ],
        ..Start::default()
    };
    let replicas = [
        Gateway::start_with(start.clone()).await,
        Gateway::start_with(start).await,
    ];

    let spec = json!({"name": "pipeline", "team": "ci", "budgets": [{"amount": "5.00/day"}]});
    let api = replicas[0].client();
    let made = api.post("/api/keys").bearer(ADMIN_TOKEN).json(&spec);
    let made = made.send().await;
    assert_eq!(made.status, 201, "{}", made.text());
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    let client = replicas[1].client();
    let began = Instant::now();
    while client
        .get("/v1/models?client_version=0")
        .bearer(&key)
        .send()
        .await
        .status
        == 401
    {
        assert!(began.elapsed() < KNOWN_WITHIN);
    }
    let ask = async |model: &str| {
        let mut body = responses_body("hi");
        body["model"] = json!(model);
        let call = client.post("/v1/responses").bearer(&key);
        call.json(&body).send().await
    };
    let pinned = ask("gpt-5.4-mini").await;
    assert_eq!(pinned.status, 200, "{}", pinned.text());
    let sent = upstream.model_requests().pop().expect("a request");
    assert_eq!(
        sent.header("authorization"),
        Some(format!("Bearer {TEAM_CREDENTIAL}").as_str())
    );
    let other = ask("gpt-5.5").await;
    assert_eq!(refusal(&other), (400, "model_not_found".to_owned()));
    assert!(
        other.text().contains("CI runs on pinned models"),
        "{}",
        other.text()
    );
    // One ledger: each replica reports what the other served.
    let usage = api.get("/api/usage?by=key,team").bearer(ADMIN_TOKEN);
    let usage: Value = usage.send().await.json();
    assert_eq!(usage["rows"][0]["team"], "ci", "{usage}");
    assert_eq!(usage["total"]["requests"], 2, "{usage}");
    let budgets = api.get("/api/budgets").bearer(ADMIN_TOKEN).send().await;
    let spent = budgets.json()["items"][0]["spent_nanos"].as_i64();
    assert!(spent.is_some_and(|spent| spent > 0), "{}", budgets.text());
}
