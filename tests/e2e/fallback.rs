//! Fallback: only on "unsupported", only before the first byte, told truthfully. Every documented
//! body is played by the upstream.

use std::path::PathBuf;
use std::time::Duration;

use gateway_tests::client::Reply;
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, by_chatgpt, by_key, responses_body, signed_in};
use gateway_tests::upstream::{
    Chunking, FixedResponse, Matcher, ModelAnswer, Payload, ReplyHead, Respond, Script, Step,
    Upstream,
};
use gateway_tests::wait::eventually;
use serde::Deserialize;
use serde_json::{Value, json};

const CHATGPT_REFUSAL: &str =
    r#"{"detail":"The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."}"#;

#[derive(Deserialize)]
struct Fixture {
    status: Option<u16>,
    in_stream: bool,
    sent_model: String,
    body: Value,
    verdict: String,
    #[serde(default)]
    truncated: bool,
}

impl Fixture {
    fn body(&self) -> String {
        self.body
            .as_str()
            .map_or_else(|| self.body.to_string(), str::to_owned)
    }

    fn answer(&self) -> Respond {
        if self.in_stream {
            let created = json!({"type": "response.created", "response": {"id": "resp_1"}});
            return Respond::Steps(vec![
                Step::Head(ReplyHead::event_stream()),
                Step::Send {
                    body: Payload::Events(vec![created, self.body.clone()]),
                    cuts: Chunking::Whole,
                    delay_ms: 0,
                },
            ]);
        }
        Respond::FixedResponse(FixedResponse {
            status: self.status.unwrap_or(400),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Payload::Text(self.body()),
        })
    }
}

fn fixtures() -> Vec<(String, Fixture)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/gateway-wire/tests/fixtures/failure");
    let mut found: Vec<(String, Fixture)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

fn only(model: &str, then: Respond) -> Script {
    Script::default().rule(Matcher::model(model), then)
}

fn refusing(status: u16, body: &str) -> Respond {
    Respond::FixedResponse(FixedResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Payload::Text(body.to_owned()),
    })
}

#[track_caller]
fn assert_fell_back(reply: &Reply, from: &str, to: &str) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-gateway-decision"), Some("fell-back"));
    assert_eq!(reply.header("x-gateway-model-requested"), Some(from));
    assert_eq!(reply.header("x-gateway-model-served"), Some(to));
}

#[tokio::test]
async fn every_documented_body_is_played_and_only_unsupported_models_hop() {
    let upstream = Upstream::start().await;
    // Nothing learned, so that each body is seen on its own.
    let mut tables = String::from("[models]\nlearned_ttl = \"0s\"\n\n[fallback]\n");
    let mut models: Vec<String> = Vec::new();
    for (_, fixture) in fixtures() {
        let id = fixture.sent_model.to_lowercase();
        let is_usable = !id.is_empty() && !models.contains(&id);
        if is_usable {
            tables += &json!(fixture.sent_model).to_string();
            tables += " = [\"backup-model\"]\n";
            models.push(id);
        }
    }
    let gateway = Gateway::start(&Config::to(&upstream).rest(&tables)).await;
    let mut seen = (0, 0);
    for (name, fixture) in fixtures() {
        // A body that the classifier gets only in part, a refused frame of a WebSocket, or an id
        // that no client could send.
        let is_played = !fixture.truncated
            && !fixture.sent_model.is_empty()
            && (fixture.in_stream || fixture.status.is_some_and(|status| status >= 400));
        if !is_played {
            continue;
        }
        upstream.reset();
        upstream.set_script(only(&fixture.sent_model, fixture.answer()));
        let mut body = responses_body(&name);
        body["model"] = json!(fixture.sent_model);
        let call = gateway.client().post("/v1/responses").bearer(API_KEY);
        let reply = call.json(&body).send().await;
        let asked: Vec<Value> = upstream
            .model_requests()
            .iter()
            .map(|request| request.json()["model"].clone())
            .collect();
        if fixture.verdict == "unsupported_model" {
            seen.0 += 1;
            assert_eq!(
                asked,
                [json!(fixture.sent_model), json!("backup-model")],
                "{name}"
            );
            assert_fell_back(&reply, &fixture.sent_model, "backup-model");
            assert_eq!(
                reply.event_types().last().map(String::as_str),
                Some("response.completed"),
                "{name}"
            );
        } else if !matches!(
            fixture.verdict.as_str(),
            "lite_header_refused" | "wrong_endpoint"
        ) {
            seen.1 += 1;
            assert_eq!(asked, [json!(fixture.sent_model)], "{name}");
            if !fixture.in_stream {
                assert_eq!(Some(reply.status), fixture.status, "{name}");
                assert_eq!(reply.text(), fixture.body(), "{name}");
            }
            assert_ne!(
                reply.header("x-gateway-decision"),
                Some("fell-back"),
                "{name}"
            );
        }
    }
    assert!(seen.0 >= 20 && seen.1 >= 40, "{seen:?}");
}

