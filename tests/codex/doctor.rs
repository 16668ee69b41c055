//! `doctor` with the real client: a turn with each kind of sign-in, which leaves nothing behind.

use gateway_tests::codex::NEWEST;
use gateway_tests::gateway::command;
use serde_json::Value;
use std::path::Path;

fn doctor(place: &Path, config: &str) -> Vec<Value> {
    std::fs::write(place.join("gateway.toml"), config).expect("a configuration");
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools");
    let path = format!(
        "{}:/usr/bin:/bin",
        tools.join(format!("codex-{NEWEST}")).display()
    );
    let arguments = [
        "--config",
        "gateway.toml",
        "--data-dir",
        "data",
        "doctor",
        "--offline",
        "--json",
    ];
    let output = command(place, &arguments)
        .env("PATH", path)
        .env("CODEX_HOME", place.join("codex"))
        .env("TMPDIR", place.join("tmp"))
        .output()
        .expect("the gateway's program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    report["checks"].as_array().expect("a list").clone()
}

#[track_caller]
fn check<'c>(checks: &'c [Value], name: &str) -> &'c Value {
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no check {name}: {checks:#?}"))
}

#[tokio::test]
async fn the_installed_client_runs_a_turn_with_each_sign_in() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(place.path().join("tmp")).expect("a directory");
    let checks = doctor(place.path(), "");
    assert_eq!(check(&checks, "codex")["result"], "ok");
    for (name, body) in [
        ("turn.api_key", "plain body"),
        ("turn.chatgpt", "zstd-compressed body"),
    ] {
        let check = check(&checks, name);
        assert_eq!(check["result"], "ok", "{check}");
        let message = check["message"].as_str().expect("a text");
        assert!(
            message.contains(body) && message.contains("passed"),
            "{message}"
        );
    }
    let left = std::fs::read_dir(place.path().join("tmp")).expect("a directory");
    assert_eq!(left.count(), 0, "something is left behind");
    assert!(!place.path().join("data").exists());
}

/// The user's own rules decide.
#[tokio::test]
async fn a_rule_that_refuses_the_model_is_shown() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(place.path().join("tmp")).expect("a directory");
    let rule = "[[rules]]\nname = \"closed\"\nwhen = { model = \"*\" }\nthen = { reject = \"not today\" }\n";
    let checks = doctor(place.path(), rule);
    let check = check(&checks, "turn.api_key");
    assert_eq!(check["result"], "warning", "{check}");
    let message = check["message"].as_str().expect("a text");
    assert!(message.contains("rejected by rule \"closed\""), "{message}");
}
