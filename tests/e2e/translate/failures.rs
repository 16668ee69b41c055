//! Bad input on either side: a clear error in the client's own protocol, one terminal event, one
//! entry.

use super::{call, chat_only, exchange_line, respond, turn, turn_with};
use gateway_tests::client::Reply;
use gateway_tests::upstream::{
    Chunking, Ending, FixedResponse, ModelAnswer, Output, Payload, ReplyHead, Respond, Script, Step,
};
use serde_json::{Value, json};

fn plain(status: u16, kind: &str, body: &str) -> Script {
    let body = Payload::Text(body.to_owned());
    let headers = vec![("content-type".to_owned(), kind.to_owned())];
    Script::always(Respond::FixedResponse(FixedResponse {
        status,
        headers,
        body,
    }))
}

fn chunk(delta: &Value) -> String {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

fn stream(text: &str, end: Step) -> Script {
    let body = Payload::Text(text.to_owned());
    Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body,
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        end,
    ])
}

/// Exactly one terminal event, and it is the last.
#[track_caller]
fn terminal(reply: &Reply) -> Value {
    assert_eq!((reply.status, reply.cut), (200, None), "{}", reply.text());
    let is_terminal = |kind: &str| {
        [
            "response.completed",
            "response.failed",
            "response.incomplete",
        ]
        .contains(&kind)
    };
    let types = reply.event_types();
    let count = types.iter().filter(|kind| is_terminal(kind)).count();
    assert_eq!(count, 1, "{types:?}");
    let last = reply.events().pop().unwrap();
    assert!(is_terminal(last["type"].as_str().unwrap()), "{types:?}");
    last
}

#[tokio::test]
async fn a_stream_that_goes_wrong_ends_with_one_failure() {
    let begun = chunk(&json!({"role": "assistant", "content": "half an ans"}));
    let error = "data: {\"error\":{\"message\":\"out of GPUs\",\"code\":\"server_error\",\"type\":\"x\"}}\n\n";
    let rows = [
        (
            "closed",
            stream(&begun, Step::End),
            "upstream_truncated",
            "upstream_truncated",
        ),
        (
            "reset",
            stream(&begun, Step::Reset),
            "upstream_truncated",
            "upstream_truncated",
        ),
        (
            "silent",
            stream(&begun, Step::Stall),
            "upstream_timeout",
            "upstream_truncated",
        ),
        (
            "an error in a 200",
            stream(&format!("{begun}{error}"), Step::End),
            "server_error",
            "failed",
        ),
        (
            "an error and nothing else",
            stream(error, Step::End),
            "server_error",
            "failed",
        ),
        (
            "garbage",
            stream("data: <html>\n\ndata: [1,2\n\n", Step::End),
            "server_error",
            "failed",
        ),
        (
            "nothing but an end",
            stream("data: [DONE]\n\n", Step::End),
            "upstream_truncated",
            "upstream_truncated",
        ),
        (
            "filtered",
            Script::answer(ModelAnswer::text("no").ending(Ending::Incomplete {
                reason: "content_filter".to_owned(),
            })),
            "invalid_prompt",
            "failed",
        ),
    ];
    for (what, script, code, outcome) in rows {
        let (_upstream, gateway) = chat_only(script, "stream_idle_timeout = \"300ms\"").await;
        let request = call(&gateway, "/v1/responses", &turn(true));
        let reply = request.header("originator", "codex_exec").send().await;
        let last = terminal(&reply);
        assert_eq!(last["type"], "response.failed", "{what}");
        assert_eq!(last["response"]["error"]["code"], code, "{what}: {last}");
        assert!(
            last["response"]["error"]["message"].as_str().unwrap().len() > 5,
            "{what}"
        );
        let line = exchange_line(&gateway).await;
        assert!(
            line.contains(&format!("exchange {outcome}")),
            "{what}: {line}"
        );
    }
}

#[tokio::test]
async fn a_whole_answer_that_goes_wrong_is_an_error() {
    let rows = [
        (
            "a web page",
            plain(200, "text/html", "<html>sign in</html>"),
            502,
            "upstream_unreadable",
        ),
        (
            "another object",
            plain(200, "application/json", "{\"hello\":1}"),
            502,
            "upstream_unreadable",
        ),
        (
            "an error in a 200",
            plain(
                200,
                "application/json",
                "{\"error\":{\"message\":\"no\",\"code\":429}}",
            ),
            429,
            "rate_limit_exceeded",
        ),
        (
            "its own words",
            plain(
                422,
                "application/json",
                "{\"detail\":[{\"msg\":\"bad temperature\"}]}",
            ),
            422,
            "invalid_request_error",
        ),
        (
            "a list",
            plain(
                400,
                "application/json",
                "[{\"error\":{\"message\":\"no\",\"code\":400,\"status\":\"X\"}}]",
            ),
            400,
            "invalid_request_error",
        ),
        (
            "no words",
            plain(503, "text/html", "<html>"),
            503,
            "server_is_overloaded",
        ),
    ];
    for (what, script, status, code) in rows {
        for stream in [true, false] {
            let (_upstream, gateway) = chat_only(script.clone(), "").await;
            let reply = respond(&gateway, &turn(stream)).await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (status, code),
                "{what}: {}",
                reply.text()
            );
            assert_eq!(
                reply.header("content-type"),
                Some("application/json"),
                "{what}"
            );
            assert!(
                reply.json()["error"]["message"].as_str().unwrap().len() > 1,
                "{what}"
            );
            let line = exchange_line(&gateway).await;
            assert!(line.contains("exchange failed"), "{what}: {line}");
        }
    }
}

