//! Codex through the gateway: the same turn, the same events, and upstream the same JSON as without
//! it.

use crate::direct::{
    PROMPT, assert_whole_turn, bundled_catalogue, catalogue_script, model_requests,
};
use gateway_tests::codex::{CURRENT, Codex, FAKE_ACCOUNT, LAST_CHAT, SetUp, Turn, chatgpt_token};
use gateway_tests::gateway::{Config, Gateway, Start};
use gateway_tests::normalise::{differences, normalise};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Recorded, Script, Upstream, Usage};
use serde_json::{Value, json};

/// What one turn looked like from both ends.
struct Seen {
    turn: Turn,
    requests: Vec<Recorded>,
    upstream: Upstream,
}

impl Seen {
    fn bodies(&self) -> Vec<Value> {
        self.requests
            .iter()
            .map(|request| normalise(&request.json(), &[]))
            .collect()
    }

    /// Headers upstream that Codex itself wrote, by name, without what varies; hop-by-hop ones
    /// aside.
    fn headers(&self) -> Vec<Vec<(String, String)>> {
        let own = [
            "host",
            "content-length",
            "transfer-encoding",
            "accept-encoding",
            "codex-gateway-loop",
        ];
        let of = |request: &Recorded| {
            let mut fields: Vec<_> = request
                .fields
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_ascii_lowercase(),
                        normalise(&Value::String(value.clone()), &[]).to_string(),
                    )
                })
                .filter(|(name, _)| !own.contains(&name.as_str()))
                .collect();
            fields.sort();
            fields
        };
        self.requests.iter().map(of).collect()
    }
}

async fn direct(codex: &Codex, set_up: &SetUp, script: &Script) -> Seen {
    let upstream = Upstream::with(script.clone()).await;
    let turn = codex.turn(set_up, &upstream.base_url(), PROMPT).await;
    assert_whole_turn(&turn);
    Seen {
        requests: model_requests(&upstream),
        turn,
        upstream,
    }
}

async fn through(
    codex: &Codex,
    set_up: &SetUp,
    script: &Script,
    catalogue: Option<String>,
) -> (Seen, Gateway) {
    let upstream = Upstream::with(script.clone()).await;
    let mut config = Config::to(&upstream);
    let mut files = Vec::new();
    if let Some(catalogue) = catalogue {
        config = config.rest("[catalog]\nfile = \"catalogue.json\"\n");
        files.push(("catalogue.json".to_owned(), catalogue));
    }
    let gateway = Gateway::start_with(Start {
        config: Some(config.text()),
        files,
        ..Start::default()
    })
    .await;
    let turn = codex.turn(set_up, &gateway.base_url(), PROMPT).await;
    assert_whole_turn(&turn);
    (
        Seen {
            requests: model_requests(&upstream),
            turn,
            upstream,
        },
        gateway,
    )
}

#[track_caller]
fn assert_same(what: &str, through: &[Value], direct: &[Value]) {
    let found = differences(&json!(through), &json!(direct));
    assert!(
        found.is_empty(),
        "{what} through the gateway and direct differ:\n{}",
        found.join("\n")
    );
}

/// The default model, with usage that does not depend on the length of what varies.
fn steady(mut script: Script) -> Script {
    script.model.usage = Some(Usage::default());
    script
}

/// Runs the turn both ways and compares everything that both ends can see.
async fn assert_nothing_changes(version: &str, set_up: SetUp, script: Script) -> (Seen, Gateway) {
    let script = steady(script);
    let codex = Codex::new(version);
    let plain = direct(&codex, &set_up, &script).await;
    let (seen, gateway) = through(&codex, &set_up, &script, None).await;
    assert_same(
        "events",
        &seen.turn.comparable_events(),
        &plain.turn.comparable_events(),
    );
    assert_same("bodies", &seen.bodies(), &plain.bodies());
    assert_eq!(seen.headers(), plain.headers());
    (seen, gateway)
}