#[tokio::test]
async fn a_session_that_fell_back_stays_and_a_second_one_does_not_pay_again() {
    let upstream = Upstream::with(only("gpt-5.5", refusing(400, CHATGPT_REFUSAL))).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let turn = |session: &str| {
        by_chatgpt(&gateway.client())
            .header("session-id", session)
            .send()
    };
    assert_fell_back(&turn("one").await, "gpt-5.5", "gpt-5.4");
    assert_eq!(upstream.model_requests().len(), 2);
    assert_fell_back(&turn("one").await, "gpt-5.5", "gpt-5.4");
    assert_eq!(upstream.model_requests().len(), 3, "the session stays");
    assert_fell_back(&turn("two").await, "gpt-5.5", "gpt-5.4");
    assert_eq!(upstream.model_requests().len(), 4, "the refusal is known");
    // Another credential may be served.
    let other = by_key(&gateway.client())
        .header("session-id", "three")
        .send()
        .await;
    assert_fell_back(&other, "gpt-5.5", "gpt-5.4");
    assert_eq!(
        upstream.model_requests().len(),
        6,
        "another caller asks for itself"
    );
}

#[tokio::test]
async fn an_expired_refusal_is_probed_and_a_live_session_does_not_move() {
    let upstream = Upstream::with(only("gpt-5.5", refusing(400, CHATGPT_REFUSAL))).await;
    let config = Config::to(&upstream).rest("[models]\nlearned_ttl = \"300ms\"\n");
    let gateway = Gateway::start(&config).await;
    let turn = |session: &str| {
        by_chatgpt(&gateway.client())
            .header("session-id", session)
            .send()
    };
    assert_fell_back(&turn("one").await, "gpt-5.5", "gpt-5.4");
    upstream.set_script(Script::default());
    // A refusal that was learned is forgotten by itself; each session here is a new one.
    let mut sessions = 0;
    let mut fresh = turn("two").await;
    eventually("a new session gets the model again", async || {
        sessions += 1;
        fresh = turn(&format!("new-{sessions}")).await;
        fresh.header("x-gateway-decision") == Some("passed")
    })
    .await;
    assert_fell_back(&turn("one").await, "gpt-5.5", "gpt-5.4");
    assert_eq!(fresh.header("x-gateway-model-served"), Some("gpt-5.5"));
}

#[tokio::test]
async fn the_first_answer_comes_back_byte_for_byte_when_the_chain_is_exhausted() {
    let second = r#"{"detail":"The 'gpt-5.4' model is not supported when using Codex with a ChatGPT account."}"#;
    // A refusal in the stream of the chain's last model gives way as well.
    let in_stream = Respond::Steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Events(vec![
                json!({"type": "response.created", "response": {"id": "resp_1"}}),
                json!({"type": "error", "status": 400, "error": {"type": "invalid_request_error", "message": "The 'gpt-5.4' model is not supported when using Codex with a ChatGPT account."}}),
            ]),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ]);
    for last in [
        refusing(400, second),
        refusing(500, "{}"),
        refusing(429, "{}"),
        in_stream,
    ] {
        let script =
            only("gpt-5.5", refusing(400, CHATGPT_REFUSAL)).rule(Matcher::model("gpt-5.4"), last);
        let upstream = Upstream::with(script).await;
        let gateway = Gateway::start(&Config::to(&upstream)).await;
        let reply = by_chatgpt(&gateway.client()).send().await;
        assert_eq!(
            (reply.status, reply.text().as_str()),
            (400, CHATGPT_REFUSAL)
        );
        assert_eq!(reply.header("x-gateway-model-served"), Some("gpt-5.5"));
        assert_eq!(upstream.model_requests().len(), 2);
    }
}

