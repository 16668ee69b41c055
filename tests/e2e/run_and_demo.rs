//! Gateways that live inside a command: `run` as long as its client, `demo` until it is stopped.

use gateway_tests::client::Client;
use gateway_tests::gateway::{Config, Gateway, command, run};
use gateway_tests::upstream::{Script, Upstream};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn terminate(child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-TERM", &id]).status();
    assert!(status.expect("kill runs").success());
}

/// Starts a command whose output is read.
fn spawn(place: &Path, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command(place, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .env("TMPDIR", place)
        .spawn()
        .expect("the gateway's program starts");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    (child, stdout)
}

#[tokio::test]
async fn a_client_gets_a_gateway_of_its_own_that_ends_with_it() {
    let upstream = Upstream::with(Script::default()).await;
    let place = tempfile::tempdir().expect("a directory");
    let config = Config::to(&upstream).text();
    std::fs::write(place.path().join("gateway.toml"), config).expect("a configuration");
    let client = "echo $OPENAI_BASE_URL; exit 7";
    let global = ["--config", "gateway.toml", "--data-dir", "data"];
    let mut arguments = global.to_vec();
    arguments.extend(["run", "--", "sh", "-c", client]);
    let here = place.path().to_owned();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let ended = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&here, &arguments)
    });
    let ended = ended.await.expect("it runs");
    assert_eq!(ended.code, Some(7), "{}{}", ended.stdout, ended.stderr);
    let base = ended.stdout.trim();
    assert!(
        base.starts_with("http://127.0.0.1:") && base.ends_with("/v1"),
        "{base}"
    );
    let address = base.trim_start_matches("http://").trim_end_matches("/v1");
    let refused = std::net::TcpStream::connect(address);
    assert!(refused.is_err(), "the gateway outlived its client");
}

#[tokio::test]
async fn a_gateway_that_serves_already_is_used() {
    let upstream = Upstream::with(Script::default()).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let place = tempfile::tempdir().expect("a directory");
    let config = format!("[server]\nlisten = \"{}\"\n", gateway.address());
    std::fs::write(place.path().join("gateway.toml"), config).expect("a configuration");
    let arguments = [
        "--config",
        "gateway.toml",
        "--data-dir",
        "data",
        "run",
        "--",
        "sh",
        "-c",
        "echo $OPENAI_BASE_URL",
    ];
    let here = place.path().to_owned();
    let ended = tokio::task::spawn_blocking(move || run(&here, &arguments));
    let ended = ended.await.expect("it runs");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.trim(), gateway.base_url());
    assert!(
        !place.path().join("data").exists(),
        "no second gateway was needed"
    );
}

#[test]
fn signals_and_their_exit_codes_pass() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(
        place.path().join("gateway.toml"),
        "[server]\nlisten = \"127.0.0.1:9\"\n",
    )
    .expect("a configuration");
    let global = [
        "--config",
        "gateway.toml",
        "--data-dir",
        "data",
        "run",
        "--",
        "sh",
        "-c",
    ];
    for (script, code) in [
        ("trap 'exit 9' TERM; echo ready; sleep 60 & wait", 9),
        ("echo ready; exec sleep 60", 128 + 15),
    ] {
        let mut arguments = global.to_vec();
        arguments.push(script);
        let (mut child, mut stdout) = spawn(place.path(), &arguments);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "ready");
        terminate(&child);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(code), "{script}");
    }
    let missing = run(place.path(), &["run", "--", "no-such-client"]);
    assert_eq!(missing.code, Some(127), "{}", missing.stderr);
    assert!(
        missing.stderr.contains("`no-such-client` is not found"),
        "{}",
        missing.stderr
    );
}

/// The word behind a label of the demonstration's text.
fn behind<'t>(text: &'t str, label: &str) -> &'t str {
    let (_, rest) = text
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label}: {text}"));
    rest.split_whitespace().next().expect("a word")
}

#[tokio::test]
async fn the_demonstration_can_be_looked_at_and_asked_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let (mut child, mut stdout) = spawn(place.path(), &["demo", "--days", "3"]);
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        assert_ne!(stdout.read_line(&mut text).expect("a line"), 0, "{text}");
    }
    let dir = PathBuf::from(behind(&text, "--data-dir "));
    let link = behind(&text, "dashboard  ");
    let address = behind(link, "http://")
        .split('/')
        .next()
        .expect("an address");
    let client = Client::direct(address.parse().expect("an address"));
    assert_eq!(client.get("/readyz").send().await.status, 200);
    let key = behind(&text, "Bearer ").trim_end_matches('\'').to_owned();
    let token = std::fs::read_to_string(dir.join("admin-token")).expect("a token");
    let usage = client
        .get("/api/usage?by=team")
        .bearer(token.trim())
        .send()
        .await;
    assert_eq!(usage.status, 200, "{}", usage.text());
    let before = usage.json()["total"]["requests"]
        .as_i64()
        .expect("a number");
    assert!(before > 300, "{before}");
    let body = serde_json::json!({"model": "gpt-6.2-sol", "input": "hello"});
    let answer = client
        .post("/v1/responses")
        .bearer(&key)
        .json(&body)
        .send()
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains("scripted upstream"),
        "{}",
        answer.text()
    );
    terminate(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("it ends");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(!dir.exists(), "{} is left behind", dir.display());
}
