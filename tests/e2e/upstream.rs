//! The scripted upstream itself, without a gateway: what the other tests rely on.

use gateway_tests::client::Client;
use gateway_tests::codec;
use gateway_tests::upstream::{
    AnswerEnd, Chunking, Ending, FixedResponse, Matcher, ModelAnswer, Output, Payload,
    ReplyFraming, ReplyHead, Respond, Script, Step, Upstream, Usage,
};
use serde_json::{Value, json};

fn ask(prompt: &str, stream: bool) -> Value {
    json!({"model": "gpt-5.5", "stream": stream, "input": [{"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": prompt}]}]})
}

#[tokio::test]
async fn the_default_model_answers_a_text_on_both_wires() {
    let upstream = Upstream::start().await;
    let client = Client::direct(upstream.address());
    let streamed = client
        .post("/v1/responses")
        .json(&ask("hi", true))
        .send()
        .await;
    assert_eq!(
        streamed.event_types().first().map(String::as_str),
        Some("response.created")
    );
    assert_eq!(
        streamed.event_types().last().map(String::as_str),
        Some("response.completed")
    );
    let whole = client
        .post("/backend-api/codex/responses")
        .json(&ask("hi", false))
        .send()
        .await
        .json();
    assert_eq!(
        whole["output"][0]["content"][0]["text"],
        "hello from the scripted upstream"
    );
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let whole = client
        .post("/v1/chat/completions")
        .json(&chat)
        .send()
        .await
        .json();
    assert_eq!(
        whole["choices"][0]["message"]["content"],
        "hello from the scripted upstream"
    );
    let served = upstream.served();
    assert_eq!(served.len(), 3);
    assert!(
        served
            .iter()
            .all(|served| served.completed && served.usage.is_some()),
        "{served:?}"
    );
}

#[tokio::test]
async fn the_default_model_calls_a_tool_once_when_the_prompt_asks() {
    let upstream = Upstream::start().await;
    let client = Client::direct(upstream.address());
    let mut body = ask("SIMTOOL please", false);
    body["tools"] = json!([{"type": "function", "name": "exec_command"}]);
    let first = client.post("/v1/responses").json(&body).send().await.json();
    assert_eq!(first["output"][0]["name"], "exec_command");
    let history = body["input"].as_array_mut().unwrap();
    history.push(json!({"type": "function_call_output", "call_id": "call_sim1", "output": "ok"}));
    let second = client.post("/v1/responses").json(&body).send().await.json();
    assert_eq!(second["output"][0]["type"], "message");

    let lite = json!({"model": "m", "input": [
        {"type": "additional_tools", "tools": [{"type": "namespace", "name": "functions",
            "tools": [{"type": "custom", "name": "exec"}]}]},
        {"type": "message", "role": "user", "content": "SIMTOOL"}]});
    let call = client.post("/v1/responses").json(&lite).send().await.json();
    assert_eq!(call["output"][0]["type"], "custom_tool_call");
}

#[tokio::test]
async fn requests_are_kept_as_they_came() {
    let upstream = Upstream::start().await;
    let packed = codec::encode("zstd", ask("hi", true).to_string().as_bytes()).unwrap();
    let call = Client::direct(upstream.address()).post("/v1/responses?a=1&b=%20");
    call.header("X-B", "2")
        .header("x-a", "1")
        .header("content-encoding", "zstd")
        .body(packed.clone())
        .chunked(7)
        .send()
        .await;
    let request = upstream.only_request();
    assert_eq!(request.target, "/v1/responses?a=1&b=%20");
    assert_eq!(request.query(), Some("a=1&b=%20"));
    let names: Vec<&str> = request
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "host",
            "X-B",
            "x-a",
            "content-encoding",
            "transfer-encoding"
        ]
    );
    assert_eq!(request.raw, packed);
    assert_eq!(request.json(), ask("hi", true));
}

#[tokio::test]
async fn rules_pick_by_model_path_and_turn() {
    let script = Script::default()
        .rule(
            Matcher::model("gpt-5.5").nth(1),
            Respond::FixedResponse(FixedResponse::json(400, json!({"first": true}))),
        )
        .rule(Matcher::path("/echo"), Respond::Echo);
    let upstream = Upstream::with(script).await;
    let client = Client::direct(upstream.address());
    let statuses = [
        client
            .post("/v1/responses")
            .json(&json!({"model": "other"}))
            .send()
            .await
            .status,
        client
            .post("/v1/responses")
            .json(&json!({"model": "gpt-5.5"}))
            .send()
            .await
            .status,
        client
            .post("/v1/responses")
            .json(&json!({"model": "gpt-5.5"}))
            .send()
            .await
            .status,
        client.get("/v1/nothing").send().await.status,
        client
            .get("/v1/responses")
            .header("upgrade", "websocket")
            .send()
            .await
            .status,
    ];
    assert_eq!(statuses, [200, 400, 200, 404, 426]);
    assert_eq!(
        client.post("/echo?x").body("hi").send().await.json()["text"],
        "hi"
    );
}

