//! Starting, being alive, and what is written on the way.

use gateway_tests::client::Client;
use gateway_tests::gateway::{self, Config, Gateway, Start};
use gateway_tests::sample::{API_KEY, PROMPT_CANARY, by_chatgpt, by_key, chatgpt_token};
use gateway_tests::upstream::{FixedResponse, Respond, Script, Upstream, refused_address};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

#[tokio::test]
async fn without_any_configuration_it_serves_and_says_how_to_point_codex_at_it() {
    let gateway = Gateway::start_with(Start::default()).await;
    // It can be ready before this process has read all that it wrote.
    for part in ["openai_base_url", gateway.base_url().as_str()] {
        gateway.wait_for_output(part).await;
    }
    let output = gateway.output();
    assert!(
        !output.contains("/backend-api/codex\""),
        "such a base makes Codex look for workspaces elsewhere:\n{output}"
    );
}

#[tokio::test]
async fn it_is_alive_and_ready() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            gateway.client().get(path).send().await.status,
            200,
            "{path}"
        );
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn the_admin_token_is_made_once_and_readable_by_its_owner_alone() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let file = gateway.data_dir().join("admin-token");
    let token = std::fs::read_to_string(&file).expect("the token is in the data directory");
    assert!(token.trim().len() >= 22, "at least 128 bits");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(!gateway.output().contains(token.trim()));
}

#[tokio::test]
async fn the_api_wants_the_admin_token() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    for path in ["/api/usage", "/api/exchanges", "/api/anything"] {
        for call in [
            gateway.client().get(path),
            gateway.client().get(path).bearer("wrong"),
            gateway.client().get(path).bearer(API_KEY),
        ] {
            let reply = call.send().await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (403, "admin_required"),
                "{path}: {}",
                reply.text()
            );
        }
    }
    let token = std::fs::read_to_string(gateway.data_dir().join("admin-token")).unwrap();
    let reply = gateway
        .client()
        .get("/api/no-such-thing")
        .bearer(token.trim())
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (404, "not_found"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn a_second_one_on_the_same_data_directory_says_so_and_ends() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let place = tempfile::tempdir().unwrap();
    let data = gateway.data_dir();
    let ended = gateway::run(
        place.path(),
        &[
            "serve",
            "--data-dir",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
        ],
    );
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(
        ended.stderr.contains("data"),
        "it names what is in use: {ended:?}"
    );
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
}

#[tokio::test]
async fn a_port_in_use_is_told() {
    let upstream = Upstream::start().await;
    let place = tempfile::tempdir().unwrap();
    let address = upstream.address().to_string();
    let ended = gateway::run(
        place.path(),
        &["serve", "--data-dir", "data", "--listen", &address],
    );
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(
        ended.stderr.contains(&address),
        "it names the address: {ended:?}"
    );
}

#[tokio::test]
async fn off_loopback_it_starts_only_when_someone_wrote_down_who_may_use_it() {
    let place = tempfile::tempdir().unwrap();
    let ended = gateway::run(
        place.path(),
        &["serve", "--data-dir", "data", "--listen", "0.0.0.0:0"],
    );
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(
        ended.stderr.contains("require_gateway_key") || ended.stderr.contains("routes.gateway_key"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn each_exchange_is_one_line_and_no_line_holds_a_secret_or_a_body() {
    let upstream = Upstream::start().await;
    let config = Config::to(&upstream);
    let environment = vec![("RUST_LOG".to_owned(), "trace".to_owned())];
    let start = Start {
        config: Some(config.text()),
        environment,
        ..Start::default()
    };
    let gateway = Gateway::start_with(start).await;
    let client = gateway.client();
    assert_eq!(
        by_key(&client)
            .header("x-secret-header", "canary-header-91")
            .send()
            .await
            .status,
        200
    );
    assert_eq!(by_chatgpt(&client).send().await.status, 200);
    let echo = FixedResponse::json(
        401,
        json!({"error": {"message": format!("bad key {API_KEY} {PROMPT_CANARY}")}}),
    );
    upstream.set_script(Script::always(Respond::FixedResponse(echo)));
    // What the upstream says passes as it is, so this answer is not searched.
    let unsearched = Client::direct(gateway.address());
    assert_eq!(by_key(&unsearched).send().await.status, 401);
    client
        .post("/v1/responses")
        .bearer(API_KEY)
        .header("content-type", "application/json")
        .body(format!("{{{PROMPT_CANARY}"))
        .send()
        .await;
    gateway.wait_for_output("401").await;
    let output = gateway.output();
    let token = chatgpt_token();
    for secret in [
        API_KEY,
        PROMPT_CANARY,
        token.as_str(),
        "canary-header-91",
        "hello from the scripted upstream",
    ] {
        let line = output.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "`{secret}` is in the log: {line:?}");
    }
}

#[tokio::test]
async fn it_starts_again_on_its_data_also_after_being_killed() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&upstream)).await;
    let token = std::fs::read_to_string(gateway.data_dir().join("admin-token")).unwrap();
    for signal in ["KILL", "TERM"] {
        gateway.signal(signal);
        gateway.wait_for_exit(Duration::from_secs(5)).await;
        gateway.start_again().await;
        assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    }
    assert_eq!(
        std::fs::read_to_string(gateway.data_dir().join("admin-token")).unwrap(),
        token
    );
}

