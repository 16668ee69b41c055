//! Answers, streamed and whole, whatever of the two the upstream chose to send.

use super::{call, chat_only, exchange_line, respond, turn, turn_with};
use gateway_tests::client::Reply;
use gateway_tests::upstream::answer::Ask;
use gateway_tests::upstream::{
    Chunking, Ending, FixedResponse, Matcher, ModelAnswer, Output, Respond, Script, Step, Wire,
};
use serde_json::{Value, json};

fn text(parts: &[&str]) -> ModelAnswer {
    let deltas = parts.iter().map(|part| (*part).to_owned()).collect();
    let thought = Output::Reasoning {
        summary: "hm".to_owned(),
        encrypted: None,
    };
    ModelAnswer::of(vec![thought, Output::Deltas(deltas)])
}

/// The items that were done, in their order.
fn items(reply: &Reply) -> Vec<Value> {
    let events = reply.events();
    let done = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done");
    done.map(|event| event["item"].clone()).collect()
}

#[tokio::test]
async fn a_stream_has_every_event_in_openais_order_however_it_is_cut() {
    let mut whole: Option<String> = None;
    for cuts in [Chunking::Events, Chunking::Each(1), Chunking::Whole] {
        let (_upstream, gateway) =
            chat_only(Script::answer(text(&["he", "llo"]).cuts(cuts)), "").await;
        let reply = respond(&gateway, &turn(true)).await;
        assert_eq!((reply.status, reply.cut), (200, None));
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let mut types = reply.event_types();
        types.dedup();
        assert_eq!(
            types,
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
                "response.output_item.done",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let last = reply.events().pop().unwrap()["response"].clone();
        assert_eq!(last["output"], json!(items(&reply)));
        assert_eq!(last["output"][1]["content"][0]["text"], "hello");
        assert_eq!(last["usage"]["input_tokens"], 100);
        assert_eq!(last["usage"]["input_tokens_details"]["cached_tokens"], 10);
        assert_eq!(
            last["usage"]["output_tokens_details"]["reasoning_tokens"],
            5
        );
        let line = exchange_line(&gateway).await;
        for field in [
            "completed",
            "usage.input_tokens=100",
            "usage.output_tokens=20",
            "endpoint=\"responses\"",
        ] {
            assert!(line.contains(field), "`{field}` in {line}");
        }
        let types = reply.event_types().join(",");
        assert_eq!(whole.get_or_insert_with(|| types.clone()), &types);
    }
}

#[tokio::test]
async fn each_event_leaves_before_the_next_one_exists() {
    let chunk = |delta: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    };
    let steps = vec![
        Step::Head(gateway_tests::upstream::ReplyHead::event_stream()),
        Step::Send {
            body: gateway_tests::upstream::Payload::Events(vec![chunk(
                json!({"role": "assistant", "content": "first"}),
            )]),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        Step::Stall,
    ];
    let (_upstream, gateway) = chat_only(Script::steps(steps), "").await;
    let mut open = call(&gateway, "/v1/responses", &turn(true)).open().await;
    open.until("first").await;
}

#[tokio::test]
async fn tools_of_every_kind_come_back_as_they_were_declared() {
    let patch = "*** Begin Patch\n*** Add File: a\n+x\n*** End Patch";
    let call = |name: &str, arguments: &str, id: &str| Output::Call {
        name: name.to_owned(),
        namespace: None,
        arguments: arguments.to_owned(),
        call_id: id.to_owned(),
    };
    let answer = ModelAnswer::of(vec![
        call("exec_command", "{\"cmd\":\"ls\"}", "call_1"),
        call(
            "apply_patch",
            &json!({"input": patch}).to_string(),
            "call_2",
        ),
        call("mcp__files__read", "{\"path\":\"a\"}", "call_3"),
    ]);
    let tools = json!([
        {"type": "function", "name": "exec_command", "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "description": "patches", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "namespace", "name": "mcp__files", "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}]},
    ]);
    let (upstream, gateway) = chat_only(Script::answer(answer), "").await;
    for stream in [true, false] {
        let reply = respond(
            &gateway,
            &turn_with(
                stream,
                &json!({"tools": tools, "parallel_tool_calls": true}),
            ),
        )
        .await;
        let items = if stream {
            items(&reply)
        } else {
            reply.json()["output"].as_array().unwrap().clone()
        };
        let told: Vec<Value> = items
            .iter()
            .map(|item| {
                json!([
                    item["type"],
                    item["name"],
                    item["namespace"],
                    item["call_id"],
                    item["arguments"],
                    item["input"]
                ])
            })
            .collect();
        assert_eq!(
            told,
            [
                json!([
                    "function_call",
                    "exec_command",
                    null,
                    "call_1",
                    "{\"cmd\":\"ls\"}",
                    null
                ]),
                json!([
                    "custom_tool_call",
                    "apply_patch",
                    null,
                    "call_2",
                    null,
                    patch
                ]),
                json!([
                    "function_call",
                    "read",
                    "mcp__files",
                    "call_3",
                    "{\"path\":\"a\"}",
                    null
                ]),
            ],
            "stream {stream}"
        );
    }
    let names: Vec<Value> = upstream.requests()[0].json()["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["function"]["name"].clone())
        .collect();
    assert_eq!(names, ["exec_command", "apply_patch", "mcp__files__read"]);
}