#[tokio::test]
async fn after_the_first_output_nothing_hops() {
    let events = vec![
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_text.delta", "delta": "begun"}),
        json!({"type": "response.failed", "response": {"id": "resp_1", "error": {"code": "model_not_found", "message": "The model `gpt-5.5` does not exist or you do not have access to it."}}}),
    ];
    let steps = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Events(events),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ];
    let upstream = Upstream::with(only("gpt-5.5", Respond::Steps(steps))).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let reply = by_key(&gateway.client()).send().await;
    assert_eq!(reply.failure_code(), "model_not_found");
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn a_request_that_continues_a_stored_response_does_not_hop() {
    let upstream = Upstream::with(only(
        "gpt-5.5",
        refusing(
            404,
            r#"{"error":{"code":"model_not_found","message":"x","param":"model"}}"#,
        ),
    ))
    .await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let mut body = responses_body("hi");
    body["previous_response_id"] = json!("resp_before");
    let reply = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .json(&body)
        .send()
        .await;
    assert_eq!(reply.status, 404);
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn openai_model_says_the_requested_id_after_a_fallback_and_the_truth_otherwise() {
    let served = ModelAnswer::text("hi").header("openai-model", "gpt-5.4-2026-03-05");
    let script = only("gpt-5.5", refusing(400, CHATGPT_REFUSAL)).rule(
        Matcher::model("gpt-5.4"),
        Respond::ModelAnswer(Box::new(served)),
    );
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let reply = by_chatgpt(&gateway.client()).send().await;
    assert_fell_back(&reply, "gpt-5.5", "gpt-5.4");
    assert_eq!(reply.header("openai-model"), Some("gpt-5.5"));
    let mut body = responses_body("hi");
    body["model"] = json!("gpt-5.4");
    let reply = signed_in(gateway.client().post("/v1/responses"))
        .json(&body)
        .send()
        .await;
    assert_eq!(
        reply.header("openai-model"),
        Some("gpt-5.4-2026-03-05"),
        "a genuine reroute stays visible"
    );
}

#[tokio::test]
async fn spark_is_rejected_with_an_api_key_and_passed_on_with_chatgpt() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let mut body = responses_body("hi");
    body["model"] = json!("gpt-5.3-codex-spark");
    let reply = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .json(&body)
        .send()
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.error_code(), "model_not_found");
    let text = reply.text();
    for word in ["gpt-5.3-codex-spark", "gpt-5.3-codex", "gpt-5.4-mini"] {
        assert!(text.contains(word), "{text}");
    }
    assert_eq!(reply.header("x-gateway-decision"), Some("rejected"));
    assert!(upstream.model_requests().is_empty());
    let reply = signed_in(gateway.client().post("/v1/responses"))
        .json(&body)
        .send()
        .await;
    assert_eq!(reply.header("x-gateway-decision"), Some("passed"));
}

