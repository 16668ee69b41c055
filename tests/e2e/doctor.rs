//! `doctor` finds what lies between Codex and the gateway, and says what is wrong with the rest.

use gateway_tests::gateway::{Config, Ended, Gateway, command};
use gateway_tests::upstream::{Script, Upstream};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

/// What a proxy does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Nothing,
    DropsHeaders,
    HoldsBack,
    DropsUpgrade,
}

/// A proxy in front of the gateway, for as long as the test's process runs.
fn proxy(gateway: SocketAddr, harm: Harm) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            std::thread::spawn(move || pass(client, gateway, harm));
        }
    });
    address
}

fn pass(mut client: TcpStream, gateway: SocketAddr, harm: Harm) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).expect("headers are text");
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    client.read_exact(&mut body).expect("a body");
    let is_dropped = |line: &str| {
        let line = line.to_ascii_lowercase();
        match harm {
            // As nginx does by default.
            Harm::DropsHeaders => line
                .split(':')
                .next()
                .is_some_and(|name| name.contains('_')),
            Harm::DropsUpgrade => line.starts_with("upgrade:") || line.starts_with("connection:"),
            Harm::Nothing | Harm::HoldsBack => false,
        }
    };
    let mut kept = String::new();
    for line in head.trim_end().lines().filter(|line| !is_dropped(line)) {
        kept = kept + line + "\r\n";
    }
    let mut upstream = TcpStream::connect(gateway).expect("the gateway listens");
    let close = if harm == Harm::Nothing || kept.contains("pgrade") {
        ""
    } else {
        "connection: close\r\n"
    };
    upstream
        .write_all(format!("{kept}{close}\r\n").as_bytes())
        .expect("the head is sent");
    upstream.write_all(&body).expect("the body is sent");
    if harm == Harm::HoldsBack {
        let mut whole = Vec::new();
        let _ = upstream.read_to_end(&mut whole);
        let _ = client.write_all(&whole);
        return;
    }
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = upstream.read(&mut piece) {
        if client.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

fn doctor(place: &Path, base_url: &str, arguments: &[&str]) -> Ended {
    std::fs::write(
        place.join("config.toml"),
        format!("openai_base_url = \"{base_url}\"\n"),
    )
    .expect("Codex is configured");
    let mut all = vec!["--data-dir", "data", "doctor"];
    all.extend(arguments);
    let output = command(place, &all)
        .env("CODEX_HOME", place)
        .output()
        .expect("the gateway's program starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The result of a check.
#[track_caller]
fn result(ended: &Ended, name: &str) -> String {
    let report: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", ended.stdout, ended.stderr));
    let checks = report["checks"].as_array().expect("a list").clone();
    let check = checks.into_iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no check {name}: {}", ended.stdout));
    check["result"].as_str().expect("a word").to_owned()
}

#[tokio::test]
async fn a_proxy_that_drops_headers_or_holds_streams_back_is_recognised() {
    let upstream = Upstream::with(Script::default()).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let checks = [
        "connection.headers",
        "connection.zstd",
        "connection.stream",
        "connection.websocket",
    ];
    for (harm, code, expected) in [
        (Harm::Nothing, 0, ["ok", "ok", "ok", "ok"]),
        (Harm::DropsHeaders, 1, ["failed", "ok", "ok", "ok"]),
        (Harm::HoldsBack, 1, ["ok", "ok", "failed", "ok"]),
        (Harm::DropsUpgrade, 0, ["ok", "ok", "ok", "warning"]),
    ] {
        let place = tempfile::tempdir().expect("a directory");
        let url = format!("http://{}/v1", proxy(gateway.address(), harm));
        let ended = doctor(place.path(), &url, &["--offline", "--no-turn", "--json"]);
        let results = checks.map(|name| result(&ended, name));
        assert_eq!(results, expected, "{harm:?}: {}", ended.stdout);
        assert_eq!(ended.code, Some(code), "{harm:?}: {}", ended.stdout);
    }
}

#[tokio::test]
async fn each_upstream_is_asked_and_a_dead_one_is_named() {
    let upstream = Upstream::with(Script::default()).await;
    let dead = gateway_tests::gateway::free_address();
    let place = tempfile::tempdir().expect("a directory");
    let config = format!(
        "[upstreams.alive]\nbase_url = \"{}\"\n[upstreams.dead]\nbase_url = \"http://{dead}/v1\"\n\
         [upstreams.chatgpt]\nbase_url = \"{0}\"\n[upstreams.openai]\nbase_url = \"{0}\"\n",
        upstream.base_url()
    );
    std::fs::write(place.path().join("gateway.toml"), config).expect("a configuration");
    let here = place.path().to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let arguments = ["--config", "gateway.toml", "--no-turn", "--json"];
        doctor(&here, "http://127.0.0.1:9/v1", &arguments)
    });
    let ended = ended.await.expect("doctor runs");
    assert_eq!(result(&ended, "upstream.alive"), "ok", "{}", ended.stdout);
    assert_eq!(
        result(&ended, "upstream.dead"),
        "failed",
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("refuses connections"),
        "{}",
        ended.stdout
    );
    assert_eq!(result(&ended, "connection"), "failed", "{}", ended.stdout);
    assert_eq!(ended.code, Some(1));
}

#[tokio::test]
async fn a_wrong_configuration_is_64_and_text_says_what_to_do() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("gateway.toml"), "[server]\nlisten = 1\n").expect("a file");
    let arguments = ["--config", "gateway.toml", "--offline", "--no-turn"];
    let ended = doctor(place.path(), "http://127.0.0.1:9/v1", &arguments);
    assert_eq!(ended.code, Some(64), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("-> `codex-gateway check`"),
        "{}",
        ended.stdout
    );
}
