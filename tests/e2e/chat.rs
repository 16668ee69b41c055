//! `POST /v1/chat/completions`: byte for byte where the upstream speaks it, translated where it
//! does not.

use crate::translate::{call, chat_only, exchange_line, third_party};
use gateway_tests::client::{Client, Reply};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, signed_in};
use gateway_tests::upstream::{
    Ending, FixedResponse, Matcher, ModelAnswer, Output, Respond, Script, Upstream,
};
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";

fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]})
}

#[track_caller]
fn assert_deprecated(reply: &Reply) {
    assert_eq!(
        reply.header("deprecation"),
        Some("@1769904000"),
        "status {}",
        reply.status
    );
    let link = reply.header("link").unwrap_or_default();
    assert!(
        link.contains("/v1/responses") && link.contains("successor-version"),
        "{link}"
    );
}

#[tokio::test]
async fn an_upstream_that_speaks_chat_gets_and_gives_every_byte() {
    let upstream = Upstream::with(Script::answer(counted())).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let sent = "{ \"model\":\"gpt-5.5\", \"stream\" :true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"n\":1.0, \"stream_options\": {\"include_usage\":true} }";
    let post = gateway
        .client()
        .post(PATH)
        .bearer(API_KEY)
        .header("content-type", "application/json");
    let reply = post.body(sent).send().await;
    assert_eq!(reply.status, 200);
    assert_deprecated(&reply);
    let request = upstream.only_request();
    assert_eq!((request.path(), request.body()), (PATH, sent.as_bytes()));
    assert_eq!(reply.text(), ask_directly(&upstream, sent).await.text());
    assert!(exchange_line(&gateway).await.contains("endpoint=\"chat\""));
}

/// The same request without a gateway.
async fn ask_directly(upstream: &Upstream, sent: &str) -> Reply {
    Client::direct(upstream.address())
        .post(PATH)
        .bearer(API_KEY)
        .header("content-type", "application/json")
        .body(sent)
        .send()
        .await
}

/// An upstream that passes both wires on, with a credential of the gateway's.
const BOTH_WIRES: &str = r#"["responses", "chat"]"#;

/// An answer in which only what the upstream says of tokens can tell two askings apart.
fn counted() -> ModelAnswer {
    ModelAnswer {
        id: Some("chatcmpl-1".to_owned()),
        ..answer()
    }
}

#[tokio::test]
async fn a_stream_is_counted_though_its_client_did_not_ask_and_its_client_does_not_notice() {
    let (upstream, gateway) = third_party(Script::answer(counted()), BOTH_WIRES, "").await;
    // Below and above what is read before a body is passed on, in one with the model last.
    for filling in [1, 200_000] {
        let text = "x".repeat(filling);
        let start = format!(
            "{{\"model\":\"gpt-5.5\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}], \"stream\":true"
        );
        for (options, asked) in [
            ("", ",\"stream_options\":{\"include_usage\":true}"),
            (
                ",\"stream_options\":{\"include_usage\":false}",
                ",\"stream_options\":{\"include_usage\":true}",
            ),
        ] {
            let sent = format!("{start}{options} }}");
            let post = gateway
                .client()
                .post(PATH)
                .bearer(API_KEY)
                .header("content-type", "application/json");
            let reply = post.body(sent.clone()).send().await;
            let request = upstream.requests().pop().unwrap();
            // A member that was added stands where the last one ended; one that was changed stays
            // where it was.
            assert!(
                request.body() == format!("{start}{asked} }}").as_bytes(),
                "{options}"
            );
            assert_eq!(reply.text(), ask_directly(&upstream, &sent).await.text());
            assert!(!reply.text().contains("usage"), "{}", reply.text());
            let entry = gateway.entry_of(&reply).await;
            assert_eq!(
                (
                    &entry["usage_source"],
                    &entry["input_tokens"],
                    &entry["output_tokens"]
                ),
                (&json!("reported"), &json!(100), &json!(20)),
                "{entry}"
            );
        }
    }
}

#[tokio::test]
async fn usage_is_asked_for_beside_another_model_and_never_where_the_upstream_takes_no_such_thing()
{
    let rule = "[[rules]]\nname = \"mini\"\nwhen = { model = \"gpt-5.5\" }\nthen = { rewrite = \"gpt-5.4-mini\" }\n";
    let (upstream, gateway) = third_party(Script::answer(counted()), BOTH_WIRES, rule).await;
    let reply = call(&gateway, PATH, &ask("gpt-5.5", true)).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = upstream.only_request().json();
    assert_eq!(
        (&sent["model"], &sent["stream_options"]),
        (&json!("gpt-5.4-mini"), &json!({"include_usage": true}))
    );
    assert!(!reply.text().contains("usage"));

    for (lines, stream) in [("deviations = { stream_usage = false }", true), ("", false)] {
        let (upstream, gateway) = chat_only(Script::answer(counted()), lines).await;
        let sent = ask("third-a", stream).to_string();
        let reply = call(&gateway, PATH, &ask("third-a", stream)).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(upstream.only_request().body(), sent.as_bytes());
        assert_eq!(reply.text(), ask_directly(&upstream, &sent).await.text());
    }
}