#[tokio::test]
async fn no_credential_and_no_body_is_stored() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    assert_eq!(by_key(&gateway.client()).send().await.status, 200);
    assert_eq!(by_chatgpt(&gateway.client()).send().await.status, 200);
    let mut files = 0;
    for file in std::fs::read_dir(gateway.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let token = chatgpt_token();
        for secret in [
            API_KEY,
            PROMPT_CANARY,
            token.as_str(),
            "hello from the scripted upstream",
        ] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "`{secret}` is in {}", path.display());
        }
        files += 1;
    }
    assert!(files >= 2, "the store and the token at least are there");
}

#[tokio::test]
async fn the_log_has_one_line_for_each_exchange_however_it_ended() {
    let upstream = Upstream::start().await;
    let refused = refused_address().await;
    let gateway = Gateway::start(&Config::of(
        &upstream.base_url(),
        &format!("http://{refused}/v1"),
    ))
    .await;
    let mut ids = Vec::new();
    for call in [
        by_chatgpt(&gateway.client()),
        by_key(&gateway.client()),
        by_chatgpt(&gateway.client()),
    ] {
        let reply = call.send().await;
        ids.push(
            reply
                .header("x-gateway-request-id")
                .expect("an id")
                .to_owned(),
        );
    }
    for id in ids {
        gateway.wait_for_output(&format!("request.id={id} ")).await;
        let output = gateway.output();
        let lines: Vec<&str> = output
            .lines()
            .filter(|line| line.contains("INFO") && line.contains(&id))
            .collect();
        assert_eq!(lines.len(), 1, "one line each: {lines:#?}");
    }
}

#[tokio::test]
async fn a_failure_inside_one_exchange_leaves_the_others_alone() {
    let refused = refused_address().await;
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::of(
        &upstream.base_url(),
        &format!("http://{refused}/v1"),
    ))
    .await;
    for _ in 0..3 {
        assert_ne!(by_key(&gateway.client()).send().await.failure_code(), "");
        assert_eq!(by_chatgpt(&gateway.client()).send().await.status, 200);
    }
}

#[tokio::test]
async fn data_files_are_the_owners_alone_also_in_a_directory_that_was_there() {
    let upstream = Upstream::start().await;
    let mut gateway = Gateway::start(&Config::to(&upstream)).await;
    let modes = || -> Vec<(String, u32)> {
        let files = std::fs::read_dir(gateway.data_dir()).expect("a directory");
        let mode = |file: std::fs::DirEntry| {
            let mode = file.metadata().expect("it is there").permissions().mode();
            (
                file.file_name().to_string_lossy().into_owned(),
                mode & 0o777,
            )
        };
        files.map(|file| mode(file.expect("a file"))).collect()
    };
    let is_private =
        |modes: &[(String, u32)]| modes.iter().all(|(_, mode)| mode.trailing_zeros() >= 6);
    assert!(modes().iter().any(|(name, _)| name == "ledger.db"));
    assert!(is_private(&modes()), "{:?}", modes());
    gateway.signal("TERM");
    gateway.wait_for_exit(Duration::from_secs(20)).await;
    // As an older version left them.
    for file in std::fs::read_dir(gateway.data_dir()).expect("a directory") {
        let path = file.expect("a file").path();
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(path, mode).expect("it is ours");
    }
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(gateway.data_dir(), mode).expect("it is ours");
    gateway.start_again().await;
    let modes = std::fs::metadata(gateway.data_dir().join("ledger.db")).expect("a file");
    assert_eq!(modes.permissions().mode() & 0o777, 0o600);
    gateway.wait_for_output("other users may change").await;
}

#[test]
fn commands_about_what_was_recorded_do_not_create_a_mistyped_directory() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(place.path().join("empty")).expect("created");
    for arguments in [
        "usage",
        "audit",
        "keys list",
        "keys revoke ci",
        "keys rotate ci",
        "teams list",
        "teams delete core",
        "budgets list",
        "budgets delete gateway day",
        "facts list",
        "facts clear",
        "reprice",
        "reprice --apply",
        "dashboard",
        "explain --route gateway_key --model gpt-5.4 --key ci",
    ] {
        for dir in ["nowhere", "empty"] {
            let mut words = vec!["--data-dir", dir];
            words.extend(arguments.split(' '));
            let ended = gateway::run(place.path(), &words);
            assert_eq!(ended.code, Some(1), "{arguments}: {}", ended.stderr);
            let said = &ended.stderr;
            assert!(said.contains("there is no ledger"), "{arguments}: {said}");
        }
        assert!(!place.path().join("nowhere").exists(), "{arguments}");
        let mut files = std::fs::read_dir(place.path().join("empty")).expect("it is there");
        assert!(files.next().is_none(), "{arguments}");
    }
}

#[tokio::test]
async fn metrics_say_what_the_process_uses() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let metrics = gateway.client().get("/metrics").send().await.text();
    for name in [
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "process_threads",
    ] {
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let is_zero_at_first = name.contains("cpu");
        assert!(
            value.is_some_and(|value| value > 0.0 || is_zero_at_first),
            "{name}: {value:?}"
        );
    }
}

#[tokio::test]
async fn health_says_whether_the_gateway_is_ready() {
    let gateway = Gateway::start_with(Start::default()).await;
    let listen = gateway.address().to_string();
    let elsewhere = refused_address().await.to_string();
    for (listen, live, code, said) in [
        (&listen, false, 0, "/readyz: ready"),
        (&listen, true, 0, "/healthz: ok"),
        (&elsewhere, false, 1, "is the gateway running"),
    ] {
        let place = tempfile::tempdir().expect("a directory");
        let mut arguments = vec!["health", "--listen", listen.as_str()];
        arguments.extend(live.then_some("--live"));
        let output = gateway::command(place.path(), &arguments)
            .output()
            .expect("it starts");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(said), "{text}");
    }
}
