//! Upstreams that think for long, and upstreams that answer a stream's request with one JSON object: the client has its
//! stream, once, and nothing invites it to buy the answer again.

use std::time::Duration;

use gateway_tests::client::{Call, Client, Reply};
use gateway_tests::sample::{API_KEY, by_key, responses_body};
use gateway_tests::start_with;
use gateway_tests::upstream::{FixedResponse, Payload, ReplyHead, Respond, Script, Step};
use serde_json::{Value, json};

fn send(text: String) -> Step {
    Step::Send {
        body: Payload::Text(text),
        cuts: gateway_tests::upstream::Chunking::Whole,
        delay_ms: 0,
    }
}

fn whole_response() -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-5.4",
        "output": [
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "hello", "annotations": []}]},
            {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f",
             "arguments": "{\"a\":1}", "status": "completed"},
        ],
        "usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": 3,
                  "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 10},
    })
}

fn whole_completion() -> Value {
    json!({
        "id": "c_1", "object": "chat.completion", "created": 1, "model": "gpt-5.4",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    })
}

fn completed() -> String {
    format!(
        "event: response.completed\ndata: {}\n\n",
        json!({"type": "response.completed", "response": whole_response()})
    )
}

fn fixed(status: u16, body: &Value) -> Script {
    let reply = FixedResponse {
        status,
        headers: vec![],
        body: Payload::Text(body.to_string()),
    };
    Script::always(Respond::FixedResponse(
        reply.header("content-type", "application/json"),
    ))
}

fn chat_stream(client: &Client) -> Call {
    let body = json!({
        "model": "gpt-5.5", "stream": true, "messages": [{"role": "user", "content": "hi"}],
    });
    client
        .post("/v1/chat/completions")
        .bearer(API_KEY)
        .json(&body)
}

fn is_completed(entry: &Value) {
    assert_eq!(entry["outcome"], "completed", "{entry}");
    assert_eq!(entry["output_tokens"], 3, "{entry}");
}

fn as_codex(call: Call) -> Call {
    call.header("originator", "codex_cli_rs")
}