#[tokio::test]
async fn who_pays_gets_every_byte_through_unless_a_limit_counts_it() {
    let upstream = Upstream::with(Script::answer(counted())).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let sent = ask("gpt-5.5", true);
    let reply = call(&gateway, PATH, &sent).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(upstream.only_request().body(), sent.to_string().as_bytes());
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(entry["usage_source"], json!("unknown"), "{entry}");

    let (_, key) = gateway
        .new_key(&["--name", "counted", "--budget", "5.00/day"])
        .await;
    let asked = call(&gateway, PATH, &sent).header("x-gateway-key", &key);
    let reply = asked.send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = upstream.requests().pop().unwrap().json();
    assert_eq!(request["stream_options"], json!({"include_usage": true}));
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(entry["usage_source"], json!("reported"), "{entry}");
}

#[tokio::test]
async fn an_upstream_that_takes_no_question_for_usage_is_asked_as_the_client_asked() {
    // As a strict server words it.
    let refusal = json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
        "loc": ["body", "stream_options", "include_usage"], "msg": "Extra inputs are not permitted"}]}});
    let asked = Matcher {
        method: Some("POST".to_owned()),
        ..Matcher::default()
    };
    let script = Script::default()
        .rule(
            asked.clone().nth(1),
            Respond::FixedResponse(FixedResponse::json(422, refusal)),
        )
        .rule(asked, Respond::ModelAnswer(Box::new(counted())));
    let (upstream, gateway) = chat_only(script, "").await;
    let sent = ask("third-a", true);
    let reply = call(&gateway, PATH, &sent).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[1].json(), sent);
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(
        (&entry["outcome"], &entry["usage_source"]),
        (&json!("completed"), &json!("unknown")),
        "{entry}"
    );
    assert_eq!(entry["attempts"].as_array().map(Vec::len), Some(2));
    assert!(gateway.output().contains("stream_usage = false"));
}

#[tokio::test]
async fn every_answer_says_that_there_is_a_successor() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let post = |path: &str| gateway.client().post(path).bearer(API_KEY);
    for (call, status) in [
        (post(PATH).json(&ask("gpt-5.5", false)), 200),
        (post("/chat/completions").json(&ask("gpt-5.5", false)), 200),
        (
            post(PATH)
                .header("content-type", "application/json")
                .body("{"),
            400,
        ),
        (post(PATH).json(&json!({"messages": []})), 400),
        (
            gateway.client().post(PATH).json(&ask("gpt-5.5", false)),
            401,
        ),
        (
            post(PATH)
                .json(&ask("gpt-5.5", false))
                .set_header("host", "evil.example"),
            403,
        ),
        (gateway.client().get(PATH), 405),
        (
            post(PATH).header("content-type", "text/plain").body("x"),
            415,
        ),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_deprecated(&reply);
    }
    let other = gateway.client().get("/v1/models").send().await;
    assert_eq!(other.header("deprecation"), None);
}

#[tokio::test]
async fn a_model_that_answers_on_responses_alone_is_translated_though_the_upstream_speaks_both() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let reply = call(&gateway, PATH, &ask("gpt-5.3-codex", true))
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_deprecated(&reply);
    let request = upstream.only_request();
    assert_eq!(request.path(), "/v1/responses");
    let body = request.json();
    assert_eq!(body["store"], false);
    assert_eq!(body["input"][1]["content"][0]["text"], "hi", "{body}");
    assert!(
        reply.text().ends_with("data: [DONE]\n\n"),
        "{}",
        reply.text()
    );
}

fn answer() -> ModelAnswer {
    let call = Output::Call {
        name: "f".to_owned(),
        namespace: None,
        arguments: "{\"a\":1}".to_owned(),
        call_id: "call_1".to_owned(),
    };
    ModelAnswer::of(vec![
        Output::Deltas(vec!["he".to_owned(), "llo".to_owned()]),
        call,
    ])
}