#[tokio::test]
async fn what_helps_a_client_to_wait_crosses_with_an_error() {
    let refusal =
        FixedResponse::json(429, json!({"detail": "slow down"})).header("retry-after", "7");
    let (_upstream, gateway) = chat_only(Script::always(Respond::FixedResponse(refusal)), "").await;
    let reply = respond(&gateway, &turn(true)).await;
    assert_eq!(
        (reply.status, reply.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(reply.json()["error"]["message"], "slow down");
}

#[tokio::test]
async fn a_silent_upstream_is_bridged_by_events_that_say_nothing() {
    let begun = chunk(&json!({"role": "assistant", "content": "a"}));
    let script = Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send { body: Payload::Text(begun), cuts: Chunking::Whole, delay_ms: 0 },
        Step::WaitMs(500),
        Step::Send {
            body: Payload::Text("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n".to_owned()),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ]);
    let (_upstream, gateway) = chat_only(script, "keepalive = \"100ms\"").await;
    let reply = respond(&gateway, &turn(true)).await;
    let types = reply.event_types();
    let told = types
        .iter()
        .position(|kind| kind == "response.output_text.delta");
    let alive = types
        .iter()
        .skip(told.unwrap())
        .filter(|kind| *kind == "response.in_progress")
        .count();
    assert!(alive >= 2, "{types:?}");
    assert_eq!(terminal(&reply)["type"], "response.completed");
}

#[tokio::test]
async fn a_call_with_arguments_that_are_no_json_is_never_complete_and_heals_in_the_history() {
    let bad = Output::Call {
        name: "f".to_owned(),
        namespace: None,
        arguments: "{\"cmd\": ls}".to_owned(),
        call_id: "call_1".to_owned(),
    };
    let (upstream, gateway) = chat_only(Script::answer(ModelAnswer::of(vec![bad])), "").await;
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let reply = respond(&gateway, &turn_with(true, &json!({"tools": tools}))).await;
    let last = terminal(&reply);
    assert_eq!(last["type"], "response.failed", "{last}");
    assert_eq!(last["response"]["output"], json!([]), "{last}");
    let done = |kind: &String| kind == "response.output_item.done";
    assert!(!reply.event_types().iter().any(done), "{}", reply.text());
    // Another gateway may have let such a call into the history.
    let item = json!({"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"cmd\": ls}"});
    let history = json!({"tools": tools, "input": [turn(true)["input"][0], item,
        {"type": "function_call_output", "call_id": "call_1", "output": "failed to parse"}]});
    respond(&gateway, &turn_with(true, &history)).await;
    let sent = upstream.requests()[1].json();
    let arguments = sent["messages"][2]["tool_calls"][0]["function"]["arguments"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        serde_json::from_str::<Value>(&arguments).is_ok_and(|value| value.is_object()),
        "{arguments}"
    );
}

#[tokio::test]
async fn what_a_filter_stopped_is_incomplete_for_every_client_but_codex() {
    let filtered = ModelAnswer::text("half").ending(Ending::Incomplete {
        reason: "content_filter".to_owned(),
    });
    let (_upstream, gateway) = chat_only(Script::answer(filtered), "").await;
    let last = terminal(&respond(&gateway, &turn(true)).await);
    assert_eq!(last["type"], "response.incomplete", "{last}");
    assert_eq!(
        last["response"]["incomplete_details"],
        json!({"reason": "content_filter"})
    );
}

#[tokio::test]
async fn a_tool_name_of_200_characters_is_shortened_there_and_whole_here() {
    let name = "n".repeat(200);
    let tools = json!([{"type": "function", "name": name, "parameters": {"type": "object"}}]);
    let (upstream, gateway) = chat_only(Script::default(), "").await;
    assert_eq!(
        respond(&gateway, &turn_with(true, &json!({"tools": tools})))
            .await
            .status,
        200
    );
    let short = upstream.requests()[0].json()["tools"][0]["function"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(short.len() <= 64, "{short}");
    let answer = Output::Call {
        name: short,
        namespace: None,
        arguments: "{}".to_owned(),
        call_id: "call_1".to_owned(),
    };
    upstream.set_script(Script::answer(ModelAnswer::of(vec![answer])));
    let reply = respond(&gateway, &turn_with(true, &json!({"tools": tools}))).await;
    assert_eq!(
        terminal(&reply)["response"]["output"][0]["name"],
        name.as_str()
    );
}

#[tokio::test]
async fn a_body_of_the_other_wire_is_told_where_it_belongs() {
    let (upstream, gateway) = chat_only(Script::default(), "").await;
    let chat = json!({"model": "third-a", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let reply = respond(&gateway, &chat).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "invalid_request")
    );
    let told = reply.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        told.contains("/chat/completions") || told.contains("input"),
        "{told}"
    );
    assert!(upstream.requests().is_empty());
    assert!(exchange_line(&gateway).await.contains("exchange rejected"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstreams_work() {
    let (upstream, gateway) = chat_only(
        stream(
            &chunk(&json!({"role": "assistant", "content": "first"})),
            Step::Stall,
        ),
        "",
    )
    .await;
    let mut open = call(&gateway, "/v1/responses", &turn(true)).open().await;
    open.until("first").await;
    open.reset();
    upstream
        .wait_until("the answer was given up", |requests| {
            requests[0].outcome.is_some()
        })
        .await;
    assert!(
        exchange_line(&gateway)
            .await
            .contains("exchange client_gone")
    );
}
