//! Whole sessions of Codex before an upstream that speaks the other protocol.

use crate::direct::{PROMPT, assert_whole_turn};
use base64::Engine as _;
use gateway_tests::codex::{CURRENT, Codex, LAST_CHAT, SetUp, Turn};
use gateway_tests::gateway::{Gateway, Start};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{
    Matcher, ModelAnswer, Output, Recorded, Respond, Script, Upstream, Usage,
};
use serde_json::{Value, json};

/// A gateway that sends every sign-in to one upstream of another party.
pub(crate) async fn before(wire: &str, script: Script, more: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::with(script).await;
    upstream.expect_gateway();
    let config = format!(
        "[upstreams.third]\nbase_url = \"{}\"\nwire_api = \"{wire}\"\ncredential = {{ env = \"THIRD_KEY\" }}\n\
         [routes]\napi_key = \"third\"\nanonymous = \"third\"\nchatgpt = \"third\"\n{more}\n",
        upstream.base_url()
    );
    let gateway = Gateway::start_with(Start {
        config: Some(config),
        environment: vec![("THIRD_KEY".to_owned(), "sk-canary-third".to_owned())],
        ..Start::default()
    })
    .await;
    (upstream, gateway)
}

/// What the upstream was asked, all of it on one endpoint.
#[track_caller]
pub(crate) fn requests(upstream: &Upstream, path: &str) -> Vec<Recorded> {
    let requests = upstream.model_requests();
    let paths: Vec<&str> = requests.iter().map(Recorded::path).collect();
    assert!(paths.iter().all(|seen| *seen == path), "{paths:?}");
    for request in &requests {
        assert_eq!(
            request.header("authorization"),
            Some("Bearer sk-canary-third")
        );
        assert_eq!(request.header("x-codex-turn-metadata"), None);
    }
    requests
}

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn call(name: &str, arguments: &Value, id: &str) -> Output {
    Output::Call {
        name: name.to_owned(),
        namespace: None,
        arguments: arguments.to_string(),
        call_id: id.to_owned(),
    }
}

/// These answers first, one after another, then the default model's.
pub(crate) fn first(answers: Vec<ModelAnswer>) -> Script {
    // A rule counts the requests that no rule before it answered.
    let next = Matcher {
        method: Some("POST".to_owned()),
        ..Matcher::default()
    }
    .nth(1);
    answers
        .into_iter()
        .fold(Script::default(), |script, answer| {
            script.rule(next.clone(), Respond::ModelAnswer(Box::new(answer)))
        })
}

/// The tool messages of a request, by call id.
pub(crate) fn tool_outputs(request: &Recorded) -> Vec<(String, String)> {
    let body = request.json();
    let messages = body["messages"].as_array().expect("messages");
    messages
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            (id.to_owned(), message["content"].to_string())
        })
        .collect()
}

#[track_caller]
pub(crate) fn assert_says_hello(turn: &Turn) {
    turn.assert_clean();
    assert_eq!(turn.messages(), ["hello from the scripted upstream"]);
}

#[tokio::test]
async fn turns_with_commands_and_a_second_turn_that_remembers_them() {
    let (upstream, gateway) = before("chat", Script::default(), "").await;
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::env_key(API_KEY);
    let turn = codex.turn(&set_up, &gateway.base_url(), PROMPT).await;
    assert_whole_turn(&turn);
    assert!(
        turn.usage()["input_tokens"].as_u64() > Some(0),
        "{}",
        turn.stdout
    );
    let second = codex.resume(&set_up, "and what was it again?").await;
    assert_says_hello(&second);
    let seen = requests(&upstream, CHAT);
    assert_eq!(seen.len(), 3);
    let last = seen[2].json()["messages"].to_string();
    for text in [
        "tool-42-ran",
        "and what was it again?",
        "hello from the scripted upstream",
    ] {
        assert!(last.contains(text), "`{text}` in {last}");
    }
}

#[tokio::test]
async fn a_keyless_provider_works_too() {
    let (upstream, gateway) = before("chat", Script::default(), "").await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::keyless(), &gateway.base_url(), PROMPT)
        .await;
    assert_whole_turn(&turn);
    assert_eq!(requests(&upstream, CHAT).len(), 2);
}

