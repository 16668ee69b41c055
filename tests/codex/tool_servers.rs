//! Tool servers of the person at the real Codex, before an upstream that speaks Chat.

use crate::translate::{CHAT, assert_says_hello, before, call, first, requests, tool_outputs};
use gateway_tests::codex::{CURRENT, Codex, SetUp};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{ModelAnswer, Recorded};
use serde_json::json;

/// A set-up with a tool server that has one tool, `echo`, which says its text backwards.
fn with_tool_server(set_up: SetUp) -> SetUp {
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/codex/mcp/tiny.py");
    set_up
        .line("sandbox_mode = \"danger-full-access\"")
        .line("mcp_servers.tiny.command = \"python3\"")
        .line(&format!("mcp_servers.tiny.args = [{server:?}]"))
}

/// The names of the functions that a Chat request offers.
fn offered(request: &Recorded) -> Vec<String> {
    let body = request.json();
    let tools = body["tools"].as_array().expect("tools");
    tools
        .iter()
        .filter_map(|tool| tool["function"]["name"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_tool_server_is_found_by_search_asked_and_heard() {
    let answers = vec![
        ModelAnswer::of(vec![call(
            "tool_search",
            &json!({"query": "echo text", "limit": 3}),
            "call_1",
        )]),
        ModelAnswer::of(vec![call(
            "mcp__tiny__echo",
            &json!({"text": "sdrawkcab"}),
            "call_2",
        )]),
    ];
    let (upstream, gateway) = before("chat", first(answers), "").await;
    let set_up = with_tool_server(SetUp::env_key(API_KEY));
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), "say it backwards")
        .await;
    assert_says_hello(&turn);
    let calls = turn.items("mcp_tool_call");
    assert_eq!(calls.len(), 1, "{}", turn.stdout);
    assert_eq!(calls[0]["result"]["content"][0]["text"], "backwards");
    let seen = requests(&upstream, CHAT);
    assert_eq!(seen.len(), 3);
    assert!(offered(&seen[0]).contains(&"tool_search".to_owned()));
    // What the search found can be called from then on, and only then.
    let found = "mcp__tiny__echo".to_owned();
    assert!(
        !offered(&seen[0]).contains(&found),
        "{:?}",
        offered(&seen[0])
    );
    assert!(
        offered(&seen[1]).contains(&found),
        "{:?}",
        offered(&seen[1])
    );
    let outputs = tool_outputs(&seen[2]);
    assert_eq!(outputs.len(), 2, "{outputs:?}");
    assert!(
        outputs[1].0 == "call_2" && outputs[1].1.contains("backwards"),
        "{outputs:?}"
    );
}

#[tokio::test]
async fn the_tools_of_a_server_are_offered_at_once_to_a_model_that_cannot_search() {
    let entry = "[[catalog.entries]]\nmodel = \"deepseek-chat\"\nname = \"DeepSeek\"\ncontext_window = 128000\n";
    let answers = vec![ModelAnswer::of(vec![call(
        "mcp__tiny__echo",
        &json!({"text": "sdrawkcab"}),
        "call_1",
    )])];
    let (upstream, gateway) = before("chat", first(answers), entry).await;
    let set_up = with_tool_server(SetUp::with_catalogue(API_KEY).model(Some("deepseek-chat")));
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), "say it backwards")
        .await;
    assert_says_hello(&turn);
    let calls = turn.items("mcp_tool_call");
    assert_eq!(calls.len(), 1, "{}", turn.stdout);
    assert_eq!(calls[0]["result"]["content"][0]["text"], "backwards");
    let seen = requests(&upstream, CHAT);
    let names = offered(&seen[0]);
    assert!(names.contains(&"mcp__tiny__echo".to_owned()), "{names:?}");
    assert!(tool_outputs(&seen[1])[0].1.contains("backwards"));
}