#[tokio::test]
async fn a_responses_upstream_answers_in_chunks() {
    let (upstream, gateway) = third_party(Script::answer(answer()), "\"responses\"", "").await;
    let mut body = ask("third-a", true);
    body["stream_options"] = json!({"include_usage": true});
    body["tools"] =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let reply = call(&gateway, PATH, &body).send().await;
    assert_eq!((reply.status, reply.cut), (200, None), "{}", reply.text());
    let events = reply.events();
    let ids: std::collections::HashSet<&str> = events
        .iter()
        .filter_map(|event| event["id"].as_str())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(
        events
            .iter()
            .all(|event| event["object"] == "chat.completion.chunk")
    );
    let choices: Vec<&Value> = events.iter().map(|event| &event["choices"][0]).collect();
    assert_eq!(choices[0]["delta"]["role"], "assistant");
    let text: String = choices
        .iter()
        .filter_map(|choice| choice["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "hello");
    let finishes: Vec<&str> = choices
        .iter()
        .filter_map(|choice| choice["finish_reason"].as_str())
        .collect();
    assert_eq!(finishes, ["tool_calls"]);
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(100), &json!(20))
    );
    assert!(reply.text().ends_with("data: [DONE]\n\n"));
    assert_eq!(upstream.only_request().json()["tools"][0]["name"], "f");
    let line = exchange_line(&gateway).await;
    assert!(
        line.contains("usage.input_tokens=100") && line.contains("exchange completed"),
        "{line}"
    );
}

#[tokio::test]
async fn a_client_without_stream_gets_json_also_from_a_service_that_only_streams() {
    let upstream = Upstream::with(Script::answer(answer())).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let by_plan = signed_in(gateway.client().post(PATH)).json(&ask("gpt-5.5", false));
    let reply = by_plan.send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["object"], "chat.completion");
    let message = &body["choices"][0]["message"];
    assert_eq!(
        (
            &message["content"],
            &message["tool_calls"][0]["function"]["arguments"]
        ),
        (&json!("hello"), &json!("{\"a\":1}"))
    );
    assert_eq!(body["usage"]["total_tokens"], 120);
    let sent = upstream.only_request().json();
    assert_eq!(
        (&sent["stream"], &sent["instructions"]),
        (&json!(true), &json!("Be brief.")),
        "{sent}"
    );
    assert!(
        exchange_line(&gateway)
            .await
            .contains("usage.output_tokens=20")
    );
}

#[tokio::test]
async fn failures_of_a_responses_upstream_are_chats_own() {
    let failed = ModelAnswer::text("half").ending(Ending::Failed {
        code: Some("server_error".to_owned()),
        message: "out of GPUs".to_owned(),
    });
    for (ending, code) in [
        (failed.clone(), "server_error"),
        (
            ModelAnswer::text("half").ending(Ending::Missing),
            "upstream_truncated",
        ),
    ] {
        let (_upstream, gateway) = third_party(Script::answer(ending), "\"responses\"", "").await;
        let reply = call(&gateway, PATH, &ask("third-a", true)).send().await;
        assert_eq!(reply.status, 200);
        let last = reply.events().pop().unwrap();
        assert_eq!(last["error"]["code"], code, "{last}");
        assert!(
            !reply.text().contains("[DONE]"),
            "half an answer is no whole one"
        );
        // Codex of old overlooks the error, so for it the connection breaks.
        let codex = call(&gateway, PATH, &ask("third-a", true)).header("originator", "codex_exec");
        assert!(codex.send().await.cut.is_some());
    }
    let (_upstream, gateway) = third_party(Script::answer(failed), "\"responses\"", "").await;
    let reply = call(&gateway, PATH, &ask("third-a", false)).send().await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (502, "server_error"),
        "{}",
        reply.text()
    );
    assert_deprecated(&reply);

    let refusal = FixedResponse::json(400, json!({"detail": "Unsupported parameter: x"}));
    let (_upstream, gateway) = third_party(
        Script::always(Respond::FixedResponse(refusal)),
        "\"responses\"",
        "",
    )
    .await;
    let reply = call(&gateway, PATH, &ask("third-a", true)).send().await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["message"], "Unsupported parameter: x");
}

#[tokio::test]
async fn what_responses_cannot_do_is_refused_before_anything_is_sent() {
    let (upstream, gateway) = third_party(Script::default(), "\"responses\"", "").await;
    for (name, value) in [
        ("n", json!(2)),
        ("functions", json!([{"name": "f"}])),
        ("messages", json!("hi")),
    ] {
        let mut body = ask("third-a", true);
        body[name] = value;
        let reply = call(&gateway, PATH, &body).send().await;
        assert_eq!(reply.status, 400, "{name}");
        assert!(
            ["untranslatable", "invalid_request"].contains(&reply.error_code().as_str()),
            "{}",
            reply.text()
        );
        assert_deprecated(&reply);
    }
    assert!(upstream.requests().is_empty());
}