#[tokio::test]
async fn a_patch_really_changes_a_file() {
    let patch = "*** Begin Patch\n*** Add File: made.txt\n+by a chat model\n*** End Patch\n";
    let answers = vec![ModelAnswer::of(vec![call(
        "apply_patch",
        &json!({ "input": patch }),
        "call_1",
    )])];
    let (upstream, gateway) = before("chat", first(answers), "").await;
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::env_key(API_KEY).line("sandbox_mode = \"danger-full-access\"");
    let turn = codex
        .turn(&set_up, &gateway.base_url(), "make a file")
        .await;
    assert_says_hello(&turn);
    let made = std::fs::read_to_string(codex.work().join("made.txt"));
    assert_eq!(made.expect(&turn.stdout), "by a chat model\n");
    assert_eq!(turn.items("file_change").len(), 1, "{}", turn.stdout);
    let seen = requests(&upstream, CHAT);
    let offered = seen[0].json()["tools"].to_string();
    assert!(
        offered.contains("\"apply_patch\"") && !offered.contains("\"custom\""),
        "{offered}"
    );
    let outputs = tool_outputs(&seen[1]);
    assert_eq!(outputs.len(), 1);
    assert!(
        outputs[0].0 == "call_1" && outputs[0].1.contains("made.txt"),
        "{outputs:?}"
    );
}

#[tokio::test]
async fn parallel_calls_each_get_their_output() {
    let answers = vec![ModelAnswer::of(vec![
        call(
            "exec_command",
            &json!({"cmd": "echo one-$((1+10))"}),
            "call_1",
        ),
        call(
            "exec_command",
            &json!({"cmd": "echo two-$((2+20))"}),
            "call_2",
        ),
    ])];
    let (upstream, gateway) = before("chat", first(answers), "").await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), "count")
        .await;
    assert_says_hello(&turn);
    assert_eq!(turn.items("command_execution").len(), 2, "{}", turn.stdout);
    let seen = requests(&upstream, CHAT);
    let outputs = tool_outputs(&seen[1]);
    let ids: Vec<&str> = outputs.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["call_1", "call_2"]);
    assert!(
        outputs[0].1.contains("one-11") && outputs[1].1.contains("two-22"),
        "{outputs:?}"
    );
}

/// One red pixel.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

#[tokio::test]
async fn an_image_arrives() {
    let (upstream, gateway) = before("chat", Script::default(), "").await;
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pixel.png");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(PICTURE)
        .unwrap();
    std::fs::write(&file, bytes).unwrap();
    let file = file.to_str().unwrap();
    let turn = Codex::new(CURRENT)
        .turn_with(
            &SetUp::env_key(API_KEY),
            &gateway.base_url(),
            "what is this?",
            &["-i", file],
        )
        .await;
    assert_says_hello(&turn);
    let sent = requests(&upstream, CHAT)[0].json();
    let urls: Vec<&str> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| message["content"].as_array().into_iter().flatten())
        .filter_map(|part| part["image_url"]["url"].as_str())
        .collect();
    assert_eq!(urls.len(), 1, "{sent}");
    assert!(urls[0].starts_with("data:image/png;base64,"), "{}", urls[0]);
}

fn large() -> Usage {
    Usage {
        input: 90_000,
        cached: 0,
        cache_write: 0,
        output: 50,
        reasoning: 0,
    }
}

#[tokio::test]
async fn a_long_conversation_is_compacted_and_goes_on() {
    for (set_up, by_service) in [
        (SetUp::env_key(API_KEY), false),
        (SetUp::chatgpt_built_in(), true),
    ] {
        let answers = vec![
            ModelAnswer::of(vec![call(
                "exec_command",
                &json!({"cmd": "echo one-$((1+10))"}),
                "call_1",
            )])
            .usage(large()),
            ModelAnswer::text("THE-NOTE of what happened"),
        ];
        let (upstream, gateway) = before("chat", first(answers), "").await;
        let set_up = set_up.line("model_auto_compact_token_limit = 20000");
        let turn = Codex::new(CURRENT)
            .turn(&set_up, &gateway.base_url(), "please count")
            .await;
        turn.assert_clean();
        let messages = turn.messages();
        assert_eq!(
            messages.last().map(String::as_str),
            Some("hello from the scripted upstream"),
            "{messages:?}"
        );
        let seen = requests(&upstream, CHAT);
        assert_eq!(seen.len(), 3, "{}", turn.stdout);
        // By key Codex asks for the note in its own words; by ChatGPT it leaves that to the
        // service, which is the gateway here.
        let asked = seen[1].json()["messages"].to_string();
        assert_eq!(
            asked.contains("Another assistant will take over"),
            by_service,
            "{asked}"
        );
        let last = seen[2].json()["messages"].to_string();
        assert!(
            last.contains("THE-NOTE") && last.contains("please count"),
            "{last}"
        );
        assert!(!last.contains("codex-gateway.summary"), "{last}");
    }
}

