//! What the upstream is asked for, by which headers, and what of it is lost.

use super::{
    THIRD_KEY, call, chat_only, exchange_line, metric, respond, start, third_party, turn, turn_with,
};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{Matcher, ModelAnswer, Output, Respond, Script, Upstream};
use serde_json::{Value, json};

#[tokio::test]
async fn the_upstream_gets_a_chat_request_with_its_own_credential() {
    let (upstream, gateway) = chat_only(Script::default(), "").await;
    let reply = respond(&gateway, &turn(true)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = upstream.only_request();
    assert_eq!(request.target, "/v1/chat/completions");
    let bearer = format!("Bearer {THIRD_KEY}");
    assert_eq!(request.header("authorization"), Some(bearer.as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("accept"), Some("text/event-stream"));
    assert_eq!(
        request.json(),
        json!({
            "model": "third-a", "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        })
    );
    assert_eq!(reply.header("x-gateway-upstream"), Some("third"));
    assert_eq!(reply.header("x-gateway-translation-losses"), None);
}

#[tokio::test]
async fn credentials_travel_as_the_upstream_wants_them() {
    let upstream = Upstream::start().await;
    upstream.expect_gateway();
    let gateway = start(&format!(
        "[upstreams.third]\nbase_url = \"{}\"\nwire_api = \"chat\"\ncredential = {{ header = \"api-key\", env = \"THIRD_KEY\" }}\n\
         query_params = {{ api-version = \"preview\" }}\nhttp_headers = {{ \"X-Title\" = \"team\" }}\n[routes]\napi_key = \"third\"\n",
        upstream.base_url()
    ))
    .await;
    let reply = call(&gateway, "/v1/responses?trace=1", &turn(true))
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = upstream.only_request();
    assert_eq!(request.query(), Some("api-version=preview"));
    assert_eq!(request.header("api-key"), Some(THIRD_KEY));
    assert_eq!(request.header("x-title"), Some("team"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn keyless_servers_serve_keyless_callers_and_learn_nothing_of_others() {
    let upstream = Upstream::start().await;
    upstream.expect_gateway();
    let gateway = start(&format!(
        "[upstreams.local]\nbase_url = \"{}\"\nwire_api = \"chat\"\ncredential = \"none\"\n[routes]\nanonymous = \"local\"\n\
         [[rules]]\nname = \"open models\"\nwhen = {{ model = \"third-*\" }}\nthen = {{ send = \"local\" }}\n",
        upstream.base_url()
    ))
    .await;
    let keyless = gateway.client().post("/v1/responses").json(&turn(true));
    assert_eq!(keyless.send().await.status, 200);
    assert_eq!(respond(&gateway, &turn(true)).await.status, 200);
    for request in upstream.requests() {
        assert_eq!(request.header("authorization"), None);
    }
}

const CODEX_HEADERS: [(&str, &str); 7] = [
    ("originator", "codex_exec"),
    ("version", "0.169.0"),
    ("session-id", "s-1"),
    ("thread-id", "t-1"),
    ("x-client-request-id", "s-1"),
    ("x-codex-turn-metadata", "{}"),
    ("x-openai-internal-codex-responses-lite", "true"),
];

#[tokio::test]
async fn what_codex_says_about_itself_stays_with_its_own_service() {
    for (wire, lines, expected) in [
        ("\"chat\"", "", vec![]),
        // It describes the body, which is the client's own here.
        (
            "\"responses\"",
            "",
            vec!["x-openai-internal-codex-responses-lite"],
        ),
        (
            "\"chat\"",
            "forward_client_headers = true",
            vec![
                "originator",
                "version",
                "session-id",
                "thread-id",
                "x-client-request-id",
                "x-codex-turn-metadata",
            ],
        ),
    ] {
        let (upstream, gateway) = third_party(Script::default(), wire, lines).await;
        let mut call =
            call(&gateway, "/v1/responses", &turn(true)).header("user-agent", "codex_exec/0.169.0");
        for (name, value) in CODEX_HEADERS {
            call = call.header(name, value);
        }
        assert_eq!(call.send().await.status, 200);
        let request = upstream.only_request();
        let seen: Vec<&str> = CODEX_HEADERS
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| request.header(name).is_some())
            .collect();
        assert_eq!(seen, expected, "{wire} {lines}");
        assert_eq!(request.header("user-agent"), Some("codex_exec/0.169.0"));
    }
}

#[tokio::test]
async fn losses_are_counted_logged_once_and_shown() {
    let (upstream, gateway) = chat_only(Script::default(), "").await;
    let body = turn_with(
        true,
        &json!({
            "tools": [{"type": "web_search"}, {"type": "image_generation"}, {"type": "function", "name": "f", "parameters": {"type": "object"}}],
            "service_tier": "priority",
        }),
    );
    let reply = respond(&gateway, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let told = "hosted_tool=2,service_tier=1";
    assert_eq!(reply.header("x-gateway-translation-losses"), Some(told));
    assert!(exchange_line(&gateway).await.contains(told));
    for (kind, count) in [("hosted_tool", "2"), ("service_tier", "1")] {
        let line = format!("codex_gateway_translation_losses_total{{kind=\"{kind}\"}}");
        assert_eq!(
            metric(&gateway, &line).await.as_deref(),
            Some(count),
            "{kind}"
        );
    }
    let tools = upstream.only_request().json()["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(1), "{tools}");
}

#[tokio::test]
async fn a_strict_upstream_is_not_asked_when_something_grave_would_be_lost() {
    let (upstream, gateway) = chat_only(Script::default(), "strict_translation = true").await;
    let body = turn_with(true, &json!({"tools": [{"type": "web_search"}]}));
    let reply = respond(&gateway, &body).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "untranslatable")
    );
    assert_eq!(reply.json()["error"]["param"], "tools[0]");
    assert!(upstream.requests().is_empty());
    let line = exchange_line(&gateway).await;
    assert!(
        line.contains("rejected") && line.contains("untranslatable"),
        "{line}"
    );
}

#[tokio::test]
async fn the_dialect_is_the_named_one_with_single_flags_beside_it() {
    let lines = "dialect = \"deepseek\"\ndeviations = { images = true, max_tokens = \"omit\" }";
    let (upstream, gateway) = chat_only(Script::default(), lines).await;
    let body = turn_with(
        true,
        &json!({
            "max_output_tokens": 500, "reasoning": {"effort": "low"},
            "input": [{"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}]}],
        }),
    );
    let reply = respond(&gateway, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let sent = upstream.only_request().json();
    assert_eq!(
        sent["messages"][1]["content"][1]["type"], "image_url",
        "{sent}"
    );
    assert_eq!(
        (&sent["max_tokens"], &sent["max_completion_tokens"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(sent["thinking"], json!({"type": "enabled"}), "{sent}");
    let losses = reply.header("x-gateway-translation-losses");
    assert_eq!(losses, Some("effort=1,output_limit=1"));
}

fn calling(id: &str) -> ModelAnswer {
    let thought = Output::Reasoning {
        summary: format!("thought of {id}"),
        encrypted: None,
    };
    let call = Output::Call {
        name: "f".to_owned(),
        namespace: None,
        arguments: "{}".to_owned(),
        call_id: id.to_owned(),
    };
    ModelAnswer::of(vec![thought, call])
}

#[tokio::test]
async fn provider_reasoning_is_given_back_with_its_call_to_the_same_caller_alone() {
    let script = Script::default().rule(
        Matcher::path("/chat/completions").nth(1),
        Respond::ModelAnswer(Box::new(calling("call_1"))),
    );
    let (upstream, gateway) = chat_only(script, "dialect = \"deepseek\"").await;
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}]);
    let first = respond(&gateway, &turn_with(true, &json!({"tools": tools}))).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = turn_with(
        true,
        &json!({"tools": tools, "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "done"},
        ]}),
    );
    assert_eq!(respond(&gateway, &second).await.status, 200);
    let other = gateway
        .client()
        .post("/v1/responses")
        .bearer("sk-somebody-else")
        .json(&second);
    assert_eq!(other.send().await.status, 200);
    let echoed: Vec<Value> = upstream
        .requests()
        .iter()
        .skip(1)
        .map(|request| request.json()["messages"][2]["reasoning_content"].clone())
        .collect();
    assert_eq!(echoed[0], "thought of call_1");
    assert_ne!(echoed[1], "thought of call_1");
}

#[tokio::test]
async fn a_conversation_is_compacted_and_goes_on_anywhere() {
    let (upstream, gateway) = chat_only(Script::answer(ModelAnswer::text("the note")), "").await;
    let history = turn(false)["input"].clone();
    let compact = json!({"model": "third-a", "instructions": "Be brief.", "input": history});
    let reply = call(&gateway, "/v1/responses/compact", &compact)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let output = reply.json()["output"].clone();
    assert_eq!(output[0]["type"], "compaction", "{output}");

    let mut triggered = turn(true);
    triggered["input"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "compaction_trigger"}));
    let stream = respond(&gateway, &triggered).await;
    let done: Vec<Value> = stream
        .events()
        .into_iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .collect();
    assert_eq!(done.len(), 1, "{}", stream.text());
    assert_eq!(done[0]["item"]["type"], "compaction");
    assert_eq!(
        stream.event_types().last().map(String::as_str),
        Some("response.completed")
    );

    let goes_on = turn_with(true, &json!({"input": [output[0], history[0]]}));
    assert_eq!(respond(&gateway, &goes_on).await.status, 200);
    let last = upstream.requests().pop().unwrap().json().to_string();
    assert!(last.contains("the note"), "{last}");

    // An upstream that speaks Responses itself could not read the item either.
    let native = Upstream::start().await;
    let elsewhere = start(&format!(
        "[upstreams.third]\nbase_url = \"{}\"\nwire_api = \"chat\"\ncredential = \"none\"\n\
         [upstreams.native]\nbase_url = \"{}\"\n[routes]\napi_key = \"native\"\n",
        upstream.base_url(),
        native.base_url()
    ))
    .await;
    assert_eq!(respond(&elsewhere, &goes_on).await.status, 200);
    let sent = native.only_request().json();
    assert_eq!(sent["input"][0]["type"], "message", "{sent}");
    assert!(sent["input"][0].to_string().contains("the note"), "{sent}");
    assert_eq!(sent["input"][1], history[0]);
}

#[tokio::test]
async fn what_chat_has_no_counterpart_for_is_refused_here() {
    let (upstream, gateway) = chat_only(Script::default(), "").await;
    let stored = |method: &str, path: &str| gateway.client().call(method, path).bearer(API_KEY);
    for (method, path) in [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
    ] {
        let reply = stored(method, path).send().await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (404, "not_found"),
            "{method} {path}"
        );
    }
    let count = call(&gateway, "/v1/responses/input_tokens", &turn(false))
        .send()
        .await;
    assert_eq!(
        (count.status, count.error_code().as_str()),
        (400, "untranslatable")
    );
    for (more, code, param) in [
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_not_found",
            "previous_response_id",
        ),
        (
            json!({"conversation": "conv_1"}),
            "untranslatable",
            "conversation",
        ),
        (json!({"background": true}), "untranslatable", "background"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "untranslatable",
            "input[0]",
        ),
        (
            json!({"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}),
            "untranslatable",
            "input[0]",
        ),
        (json!({"input": 7}), "invalid_request", "input"),
    ] {
        let reply = respond(&gateway, &turn_with(true, &more)).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, code),
            "{more}"
        );
        let told = reply.json()["error"]["param"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(told.starts_with(param), "{more}: {told}");
    }
    assert!(upstream.requests().is_empty());
}