/// The steps of an answer for a stream or not, whatever was asked for.
fn forced(answer: &ModelAnswer, stream: bool) -> Script {
    Script::steps(answer.steps(&Ask {
        wire: Wire::Chat,
        model: "third-a",
        stream,
        include_usage: true,
        number: 1,
    }))
}

#[tokio::test]
async fn the_client_gets_what_it_asked_for_and_not_what_the_upstream_sent() {
    for upstream_streams in [true, false] {
        for client_streams in [true, false] {
            let script = forced(&text(&["hello"]), upstream_streams);
            let (upstream, gateway) = chat_only(script, "").await;
            let reply = respond(&gateway, &turn(client_streams)).await;
            let what = format!(
                "client {client_streams}, upstream {upstream_streams}: {}",
                reply.text()
            );
            assert_eq!(reply.status, 200, "{what}");
            let response = if client_streams {
                assert_eq!(
                    reply.header("content-type"),
                    Some("text/event-stream"),
                    "{what}"
                );
                assert_eq!(reply.event_types()[0], "response.created", "{what}");
                let last = reply.events().pop().unwrap();
                assert_eq!(last["type"], "response.completed", "{what}");
                last["response"].clone()
            } else {
                assert_eq!(
                    reply.header("content-type"),
                    Some("application/json"),
                    "{what}"
                );
                reply.json()
            };
            assert_eq!(response["object"], "response", "{what}");
            assert_eq!(
                response["output"][1]["content"][0]["text"], "hello",
                "{what}"
            );
            assert_eq!(response["usage"]["input_tokens"], 100, "{what}");
            assert_eq!(upstream.only_request().json()["stream"], client_streams);
            let line = exchange_line(&gateway).await;
            assert!(
                line.contains("usage.input_tokens=100") && line.contains("completed"),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn usage_comes_in_every_shape() {
    let shapes = [
        (
            json!({"prompt_tokens": 50, "completion_tokens": 7, "prompt_cache_hit_tokens": 30, "prompt_cache_miss_tokens": 20}),
            "usage.cached_input_tokens=30",
            "",
        ),
        (
            json!({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "cost": 0.0123}),
            "usage.output_tokens=7",
            "cost_nanos=12300000",
        ),
        (
            json!({"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 8}}),
            "usage.cached_input_tokens=8",
            "",
        ),
    ];
    for (usage, told, cost) in shapes {
        for stream in [true, false] {
            let answer = ModelAnswer {
                raw_usage: Some(usage.clone()),
                ..text(&["x"])
            };
            let (_upstream, gateway) = chat_only(Script::answer(answer), "").await;
            assert_eq!(respond(&gateway, &turn(stream)).await.status, 200);
            let line = exchange_line(&gateway).await;
            assert!(
                line.contains("usage.input_tokens=50")
                    && line.contains(told)
                    && line.contains(cost),
                "{usage}: {line}"
            );
        }
    }
    let answer = ModelAnswer {
        usage: None,
        ..text(&["x"])
    };
    let (_upstream, gateway) = chat_only(Script::answer(answer), "").await;
    respond(&gateway, &turn(true)).await;
    assert!(
        !exchange_line(&gateway).await.contains("usage.input_tokens"),
        "unknown is not nought"
    );
}

#[tokio::test]
async fn an_answer_that_was_cut_by_its_limit_is_incomplete() {
    let answer = text(&["half"]).ending(Ending::Incomplete {
        reason: "length".to_owned(),
    });
    let (_upstream, gateway) = chat_only(Script::answer(answer), "").await;
    let reply = respond(&gateway, &turn(true)).await;
    let last = reply.events().pop().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
}

fn no_such_model() -> Value {
    json!({"error": {"message": "The model `third-a` does not exist", "type": "invalid_request_error", "code": "model_not_found", "param": null}})
}

const CHAIN: &str = "[fallback]\n\"third-a\" = [\"third-b\"]\n[routes_end]\n";

#[tokio::test]
async fn a_model_that_is_refused_is_followed_by_the_next_before_anything_was_said() {
    let error_first = ModelAnswer::of(vec![Output::Event(no_such_model())]).ending(Ending::Missing);
    for refusal in [
        Respond::FixedResponse(FixedResponse::json(404, no_such_model())),
        Respond::ModelAnswer(Box::new(error_first)),
    ] {
        let script = Script::default().rule(Matcher::model("third-a"), refusal);
        let upstream = gateway_tests::upstream::Upstream::with(script).await;
        let config = format!(
            "[upstreams.third]\nbase_url = \"{}\"\nwire_api = \"chat\"\ncredential = \
             \"none\"\n[routes]\napi_key = \"third\"\n{}",
            upstream.base_url(),
            CHAIN.replace("[routes_end]\n", "")
        );
        let gateway = super::start(&config).await;
        let reply = respond(&gateway, &turn(true)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(
            reply.header("x-gateway-model-served"),
            Some("third-b"),
            "{}",
            reply.text()
        );
        assert_eq!(reply.header("x-gateway-decision"), Some("fell-back"));
        assert_eq!(
            reply.event_types().last().map(String::as_str),
            Some("response.completed")
        );
        let models: Vec<Value> = upstream
            .requests()
            .iter()
            .map(|request| request.json()["model"].clone())
            .collect();
        assert_eq!(models, ["third-a", "third-b"]);
    }
}