#[tokio::test]
async fn a_request_is_made_to_fit_and_the_answer_says_how() {
    let foreign = r#"{"error":{"code":"invalid_encrypted_content","message":"The encrypted content for item rs_1 could not be verified.","type":"invalid_request_error"}}"#;
    let rule = |model: &str, text: &str, status, body: &str| gateway_tests::upstream::Rule {
        when: Matcher {
            body_contains: Some(text.to_owned()),
            ..Matcher::model(model)
        },
        then: refusing(status, body),
    };
    let mut script = only(
        "gpt-6-sol",
        refusing(400, &CHATGPT_REFUSAL.replace("gpt-5.5", "gpt-6-sol")),
    );
    script.rules.push(rule("gpt-5.2", "gAAA", 400, foreign));
    let upstream = Upstream::with(script).await;
    let gateway =
        Gateway::start(&Config::to(&upstream).rest("[fallback]\n\"gpt-6-sol\" = [\"gpt-5.4\"]\n"))
            .await;

    let mut body = responses_body("hi");
    body["model"] = json!("gpt-5.2");
    body["input"].as_array_mut().unwrap().insert(
        0,
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}),
    );
    let reply = signed_in(gateway.client().post("/v1/responses"))
        .json(&body)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-gateway-decision"), Some("passed"));
    assert_eq!(
        reply.header("x-gateway-adjusted"),
        Some("encrypted-reasoning-stripped")
    );

    let mut body = responses_body("hi");
    body["model"] = json!("gpt-6-sol");
    body["reasoning"] = json!({"effort": "max", "context": "all_turns"});
    let tool = json!({"type": "function", "name": "shell", "parameters": {}});
    body["input"].as_array_mut().unwrap().insert(
        0,
        json!({"type": "additional_tools", "role": "developer", "tools": [tool]}),
    );
    let reply = signed_in(gateway.client().post("/v1/responses"))
        .header("x-openai-internal-codex-responses-lite", "true")
        .json(&body)
        .send()
        .await;
    assert_fell_back(&reply, "gpt-6-sol", "gpt-5.4");
    assert_eq!(
        reply.header("x-gateway-adjusted"),
        Some("effort=xhigh,lite-tools-lifted")
    );
    let sent = upstream.model_requests().pop().unwrap();
    let sent_body = sent.json();
    assert_eq!(sent_body["reasoning"], json!({"effort": "xhigh"}));
    assert_eq!(sent_body["tools"], json!([tool]));
    assert_eq!(sent_body["input"].as_array().unwrap().len(), 1);
    assert_eq!(sent.header("x-openai-internal-codex-responses-lite"), None);

    let reply = by_chatgpt(&gateway.client()).send().await;
    assert_eq!(
        reply.header("x-gateway-adjusted"),
        None,
        "nothing was changed"
    );
}

#[tokio::test]
async fn a_gateway_killed_during_a_fallback_records_the_model_that_was_asked_last() {
    let first = Upstream::with(only("gpt-5.5", refusing(400, CHATGPT_REFUSAL))).await;
    let second = Upstream::with(Script::steps(vec![Step::Stall])).await;
    let tables = format!(
        "[upstreams.second]\nbase_url = \"{}\"\nwire_api = \"responses\"\ncredential = \"none\"\n\n\
         [[rules]]\nname = \"elsewhere\"\nwhen = {{ model = \"gpt-5.4\" }}\nthen = {{ send = \"second\" }}\n\n\
         [fallback]\n\"gpt-5.5\" = [\"gpt-5.4\"]\n",
        second.base_url()
    );
    let mut gateway = Gateway::start(&Config::to(&first).rest(&tables)).await;
    let waiting = tokio::spawn(by_key(&gateway.client()).try_open());
    second
        .wait_until("the fallback", |requests| requests.len() == 1)
        .await;
    gateway.signal("KILL");
    gateway.wait_for_exit(Duration::from_secs(5)).await;
    drop(waiting);
    gateway.start_again().await;
    let entries = gateway.entries().await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    let attempts = entry["attempts"].as_array().unwrap();
    assert_eq!(
        json!([
            entry["outcome"],
            entry["decision"],
            entry["model_requested"],
            entry["model_served"],
            entry["upstream"],
        ]),
        json!(["interrupted", "fell-back", "gpt-5.5", "gpt-5.4", "second"])
    );
    assert_eq!(attempts.len(), 1, "{attempts:?}");
    assert_eq!(attempts[0]["model"], "gpt-5.5");
    assert_eq!(attempts[0]["failure"], "unsupported_model");
}