#[tokio::test]
async fn streams_can_end_in_every_way() {
    let start = || {
        vec![
            Step::Interim {
                status: 103,
                headers: vec![("link".to_owned(), "</x>".to_owned())],
            },
            Step::Head(ReplyHead::event_stream()),
            Step::Send {
                body: Payload::Text("data: 1\n\n".to_owned()),
                cuts: Chunking::Each(1),
                delay_ms: 0,
            },
        ]
    };
    for (last, cut, outcome) in [
        (Step::End, false, AnswerEnd::Done),
        (Step::Reset, true, AnswerEnd::Cut),
        (Step::Close, true, AnswerEnd::Cut),
        (Step::HalfClose, true, AnswerEnd::Cut),
    ] {
        let mut steps = start();
        steps.push(last.clone());
        let upstream = Upstream::with(Script::steps(steps)).await;
        let reply = Client::direct(upstream.address())
            .post("/v1/responses")
            .json(&ask("hi", true))
            .send()
            .await;
        assert_eq!(
            (reply.text().as_str(), reply.cut.is_some()),
            ("data: 1\n\n", cut),
            "{last:?}"
        );
        assert_eq!(reply.interim, [103]);
        let requests = upstream.wait_until_idle().await;
        assert_eq!(requests[0].outcome.unwrap().0, outcome, "{last:?}");
    }
}

#[tokio::test]
async fn a_stalled_answer_notices_that_its_client_left() {
    let steps = vec![Step::Head(ReplyHead::event_stream()), Step::Stall];
    let upstream = Upstream::with(Script::steps(steps)).await;
    let open = Client::direct(upstream.address())
        .post("/v1/responses")
        .json(&ask("hi", true))
        .open()
        .await;
    open.reset();
    let requests = upstream.wait_until_idle().await;
    assert_eq!(requests[0].outcome.unwrap().0, AnswerEnd::PeerGone);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let steps = vec![
        Step::Raw(Payload::Text("HTTP/1.1 200 OK\r\n\r\nx".to_owned())),
        Step::Reset,
    ];
    let upstream = Upstream::with(Script::steps(steps)).await;
    let reply = Client::direct(upstream.address())
        .post("/v1/responses")
        .json(&ask("hi", true))
        .send()
        .await;
    assert_eq!(reply.cut, Some(std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn both_wires_carry_every_kind_of_output() {
    let output = vec![
        Output::Reasoning {
            summary: "thinking".to_owned(),
            encrypted: Some("gAAA".to_owned()),
        },
        Output::Deltas(vec!["a".to_owned(), "b".to_owned()]),
        Output::Call {
            name: "f".to_owned(),
            namespace: None,
            arguments: "{}".to_owned(),
            call_id: "c1".to_owned(),
        },
        Output::CustomCall {
            name: "g".to_owned(),
            namespace: None,
            input: "raw".to_owned(),
            call_id: "c2".to_owned(),
        },
    ];
    let usage = Usage {
        input: 7,
        cached: 3,
        cache_write: 1,
        output: 5,
        reasoning: 2,
    };
    let upstream = Upstream::with(Script::answer(ModelAnswer::of(output).usage(usage))).await;
    let client = Client::direct(upstream.address());
    let stream = client
        .post("/v1/responses")
        .json(&ask("hi", true))
        .send()
        .await;
    insta::assert_json_snapshot!("responses_events", stream.events());
    let chat = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}, "messages": []});
    let stream = client.post("/v1/chat/completions").json(&chat).send().await;
    insta::assert_snapshot!("chat_stream", stream.text());
}

#[tokio::test]
async fn failures_come_in_stream() {
    let ending = Ending::Failed {
        code: Some("server_is_overloaded".to_owned()),
        message: "busy".to_owned(),
    };
    let upstream = Upstream::with(Script::answer(ModelAnswer::text("x").ending(ending))).await;
    let reply = Client::direct(upstream.address())
        .post("/v1/responses")
        .json(&ask("hi", true))
        .send()
        .await;
    let last = reply.events().pop().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["error"]["code"]),
        (&json!("response.failed"), &json!("server_is_overloaded"))
    );
    assert!(!upstream.served()[0].completed);
}

#[tokio::test]
async fn the_control_endpoints_tell_and_set() {
    let upstream = Upstream::start().await;
    let client = Client::direct(upstream.address());
    let script = json!({"rules": [{"then": {"steps": [
        {"head": {"status": 200, "framing": "until_close"}}, {"send": {"body": {"base64": "//4="}}}, {"served": null}]}}]});
    assert_eq!(
        client
            .post("/__sim/script")
            .json(&script)
            .send()
            .await
            .status,
        200
    );
    assert_eq!(
        client
            .post("/__sim/script")
            .json(&json!({"rule": 1}))
            .send()
            .await
            .status,
        400
    );
    let reply = client
        .post("/v1/responses")
        .json(&ask("hi", true))
        .send()
        .await;
    assert_eq!(reply.body, [0xff, 0xfe]);
    assert_eq!(
        client.get("/__sim/served").send().await.json()["served"][0]["completed"],
        true
    );
    let requests = client.get("/__sim/requests").send().await.json();
    assert_eq!(requests["requests"][0]["target"], "/v1/responses");
    client.post("/__sim/reset").send().await;
    assert_eq!(
        client.get("/__sim/served").send().await.json()["served"],
        json!([])
    );
    assert_eq!(upstream.requests().len(), 0);
    let framing = ReplyFraming::default();
    assert_eq!(framing, ReplyFraming::Chunked);
}