#[tokio::test]
async fn a_model_of_the_operators_is_in_codexs_list_and_works() {
    let entry = "[[catalog.entries]]\nmodel = \"deepseek-chat\"\nname = \"DeepSeek\"\ncontext_window = 128000\nefforts = [\"low\", \"high\"]\n";
    let (upstream, gateway) = before("chat", Script::default(), entry).await;
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::with_catalogue(API_KEY).model(Some("deepseek-chat"));
    let turn = codex.turn(&set_up, &gateway.base_url(), PROMPT).await;
    assert_whole_turn(&turn);
    assert!(!turn.stderr.contains("models_manager"), "{}", turn.stderr);
    assert!(!turn.stdout.contains("metadata"), "{}", turn.stdout);
    let sent = requests(&upstream, CHAT)[0].json();
    assert!(
        sent["messages"][0]
            .to_string()
            .contains("You are a coding agent that works in a user's terminal"),
        "{sent}"
    );
    let tools: Vec<&str> = sent["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tool| tool["function"]["name"].as_str())
        .collect();
    for name in ["exec_command", "apply_patch"] {
        assert!(tools.contains(&name), "{tools:?}");
    }

    let shown = codex
        .other(&set_up, &gateway.base_url(), &["debug", "models"])
        .await;
    assert!(shown.status.success(), "{}", shown.stderr);
    let models: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let model = models["models"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["slug"] == "deepseek-chat");
    let model = model.unwrap_or_else(|| panic!("{}", shown.stdout));
    assert_eq!(model["context_window"], 128_000);
}

#[tokio::test]
async fn codex_077_speaks_chat_to_either_kind_of_upstream() {
    let set_up = SetUp::env_key(API_KEY)
        .model(Some("gpt-5.2"))
        .provider_line("wire_api = \"chat\"");
    for (wire, path) in [("responses", "/v1/responses"), ("chat", CHAT)] {
        let (upstream, gateway) = before(wire, Script::default(), "").await;
        let turn = Codex::new(LAST_CHAT)
            .turn(&set_up, &gateway.base_url(), PROMPT)
            .await;
        assert_whole_turn(&turn);
        let seen = requests(&upstream, path);
        assert_eq!(seen.len(), 2, "{wire}");
        assert!(seen[1].json().to_string().contains("tool-42-ran"));
    }
}

#[tokio::test]
async fn codexs_default_model_with_its_javascript_works_before_a_chat_upstream() {
    let (upstream, gateway) = before("chat", Script::default(), "").await;
    let turn = Codex::new(CURRENT)
        .turn(
            &SetUp::env_key(API_KEY).model(None),
            &gateway.base_url(),
            PROMPT,
        )
        .await;
    assert_whole_turn(&turn);
    let seen = requests(&upstream, CHAT);
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn reasoning_goes_back_with_the_call_that_it_led_to() {
    let thought = Output::Reasoning {
        summary: "THE-THOUGHT before the call".to_owned(),
        encrypted: None,
    };
    let run = call(
        "exec_command",
        &json!({"cmd": "echo tool-$((40+2))-ran"}),
        "call_1",
    );
    let answers = vec![ModelAnswer::of(vec![thought, run])];
    let echoes = "[upstreams.third.deviations]\necho_reasoning = \"reasoning_content\"\n";
    let (upstream, gateway) = before("chat", first(answers), echoes).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), "think")
        .await;
    assert_says_hello(&turn);
    let seen = requests(&upstream, CHAT);
    let messages = seen[1].json()["messages"].clone();
    let called: Vec<&Value> = messages
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["tool_calls"].is_array())
        .collect();
    assert_eq!(called.len(), 1, "{messages}");
    assert_eq!(
        called[0]["reasoning_content"],
        "THE-THOUGHT before the call"
    );
    assert!(tool_outputs(&seen[1])[0].1.contains("tool-42-ran"));
}

#[tokio::test]
async fn a_picture_that_a_tool_looks_at_is_shown_to_the_model() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pixel.png");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(PICTURE)
        .unwrap();
    std::fs::write(&file, bytes).unwrap();
    let look = call("view_image", &json!({"path": file}), "call_1");
    let (upstream, gateway) = before("chat", first(vec![ModelAnswer::of(vec![look])]), "").await;
    let set_up = SetUp::env_key(API_KEY).line("sandbox_mode = \"danger-full-access\"");
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), "look at it")
        .await;
    assert_says_hello(&turn);
    let seen = requests(&upstream, CHAT);
    let messages = seen[1].json()["messages"].clone();
    let messages = messages.as_array().unwrap();
    let answered = messages
        .iter()
        .position(|message| message["tool_call_id"] == "call_1")
        .expect("a tool message");
    // Chat takes no picture from a tool, so that it comes with the next words of the user.
    let shown = &messages[answered + 1];
    assert_eq!(shown["role"], "user", "{shown}");
    assert!(
        shown["content"]
            .to_string()
            .contains("data:image/png;base64,"),
        "{shown}"
    );
}
