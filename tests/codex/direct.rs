//! Codex straight at the scripted upstream: shows that a turn of each set-up works without a
//! gateway.

use gateway_tests::codex::{CURRENT, Codex, FAKE_ACCOUNT, LAST_CHAT, SetUp, Turn, chatgpt_token};
use gateway_tests::normalise::normalise;
use gateway_tests::upstream::{
    FixedResponse, Matcher, Payload, Recorded, Respond, Script, Upstream,
};
use serde_json::{Value, json};

pub(crate) const PROMPT: &str = "SIMTOOL run the command and tell me what it said";

/// The turn that every set-up runs: one command, its output sent back, one text.
#[track_caller]
pub(crate) fn assert_whole_turn(turn: &Turn) {
    turn.assert_clean();
    let commands = turn.items("command_execution");
    assert_eq!(commands.len(), 1, "{}", turn.stdout);
    assert_eq!(
        commands[0]["aggregated_output"], "tool-42-ran\n",
        "{}",
        turn.stdout
    );
    assert_eq!(turn.messages(), ["hello from the scripted upstream"]);
}

/// The requests that ask a model, which are two: the prompt, and the tool's output.
#[track_caller]
pub(crate) fn model_requests(upstream: &Upstream) -> Vec<Recorded> {
    let requests = upstream.model_requests();
    let seen: Vec<String> = upstream
        .requests()
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    assert_eq!(requests.len(), 2, "the upstream saw {seen:?}");
    assert!(
        requests[1].json().to_string().contains("tool-42-ran"),
        "the second request holds the tool's output"
    );
    requests
}

fn targets(upstream: &Upstream) -> Vec<String> {
    let requests = upstream.requests();
    let mut targets: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    targets.dedup();
    targets
}

/// The catalogue of the installed Codex itself.
pub(crate) async fn bundled_catalogue(codex: &Codex) -> String {
    let printed = codex
        .other(
            &SetUp::default(),
            "http://127.0.0.1:9/v1",
            &["debug", "models", "--bundled"],
        )
        .await;
    assert!(printed.status.success(), "{}", printed.stderr);
    printed.stdout
}

pub(crate) fn catalogue_script(catalogue: &str) -> Script {
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let answer = FixedResponse {
        status: 200,
        headers,
        body: Payload::Text(catalogue.to_owned()),
    };
    Script::default().rule(Matcher::path("/models"), Respond::FixedResponse(answer))
}

async fn run(version: &str, set_up: &SetUp) -> (Upstream, Turn, Vec<Recorded>) {
    let upstream = Upstream::start().await;
    let turn = Codex::new(version)
        .turn(set_up, &upstream.base_url(), PROMPT)
        .await;
    assert_whole_turn(&turn);
    let requests = model_requests(&upstream);
    (upstream, turn, requests)
}

#[tokio::test]
async fn a_custom_provider_with_a_key_posts_plain_json() {
    let (upstream, _, requests) = run(CURRENT, &SetUp::env_key("sk-sim")).await;
    assert_eq!(targets(&upstream), ["POST /v1/responses"]);
    assert_eq!(requests[0].header("authorization"), Some("Bearer sk-sim"));
    assert_eq!(requests[0].header("content-encoding"), None);
}

#[tokio::test]
async fn chatgpt_sign_in_tries_websocket_once_and_posts_zstd() {
    let (upstream, turn, requests) = run(CURRENT, &SetUp::chatgpt_built_in()).await;
    let all = upstream.requests();
    let upgrades = all.iter().filter(|request| request.wants_upgrade()).count();
    assert_eq!(upgrades, 1, "{:?}", targets(&upstream));
    assert!(
        all.iter()
            .any(|request| request.target == "/v1/models?client_version=0.169.0")
    );
    for request in &requests {
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert_eq!(request.header("chatgpt-account-id"), Some(FAKE_ACCOUNT));
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {}", chatgpt_token()).as_str())
        );
    }
    assert!(
        turn.took.as_secs() < 20,
        "account calls must fail at once, this took {:?}",
        turn.took
    );
}

#[tokio::test]
async fn a_provider_with_openai_auth_sends_the_chatgpt_token() {
    let (_, _, requests) = run(CURRENT, &SetUp::chatgpt_provider()).await;
    assert_eq!(requests[0].header("chatgpt-account-id"), Some(FAKE_ACCOUNT));
    assert_eq!(requests[0].header("content-encoding"), None);
}