#[tokio::test]
async fn a_custom_provider_with_a_key() {
    let (seen, _gateway) =
        assert_nothing_changes(CURRENT, SetUp::env_key(API_KEY), Script::default()).await;
    assert_eq!(
        seen.requests[0].header("authorization"),
        Some(format!("Bearer {API_KEY}").as_str())
    );
}

#[tokio::test]
async fn chatgpt_sign_in_through_openai_base_url() {
    let codex = Codex::new(CURRENT);
    let script = catalogue_script(&bundled_catalogue(&codex).await);
    let (seen, _gateway) = assert_nothing_changes(CURRENT, SetUp::chatgpt_built_in(), script).await;
    for request in &seen.requests {
        assert_eq!(
            request.header("content-encoding"),
            Some("zstd"),
            "the body stays compressed as it came"
        );
        assert_eq!(request.header("chatgpt-account-id"), Some(FAKE_ACCOUNT));
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {}", chatgpt_token()).as_str())
        );
    }
    let all = seen.upstream.requests();
    assert!(
        all.iter().all(|request| !request.wants_upgrade()),
        "the gateway answers the upgrade itself"
    );
    assert!(
        all.iter().any(|request| request.path() == "/v1/models"),
        "the catalogue is the upstream's"
    );
    assert!(
        !seen
            .turn
            .stderr
            .contains("failed to refresh available models"),
        "{}",
        seen.turn.stderr
    );
    assert!(
        !seen.turn.stdout.contains("Falling back"),
        "426 makes Codex fall back in silence: {}",
        seen.turn.stdout
    );
}

#[tokio::test]
async fn a_provider_with_openai_auth() {
    let codex = Codex::new(CURRENT);
    let script = catalogue_script(&bundled_catalogue(&codex).await);
    let (seen, _gateway) = assert_nothing_changes(CURRENT, SetUp::chatgpt_provider(), script).await;
    assert_eq!(
        seen.requests[0].header("chatgpt-account-id"),
        Some(FAKE_ACCOUNT)
    );
}

#[tokio::test]
async fn a_catalogue_of_the_operators() {
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::with_catalogue(API_KEY);
    let catalogue = bundled_catalogue(&codex).await;
    let plain = direct(&codex, &set_up, &catalogue_script(&catalogue)).await;
    let (seen, gateway) = through(&codex, &set_up, &Script::default(), Some(catalogue)).await;
    assert_same("bodies", &seen.bodies(), &plain.bodies());
    assert!(
        !seen.turn.stderr.contains("models_manager"),
        "{}",
        seen.turn.stderr
    );

    // Codex's own decoder judges what we serve.
    let shown = codex
        .other(&set_up, &gateway.base_url(), &["debug", "models"])
        .await;
    assert!(shown.status.success(), "{}", shown.stderr);
    let slugs = |text: &str| -> Vec<Value> {
        let models: Value = serde_json::from_str(text).expect("JSON");
        models["models"]
            .as_array()
            .expect("models")
            .iter()
            .map(|model| model["slug"].clone())
            .collect()
    };
    assert!(
        slugs(&shown.stdout).contains(&Value::from("gpt-5.5")),
        "{}",
        shown.stdout
    );
}

#[tokio::test]
async fn an_api_key_through_openai_base_url() {
    assert_nothing_changes(CURRENT, SetUp::api_key_built_in(API_KEY), Script::default()).await;
}

#[tokio::test]
async fn the_default_model_with_its_javascript() {
    assert_nothing_changes(
        CURRENT,
        SetUp::env_key(API_KEY).model(None),
        Script::default(),
    )
    .await;
}

#[tokio::test]
async fn codex_077_over_chat_completions() {
    let set_up = SetUp::env_key(API_KEY)
        .model(Some("gpt-5.2"))
        .provider_line("wire_api = \"chat\"");
    assert_nothing_changes(LAST_CHAT, set_up, Script::default()).await;
}
