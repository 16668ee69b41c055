//! `setup codex` with the real client: its turns go through the gateway, its old sessions stay, and
//! afterwards nothing is left.

use gateway_tests::codex::{Codex, NEWEST, SetUp, Turn};
use gateway_tests::gateway::{Config, Ended, Gateway, command};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Script, Upstream};
use serde_json::Value;

struct Place {
    codex: Codex,
    upstream: Upstream,
    gateway: Gateway,
}

impl Place {
    async fn new() -> Self {
        let upstream = Upstream::with(Script::default()).await;
        let gateway = Gateway::start(&Config::of(&upstream.base_url(), &upstream.base_url())).await;
        Self {
            codex: Codex::new(NEWEST),
            upstream,
            gateway,
        }
    }

    /// Runs `setup codex` on the home of the client.
    fn setup(&self, arguments: &[&str]) -> Ended {
        let home = self.codex.home();
        let mut all = vec!["--data-dir", "data", "setup", "codex"];
        all.extend(arguments);
        let output = command(&home, &all)
            .env("CODEX_HOME", &home)
            .output()
            .expect("the gateway's program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    fn write(&self, arguments: &[&str]) -> Ended {
        let url = format!("http://{}", self.gateway.address());
        let mut all = vec!["--yes", "--url", url.as_str()];
        all.extend(arguments);
        let ended = self.setup(&all);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        ended
    }

    fn config(&self) -> Vec<u8> {
        std::fs::read(self.codex.home().join("config.toml")).expect("Codex is configured")
    }

    async fn recorded(&self) -> usize {
        self.gateway.entries().await.len()
    }
}

#[track_caller]
fn thread(turn: &Turn) -> Value {
    turn.assert_clean();
    let events = turn.events();
    let started = events
        .iter()
        .find(|event| event["type"] == "thread.started");
    started.expect("a thread starts")["thread_id"].clone()
}

#[tokio::test]
async fn a_session_goes_on_before_during_and_after() {
    let place = Place::new().await;
    let set_up = SetUp::api_key_built_in(API_KEY);
    let base = place.upstream.base_url();
    let first = place.codex.turn(&set_up, &base, "begin").await;
    let (session, before) = (thread(&first), place.config());

    let made = place.write(&[]);
    assert!(made.stdout.contains("+openai_base_url"), "{}", made.stdout);
    assert!(
        made.stderr.contains("the gateway answers"),
        "{}",
        made.stderr
    );
    let resumed = place.codex.resume(&set_up, "go on").await;
    assert_eq!(thread(&resumed), session);
    let through = place.recorded().await;
    assert!(through > 0, "nothing went through the gateway");
    let again = place.setup(&[
        "--yes",
        "--url",
        &format!("http://{}", place.gateway.address()),
    ]);
    assert!(
        again.stdout.contains("nothing to change"),
        "{}",
        again.stdout
    );

    let undone = place.setup(&["--restore"]);
    assert_eq!(undone.code, Some(0), "{}{}", undone.stdout, undone.stderr);
    assert!(undone.stdout.contains("byte for byte"), "{}", undone.stdout);
    assert_eq!(place.config(), before);
    let last = place.codex.resume(&set_up, "and once more").await;
    assert_eq!(thread(&last), session);
    assert_eq!(place.recorded().await, through);
    let names = std::fs::read_dir(place.codex.home()).expect("the home can be read");
    let traces: Vec<_> = names
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().contains("gateway"))
        .collect();
    assert_eq!(traces, Vec::<std::ffi::OsString>::new());
}

/// What the command says about the history is true.
#[tokio::test]
async fn a_provider_of_its_own_has_a_history_of_its_own() {
    let place = Place::new().await;
    let set_up = SetUp::api_key_built_in(API_KEY);
    let base = place.upstream.base_url();
    let session = thread(&place.codex.turn(&set_up, &base, "begin").await);
    let made = place.write(&["--provider", "gateway"]);
    assert!(
        made.stdout.contains("lists sessions by provider"),
        "{}",
        made.stdout
    );
    let other = thread(&place.codex.resume(&set_up, "go on").await);
    assert_ne!(other, session);
    assert!(
        place.recorded().await > 0,
        "nothing went through the gateway"
    );
    assert_eq!(place.setup(&["--restore"]).code, Some(0));
    assert_eq!(thread(&place.codex.resume(&set_up, "go on").await), session);
}

#[tokio::test]
async fn without_a_terminal_or_consent_nothing_is_written() {
    let place = Place::new().await;
    let set_up = SetUp::api_key_built_in(API_KEY);
    thread(
        &place
            .codex
            .turn(&set_up, &place.upstream.base_url(), "begin")
            .await,
    );
    let before = place.config();
    let asked = place.setup(&[]);
    assert_eq!(asked.code, Some(1), "{}", asked.stdout);
    assert!(asked.stderr.contains("add --yes"), "{}", asked.stderr);
    let shown = place.setup(&["--print"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(
        shown.stdout.contains("+openai_base_url"),
        "{}",
        shown.stdout
    );
    assert_eq!(place.config(), before);
}