#[tokio::test]
async fn a_provider_with_a_catalogue_asks_for_it_with_its_key() {
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::with_catalogue("sk-sim");
    let upstream = Upstream::with(catalogue_script(&bundled_catalogue(&codex).await)).await;
    let turn = codex.turn(&set_up, &upstream.base_url(), PROMPT).await;
    assert_whole_turn(&turn);
    let requests = upstream.requests();
    let asked = requests
        .iter()
        .find(|request| request.path() == "/v1/models")
        .expect("Codex asked for the catalogue");
    assert_eq!(asked.query(), Some("client_version=0.169.0"));
    assert_eq!(asked.header("authorization"), Some("Bearer sk-sim"));
}

/// What an answer without models costs: nothing, while a missing catalogue is logged as an error at
/// every start.
#[tokio::test]
async fn an_empty_catalogue_disturbs_chatgpt_sign_in_least() {
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::chatgpt_provider();
    let mut bodies = Vec::new();
    for (answer, complains) in [
        (
            FixedResponse::json(200, json!({"models": [], "object": "list", "data": []})),
            false,
        ),
        (
            FixedResponse::json(
                404,
                json!({"error": {"message": "none", "code": "not_found"}}),
            ),
            true,
        ),
        (
            FixedResponse::json(200, json!({"object": "list", "data": []})),
            true,
        ),
    ] {
        let upstream = Upstream::with(
            Script::default().rule(Matcher::path("/models"), Respond::FixedResponse(answer)),
        )
        .await;
        let turn = codex.turn(&set_up, &upstream.base_url(), PROMPT).await;
        assert_whole_turn(&turn);
        assert_eq!(
            turn.stderr.contains("failed to refresh available models"),
            complains,
            "{}",
            turn.stderr
        );
        bodies.push(normalise(&model_requests(&upstream)[0].json(), &[]));
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
}

/// With `model_catalog_url` Codex knows no model of its own: an empty answer makes it complain to
/// the user.
#[tokio::test]
async fn a_provider_with_a_catalogue_url_needs_a_real_catalogue() {
    let answer = Respond::FixedResponse(FixedResponse::json(200, json!({"models": []})));
    let upstream = Upstream::with(Script::default().rule(Matcher::path("/models"), answer)).await;
    let turn = Codex::new(CURRENT)
        .turn(
            &SetUp::with_catalogue("sk-sim"),
            &upstream.base_url(),
            PROMPT,
        )
        .await;
    assert!(
        turn.errors()
            .iter()
            .any(|error| error.contains("Model metadata for `gpt-5.5` not found")),
        "{}",
        turn.stdout
    );
}

#[tokio::test]
async fn an_api_key_through_the_built_in_provider_posts_after_one_refused_upgrade() {
    let (upstream, _, requests) = run(CURRENT, &SetUp::api_key_built_in("sk-proj-sim")).await;
    assert_eq!(
        targets(&upstream),
        ["GET /v1/responses", "POST /v1/responses"]
    );
    assert_eq!(
        requests[0].header("authorization"),
        Some("Bearer sk-proj-sim")
    );
    assert_eq!(requests[0].header("content-encoding"), None);
}

#[tokio::test]
async fn the_default_model_runs_its_commands_in_javascript() {
    let (_, _, requests) = run(CURRENT, &SetUp::env_key("sk-sim").model(None)).await;
    let body = requests[0].json();
    assert_eq!(
        body["input"][0]["type"], "additional_tools",
        "the default model gets Responses Lite"
    );
    assert_eq!(body.get("tools"), None);
    let last = requests[1].json()["input"]
        .as_array()
        .and_then(|items| items.last().cloned())
        .unwrap_or_default();
    assert_eq!(last["type"], "custom_tool_call_output");
}

#[tokio::test]
async fn codex_077_speaks_chat_completions() {
    let set_up = SetUp::env_key("sk-sim")
        .model(Some("gpt-5.2"))
        .provider_line("wire_api = \"chat\"");
    let (upstream, _, requests) = run(LAST_CHAT, &set_up).await;
    assert_eq!(targets(&upstream), ["POST /v1/chat/completions"]);
    let roles: Vec<Value> = requests[1].json()["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["role"].clone())
        .collect();
    assert_eq!(roles.last().unwrap(), "tool");
}
