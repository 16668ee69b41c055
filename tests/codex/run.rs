//! `run -- codex`: one turn through a gateway that lives as long as the turn, in the session that
//! was there before.

use gateway_tests::codex::{Codex, NEWEST, SetUp};
use gateway_tests::gateway::{Config, command};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Script, Upstream};
use serde_json::Value;
use std::path::Path;

#[tokio::test]
async fn a_turn_of_the_real_client_needs_no_set_up() {
    let upstream = Upstream::with(Script::default()).await;
    let codex = Codex::new(NEWEST);
    let set_up = SetUp::api_key_built_in(API_KEY);
    // Where the configuration points is outranked.
    let first = codex.turn(&set_up, &upstream.base_url(), "begin").await;
    first.assert_clean();
    let thread = first.events()[0]["thread_id"].clone();
    let home = codex.home();
    let before = std::fs::read(home.join("config.toml")).expect("Codex is configured");
    let place = tempfile::tempdir().expect("a directory");
    let config = Config::of(&upstream.base_url(), &upstream.base_url()).text();
    std::fs::write(place.path().join("gateway.toml"), config).expect("a configuration");
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools");
    let path = format!(
        "{}:/usr/bin:/bin",
        tools.join(format!("codex-{NEWEST}")).display()
    );
    let gateway = |arguments: &[&str]| {
        let mut all = vec!["--config", "gateway.toml", "--data-dir", "data"];
        all.extend(arguments);
        let mut command = command(place.path(), &all);
        command.env("PATH", &path).env("CODEX_HOME", &home);
        command
    };
    let mut turn = gateway(&[
        "run",
        "--",
        "codex",
        "-C",
        codex.work().to_str().expect("a path"),
        "exec",
        "resume",
        "--last",
        "--all",
        "--json",
        "--skip-git-repo-check",
        "go on",
    ]);
    let output = tokio::task::spawn_blocking(move || turn.output()).await;
    let output = output.expect("it runs").expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let started: Value = serde_json::from_str(text.lines().next().unwrap_or_default())
        .unwrap_or_else(|error| {
            panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
    assert_eq!(started["thread_id"], thread, "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let usage = gateway(&["usage", "--format", "json"])
        .output()
        .expect("it runs");
    let usage: Value = serde_json::from_slice(&usage.stdout).expect("JSON");
    assert!(usage["total"]["requests"].as_i64() > Some(0), "{usage}");
    assert_eq!(
        std::fs::read(home.join("config.toml")).expect("it is there"),
        before
    );
}