#[tokio::test]
async fn the_head_and_keepalives_leave_while_the_upstream_thinks() {
    let late_head = vec![
        Step::WaitMs(900),
        Step::Head(ReplyHead::event_stream()),
        send(completed()),
    ];
    let late_event = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::WaitMs(900),
        send(completed()),
    ];
    for steps in [late_head, late_event] {
        let (upstream, gateway) = start_with(Script::steps(steps), |config| {
            config.upstream("keepalive = \"100ms\"")
        })
        .await;
        let reply = as_codex(by_key(&gateway.client())).send().await;
        is_completed(&gateway.entry_of(&reply).await);
        assert!(reply.head_after < Duration::from_millis(700), "{reply:?}");
        assert_eq!(reply.header("x-gateway-model-served"), Some("gpt-5.5"));
        let types = reply.event_types();
        assert!(types.iter().filter(|it| *it == "keepalive").count() >= 3);
        assert_eq!(types.last().unwrap(), "response.completed");
        // A client library accepts no event before the first one: it gets comments.
        let library = by_key(&gateway.client()).header("x-stainless-lang", "python");
        let reply = library.send().await;
        assert!(reply.head_after < Duration::from_millis(700), "{reply:?}");
        assert!(
            reply.text().starts_with(": keepalive\n\n"),
            "{}",
            reply.text()
        );
        assert_eq!(reply.event_types(), ["response.completed"]);
        is_completed(&gateway.entry_of(&reply).await);
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[tokio::test]
async fn what_an_upstream_says_too_late_is_told_in_the_stream() {
    let error = json!({"error": {"code": "overloaded", "message": "come back later"}});
    let refused = |status: u16| {
        let head = ReplyHead {
            status,
            ..ReplyHead::event_stream()
        };
        vec![
            Step::WaitMs(500),
            Step::Head(ReplyHead {
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                ..head
            }),
            send(error.to_string()),
        ]
    };
    let gone = vec![Step::WaitMs(500), Step::Reset];
    for (steps, code) in [
        (refused(503), "overloaded"),
        (refused(400), "overloaded"),
        (gone, "upstream_unreachable"),
    ] {
        let (upstream, gateway) = start_with(Script::steps(steps), |config| {
            config.upstream("keepalive = \"100ms\"")
        })
        .await;
        let reply = as_codex(by_key(&gateway.client())).send().await;
        assert_eq!((reply.status, reply.cut), (200, None));
        let last: Value = reply.events().pop().unwrap();
        assert_eq!(last["type"], "response.failed", "{last}");
        assert_eq!(last["response"]["error"]["code"], code, "{last}");
        let reply = chat_stream(&gateway.client()).send().await;
        let last: Value = reply.events().pop().unwrap();
        assert_eq!(last["error"]["code"], code, "{last}");
        assert!(!reply.text().contains("[DONE]"));
        for entry in gateway.entries().await {
            assert_eq!(entry["outcome"], "failed", "{entry}");
        }
        assert_eq!(upstream.requests().len(), 2, "asked once each");
    }
}

#[tokio::test]
async fn no_other_model_is_asked_once_the_head_names_one() {
    let refusal =
        json!({"error": {"code": "model_not_found", "message": "The model does not exist"}});
    let steps = vec![
        Step::WaitMs(500),
        Step::Head(ReplyHead {
            status: 404,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            ..ReplyHead::event_stream()
        }),
        send(refusal.to_string()),
    ];
    let (upstream, gateway) = start_with(Script::steps(steps), |config| {
        config
            .upstream("keepalive = \"100ms\"")
            .rest("[fallback]\n\"gpt-5.5\" = [\"gpt-5.4\"]\n")
    })
    .await;
    let reply = as_codex(by_key(&gateway.client())).send().await;
    assert_eq!(reply.header("x-gateway-model-served"), Some("gpt-5.5"));
    let last: Value = reply.events().pop().unwrap();
    assert_eq!(last["response"]["error"]["code"], "model_not_found");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_timeout_after_dispatch_does_not_invite_a_retry() {
    let (_upstream, gateway) = start_with(Script::steps(vec![Step::Stall]), |config| {
        config.upstream("headers_timeout = \"300ms\"")
    })
    .await;
    let mut body = responses_body("hi");
    body["stream"] = json!(false);
    let call = gateway.client().post("/v1/responses").bearer(API_KEY);
    let reply = call.json(&body).send().await;
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("retry-after"), None);
    assert_eq!(reply.header("x-should-retry"), Some("false"));
}

#[tokio::test]
async fn one_json_in_place_of_a_stream_becomes_the_stream() {
    for status in [200, 201] {
        let (upstream, gateway) =
            start_with(fixed(status, &whole_response()), |config| config).await;
        let reply = as_codex(by_key(&gateway.client())).send().await;
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let types = reply.event_types();
        for kind in [
            "response.created",
            "response.output_text.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
        ] {
            assert!(types.iter().any(|it| it == kind), "{kind}: {types:?}");
        }
        let last: Value = reply.events().pop().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"], whole_response());
        upstream.set_script(fixed(status, &whole_completion()));
        let reply = chat_stream(&gateway.client()).send().await;
        assert!(
            reply.text().ends_with("data: [DONE]\n\n"),
            "{}",
            reply.text()
        );
        assert!(reply.text().contains("\"content\":\"hello\""));
        assert!(!reply.text().contains("prompt_tokens"), "not asked for");
        for entry in gateway.entries().await {
            is_completed(&entry);
        }
    }
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_an_error() {
    let error = json!({"error": {"code": "rate_limit", "message": "slow down"}});
    let (_upstream, gateway) = start_with(fixed(200, &error), |config| config).await;
    for call in [by_key(&gateway.client()), chat_stream(&gateway.client())] {
        let reply: Reply = call.send().await;
        assert!(reply.status >= 400, "{reply:?}");
        assert_eq!(reply.json()["error"]["message"], "slow down");
    }
    for entry in gateway.entries().await {
        assert_eq!(entry["outcome"], "failed", "{entry}");
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_or_not_json_passes_and_is_booked_as_such() {
    let whole = whole_response().to_string();
    let cut = &whole[..whole.len() - 20];
    for (body, kind) in [
        (cut, "application/json"),
        ("<html>hello</html>", "text/html"),
        ("ok", "application/json"),
    ] {
        let reply = FixedResponse {
            status: 200,
            headers: vec![],
            body: Payload::Text(body.to_owned()),
        };
        let script = Script::always(Respond::FixedResponse(reply.header("content-type", kind)));
        let (_upstream, gateway) = start_with(script, |config| config).await;
        let mut request = responses_body("hi");
        request["stream"] = json!(false);
        let call = gateway.client().post("/v1/responses").bearer(API_KEY);
        let reply = call.json(&request).send().await;
        assert_eq!((reply.status, reply.text().as_str()), (200, body));
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(entry["outcome"], "upstream_truncated", "{body}");
    }
}
