//! The examples for other providers, loaded as they are but for the address, each before an
//! upstream that answers in that dialect.

use crate::translate::exchange_line;
use gateway_tests::client::{Call, Client};
use gateway_tests::gateway::{Gateway, Start};
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{
    FixedResponse, Matcher, ModelAnswer, Output, Recorded, Respond, Script, Upstream,
};
use serde_json::{Value, json};
use std::path::Path;

/// What every key of an example is set to.
const KEY: &str = "sk-canary-example-3b7d";

/// Starts an example; every upstream that it names is the scripted one, at a path that tells them
/// apart.
async fn example(file: &str, upstream: &Upstream) -> Gateway {
    upstream.expect_gateway();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config/examples")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut environment = Vec::new();
    let mut name = String::new();
    let mut config = String::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("[upstreams.") {
            found.trim_end_matches(']').clone_into(&mut name);
        }
        if let Some((_, rest)) = line.split_once("env = \"") {
            let variable = rest.split('"').next().unwrap();
            environment.push((variable.to_owned(), KEY.to_owned()));
        }
        let moved = format!("base_url = \"http://{}/{name}\"", upstream.address());
        let is_address = line.starts_with("base_url");
        config.push_str(if is_address { &moved } else { line });
        config.push('\n');
    }
    Gateway::start_with(Start {
        config: Some(config),
        environment,
        ..Start::default()
    })
    .await
}

/// A small Codex turn.
fn ask(model: &str) -> Value {
    let mut body = responses_body("hi");
    body["model"] = json!(model);
    body["instructions"] = json!("Be brief.");
    body["reasoning"] = json!({"effort": "high"});
    body["max_output_tokens"] = json!(900);
    body["input"].as_array_mut().unwrap().insert(
        0,
        json!({"type": "message", "role": "developer",
        "content": [{"type": "input_text", "text": "in a sandbox"}]}),
    );
    body
}

/// Sends one turn and gives back what the upstream saw; the answer has to be whole.
async fn turn(upstream: &Upstream, call: Call, body: &Value) -> Recorded {
    upstream.reset();
    let reply = call.json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let last = reply.events().pop().unwrap();
    assert_eq!(last["type"], "response.completed", "{}", reply.text());
    upstream.only_request()
}

fn post(gateway: &Gateway) -> Call {
    let client: Client = gateway.client();
    client.post("/v1/responses")
}

/// Roles, then the fields that say how long and how hard, as the upstream saw them.
fn spoken(request: &Recorded) -> Value {
    let body = request.json();
    let roles: Vec<Value> = body["messages"]
        .as_array()
        .map(|messages| {
            messages
                .iter()
                .map(|message| message["role"].clone())
                .collect()
        })
        .unwrap_or_default();
    json!([
        roles,
        body["max_tokens"],
        body["max_completion_tokens"],
        body["reasoning_effort"],
        body["reasoning"],
        body["thinking"]
    ])
}

#[tokio::test]
async fn openai() {
    let upstream = Upstream::start().await;
    let gateway = example("openai.toml", &upstream).await;
    let call = post(&gateway).bearer(API_KEY).header("session-id", "s");
    let seen = turn(&upstream, call, &ask("gpt-5.4")).await;
    assert_eq!(seen.path(), "/openai-team/responses");
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(seen.header("session-id"), Some("s"));
    assert_eq!(seen.json(), ask("gpt-5.4"));
}

#[tokio::test]
async fn azure() {
    let script = Script::default().rule(
        Matcher::model("gpt-5.5"),
        Respond::FixedResponse(FixedResponse::json(404, json!({"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}))),
    );
    let upstream = Upstream::with(script).await;
    let gateway = example("azure.toml", &upstream).await;
    let seen = turn(&upstream, post(&gateway).bearer(API_KEY), &ask("gpt-5.4")).await;
    assert_eq!(
        (seen.path(), seen.query()),
        ("/azure/responses", Some("api-version=preview"))
    );
    assert_eq!(
        (seen.header("api-key"), seen.header("authorization")),
        (Some(KEY), None)
    );
    let fell_back = post(&gateway)
        .bearer(API_KEY)
        .json(&ask("gpt-5.5"))
        .send()
        .await;
    assert_eq!(
        fell_back.header("x-gateway-model-served"),
        Some("gpt-5.4"),
        "{}",
        fell_back.text()
    );
}

#[tokio::test]
async fn openrouter() {
    let usage = json!({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "cost": 0.00123,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 3}, "cost_details": {"upstream_inference_cost": null}});
    let thought = json!({"id": "g", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta":
        {"role": "assistant", "content": "", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}}]});
    let late = json!({"choices": [], "usage": usage});
    let answer = ModelAnswer {
        usage: None,
        ..ModelAnswer::of(vec![
            Output::Event(thought),
            Output::Event(late),
            Output::Text("yes".to_owned()),
        ])
    };
    let upstream = Upstream::with(Script::answer(answer)).await;
    let gateway = example("openrouter.toml", &upstream).await;
    let seen = turn(
        &upstream,
        post(&gateway),
        &ask("anthropic/claude-sonnet-4.5"),
    )
    .await;
    assert_eq!(seen.path(), "/openrouter/chat/completions");
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(
        (seen.header("http-referer"), seen.header("x-title")),
        (Some("https://example.com"), Some("codex-gateway"))
    );
    assert_eq!(
        spoken(&seen),
        json!([["system", "system", "user"], 900, null, null, {"effort": "high"}, null])
    );
    assert_eq!(seen.json()["stream_options"], Value::Null);
    let line = exchange_line(&gateway).await;
    for told in [
        "cost_nanos=1230000",
        "usage.input_tokens=50",
        "usage.cached_input_tokens=40",
    ] {
        assert!(line.contains(told), "{line}");
    }
    let list = gateway
        .client()
        .get("/v1/models?client_version=0.169.0")
        .send()
        .await
        .json();
    assert_eq!(list["models"][0]["slug"], "anthropic/claude-sonnet-4.5");
    assert_eq!(
        list["models"][0]["input_modalities"],
        json!(["text", "image"])
    );
}

#[tokio::test]
async fn deepseek() {
    let usage = json!({"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "prompt_cache_hit_tokens": 48, "prompt_cache_miss_tokens": 2});
    let thought = Output::Reasoning {
        summary: "hm".to_owned(),
        encrypted: None,
    };
    let answer = ModelAnswer {
        raw_usage: Some(usage),
        ..ModelAnswer::of(vec![thought, Output::Text("yes".to_owned())])
    };
    let upstream = Upstream::with(Script::answer(answer)).await;
    let gateway = example("deepseek.toml", &upstream).await;
    let seen = turn(&upstream, post(&gateway), &ask("deepseek-reasoner")).await;
    assert_eq!(seen.path(), "/deepseek/chat/completions");
    assert_eq!(
        spoken(&seen),
        json!([["system", "system", "user"], 900, null, "high", null, {"type": "enabled"}])
    );
    assert!(
        exchange_line(&gateway)
            .await
            .contains("usage.cached_input_tokens=48")
    );
}

#[tokio::test]
async fn local_servers() {
    let tags = ModelAnswer::text("<think>hm</think>yes");
    let upstream = Upstream::with(Script::answer(tags)).await;
    let gateway = example("local-chat.toml", &upstream).await;
    for (model, path, expected) in [
        (
            "gpt-oss:20b",
            "/ollama/chat/completions",
            json!([["system", "user"], 900, null, "high", null, null]),
        ),
        (
            "qwen3-coder-30b",
            "/vllm/chat/completions",
            json!([["system", "user"], 900, null, null, null, null]),
        ),
        (
            "llama.gguf",
            "/llamacpp/chat/completions",
            json!([["system", "user"], 900, null, null, null, null]),
        ),
    ] {
        upstream.reset();
        let reply = post(&gateway).json(&ask(model)).send().await;
        let last = reply.events().pop().unwrap();
        assert_eq!(
            last["response"]["output"][0]["type"],
            "reasoning",
            "{}",
            reply.text()
        );
        assert_eq!(last["response"]["output"][1]["content"][0]["text"], "yes");
        let seen = upstream.only_request();
        assert_eq!((seen.path(), seen.header("authorization")), (path, None));
        assert_eq!(spoken(&seen), expected, "{model}");
    }
    // A credential is nobody's business there.
    let missing = FixedResponse::json(
        404,
        json!({"error": {"message": "model \"x\" not found, try pulling it first", "type": "not_found_error", "param": null, "code": null}}),
    );
    upstream.set_script(Script::always(Respond::FixedResponse(missing)));
    let reply = post(&gateway).json(&ask("gpt-oss:20b")).send().await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("not found")
    );
}

#[tokio::test]
async fn mixed() {
    let refusal = json!({"error": {"message": "The model `gpt-5.4-mini` does not exist or you do not have access to it.",
        "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    let script = Script::default().rule(
        Matcher::model("gpt-5.4-mini"),
        Respond::FixedResponse(FixedResponse::json(404, refusal)),
    );
    let upstream = Upstream::with(script).await;
    let gateway = example("mixed.toml", &upstream).await;
    let own = format!("Bearer {KEY}");
    for (model, path, credential) in [
        (
            "deepseek-chat",
            "/deepseek/chat/completions",
            Some(own.as_str()),
        ),
        (
            "devstral-medium-latest",
            "/mistral/chat/completions",
            Some(own.as_str()),
        ),
        ("qwen3:8b", "/ollama/chat/completions", None),
    ] {
        let seen = turn(&upstream, post(&gateway).bearer(API_KEY), &ask(model)).await;
        assert_eq!(
            (seen.path(), seen.header("authorization")),
            (path, credential),
            "{model}"
        );
    }
    let mut image = ask("devstral-medium-latest");
    image["input"][1]["content"][0] =
        json!({"type": "input_file", "file_data": "data:application/pdf;base64,AA=="});
    let refused = post(&gateway).bearer(API_KEY).json(&image).send().await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "untranslatable")
    );
}
