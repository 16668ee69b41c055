//! What is booked in cases that are easily booked wrong: whose money it is, answers of side
//! services, answers too large to be read.

use crate::translate::{call, chat_only, respond, start, third_party, turn};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, responses_body, signed_in};
use gateway_tests::upstream::{
    Chunking, FixedResponse, Matcher, ModelAnswer, Payload, ReplyHead, Respond, Script, Step,
    Upstream, Usage,
};
use serde_json::json;

/// 40,000 × $5 + 60,000 × $0.50 + 4,000 × $30 per million, at the standard rates of gpt-5.5;
/// priority is two and a half times that.
const USAGE: Usage = Usage {
    input: 100_000,
    cached: 60_000,
    cache_write: 0,
    output: 4_000,
    reasoning: 0,
};

#[tokio::test]
async fn what_the_gateways_own_credential_pays_for_is_on_a_bill_whoever_asked() {
    let upstream = Upstream::with(Script::answer(ModelAnswer {
        service_tier: Some("default".to_owned()),
        ..ModelAnswer::text("an answer").usage(USAGE)
    }))
    .await;
    let base = upstream.base_url();
    let gateway = start(&format!(
        "[upstreams.chatgpt]\nbase_url = \"{base}\"\n\n[upstreams.third]\nbase_url = \"{base}\"\nwire_api = \"responses\"\n\
         credential = {{ env = \"THIRD_KEY\" }}\n\n[[rules]]\nname = \"small jobs\"\n\
         when = {{ effort = [\"low\"] }}\nthen = {{ send = \"third\" }}\n"
    ))
    .await;
    // By plan the requested tier counts, for the answer always says `default`; on a bill the served
    // one does.
    for (effort, to, billing, cost) in [
        ("high", "chatgpt", "plan", 875_000_000),
        ("low", "third", "metered", 350_000_000),
    ] {
        let mut body = responses_body("what does this cost?");
        body["model"] = json!("gpt-5.5");
        body["service_tier"] = json!("priority");
        body["reasoning"] = json!({"effort": effort});
        let call = gateway.client().post("/v1/responses").json(&body);
        let reply = signed_in(call).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(
            (&entry["route"], &entry["upstream"], &entry["billing"]),
            (&json!("chatgpt"), &json!(to), &json!(billing)),
            "{entry}"
        );
        assert_eq!(entry["cost_nanos"], cost, "{entry}");
    }
}

#[tokio::test]
async fn a_tier_that_the_upstream_was_never_asked_for_costs_nothing_more() {
    for (lines, cost) in [
        // Left out for an upstream that knows no tiers.
        ("", 350_000_000),
        // Asked for, and the answer does not say: what was asked for counts.
        ("dialect = \"openai\"", 875_000_000),
    ] {
        let answer = ModelAnswer::text("an answer").usage(USAGE);
        let (_upstream, gateway) = chat_only(Script::answer(answer), lines).await;
        let mut body = responses_body("what does this cost?");
        body["model"] = json!("gpt-5.5");
        body["service_tier"] = json!("priority");
        let reply = respond(&gateway, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(entry["service_tier_requested"], "priority", "{entry}");
        assert_eq!(entry["cost_nanos"], cost, "{entry}");
    }
}

#[tokio::test]
async fn looking_at_a_stored_response_does_not_book_it_again() {
    let usage =
        json!({"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500, "cost": 0.5});
    let stored = json!({"id": "resp_1", "object": "response", "model": "gpt-5.5", "status": "completed", "output": [], "usage": usage});
    let event = json!({"type": "response.completed", "response": stored});
    let stream = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Events(vec![event]),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ];
    let script = Script::default()
        .rule(
            Matcher::path("/resp_1"),
            Respond::FixedResponse(FixedResponse::json(200, stored.clone())),
        )
        .rule(Matcher::path("/resp_2"), Respond::Steps(stream));
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    for path in [
        "/v1/responses/resp_1",
        "/v1/responses/resp_1",
        "/v1/responses/resp_2?stream=true",
    ] {
        let reply = gateway.client().get(path).bearer(API_KEY).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(reply.text().contains("\"input_tokens\":1000"));
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(
            (
                &entry["outcome"],
                &entry["usage_source"],
                &entry["upstream_response_id"]
            ),
            (&json!("completed"), &json!("unknown"), &json!("resp_1")),
            "{entry}"
        );
        assert!(entry["input_tokens"].is_null() && entry["cost_nanos"].is_null());
    }
}

#[tokio::test]
async fn usage_of_every_shape_is_booked_or_refused_and_never_made_up() {
    for (usage, booked) in [
        // An impossible detail takes nothing else with it: more cached than input; more reasoning
        // than output, and no total that explains it.
        (
            json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 6}}),
            Some((5, 0, 2, 0)),
        ),
        (
            json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 3}}),
            Some((5, 0, 2, 2)),
        ),
        // A total that is more than its parts; not a whole number; below zero.
        (
            json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 20}),
            Some((5, 0, 15, 0)),
        ),
        (json!({"prompt_tokens": 5.5, "completion_tokens": 2}), None),
        (json!({"prompt_tokens": -5, "completion_tokens": 2}), None),
        // Reasoning beside the output, as the total shows; hits of a cache; a sum that leaves one
        // of the two.
        (
            json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 3}}),
            Some((5, 0, 5, 3)),
        ),
        (
            json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 1}),
            Some((5, 4, 2, 0)),
        ),
        (
            json!({"prompt_tokens": 5, "total_tokens": 7}),
            Some((5, 0, 2, 0)),
        ),
    ] {
        for (path, stream) in [
            ("/v1/chat/completions", true),
            ("/v1/chat/completions", false),
            ("/v1/responses", true),
            ("/v1/responses", false),
        ] {
            let answer = ModelAnswer {
                raw_usage: Some(usage.clone()),
                ..ModelAnswer::text("an answer")
            };
            let (_upstream, gateway) = chat_only(Script::answer(answer), "").await;
            let body = match path {
                "/v1/responses" => turn(stream),
                _ => {
                    json!({"model": "third-a", "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
                }
            };
            let reply = call(&gateway, path, &body).send().await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let entry = gateway.entry_of(&reply).await;
            // A finished answer whose counts cannot be true is estimated, and says so.
            let source = if booked.is_some() {
                "reported"
            } else {
                "estimated"
            };
            assert_eq!(
                entry["usage_source"], source,
                "{path} {stream} {usage}: {entry}"
            );
            if let Some((input, cached, output, reasoning)) = booked {
                let counts = [
                    ("input_tokens", input),
                    ("cached_input_tokens", cached),
                    ("output_tokens", output),
                    ("reasoning_tokens", reasoning),
                ];
                for (name, count) in counts {
                    assert_eq!(entry[name], count, "{path} {stream} {usage}: {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_stream_of_pictures_ends_with_its_connection_and_is_counted() {
    let events = "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AAAA\"}\n\n\
        event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AAAA\",\"usage\":{\"total_tokens\":150,\"input_tokens\":50,\"output_tokens\":100}}\n\n";
    let upstream = Upstream::with(Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(events.to_owned()),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        Step::WaitMs(300),
        Step::End,
    ]))
    .await;
    let config = Config::to(&upstream).upstream("keepalive = \"100ms\"");
    let gateway = Gateway::start(&config).await;
    let call = gateway.client().post("/v1/images/generations");
    let body = json!({"model": "gpt-image-2", "prompt": "a dot", "stream": true});
    let reply = call.bearer(API_KEY).json(&body).send().await;
    assert_eq!((reply.status, reply.text().as_str()), (200, events));
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(
        (
            &entry["outcome"],
            &entry["input_tokens"],
            &entry["output_tokens"]
        ),
        (&json!("completed"), &json!(50), &json!(100)),
        "{entry}"
    );
}

#[tokio::test]
async fn an_answer_too_large_to_be_read_has_not_failed() {
    let large = json!({"created": 1, "data": [{"b64_json": "A".repeat(33 << 20)}]});
    let upstream = Upstream::with(Script::always(Respond::FixedResponse(FixedResponse::json(
        200, large,
    ))))
    .await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let call = gateway.client().post("/v1/images/generations");
    let body = json!({"model": "gpt-image-2", "prompt": "a wall"});
    let reply = call.bearer(API_KEY).json(&body).send().await;
    assert_eq!((reply.status, reply.cut), (200, None));
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(
        (&entry["outcome"], &entry["usage_source"]),
        (&json!("completed"), &json!("unknown")),
        "{entry}"
    );
}

#[tokio::test]
async fn a_stored_answer_that_is_read_again_is_not_booked_again() {
    let stored = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5", "output": [],
        "usage": {"input_tokens": 100_000, "output_tokens": 4_000, "total_tokens": 104_000, "cost": 1.5}});
    let upstream = Upstream::with(
        Script::default()
            .rule(
                Matcher::path("/responses/resp_1"),
                Respond::FixedResponse(FixedResponse::json(200, stored.clone())),
            )
            .rule(
                Matcher::path("/responses/resp_1/cancel"),
                Respond::FixedResponse(FixedResponse::json(200, stored)),
            )
            .rule(
                Matcher::path("/responses"),
                Respond::FixedResponse(FixedResponse::json(
                    429,
                    json!({"error": {"message": "slow down", "type": "rate_limit"}}),
                )),
            ),
    )
    .await;
    let base = upstream.base_url();
    let gateway = start(&format!("[upstreams.openai]\nbase_url = \"{base}\"\n")).await;
    let client = gateway.client();
    for call in [
        client.get("/v1/responses/resp_1"),
        client.post("/v1/responses/resp_1/cancel"),
        client.post("/v1/responses").json(&responses_body("hi")),
    ] {
        let reply = call.bearer(API_KEY).send().await;
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(entry["usage_source"], "unknown", "{entry}");
        assert_eq!(entry["cost_nanos"], json!(null), "{entry}");
    }
    // Neither they nor what an upstream refused are missing from the sums; an answer that tells
    // nothing is.
    let metrics = client.get("/metrics").send().await.text();
    for name in ["unpriced", "unknown"] {
        let name = format!("codex_gateway_{name}_requests_total{{");
        assert!(!metrics.contains(&name), "{metrics}");
    }
}

#[tokio::test]
async fn a_whole_answer_that_failed_is_booked_with_what_it_used() {
    let failed = json!({"id": "resp_1", "object": "response", "status": "failed", "output": [], "service_tier": "default",
        "error": {"code": "server_error", "message": "sorry"}, "usage": {"input_tokens": 100_000,
        "input_tokens_details": {"cached_tokens": 60_000}, "output_tokens": 4_000, "total_tokens": 104_000}});
    let filtered = json!({"id": "chat_1", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "content_filter",
        "message": {"role": "assistant", "content": "half"}}], "usage": {"prompt_tokens": 100_000,
        "prompt_tokens_details": {"cached_tokens": 60_000}, "completion_tokens": 4_000, "total_tokens": 104_000}});
    for (wire, path, body, answer) in [
        (
            "responses",
            "/v1/chat/completions",
            json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}),
            failed,
        ),
        (
            "chat",
            "/v1/responses",
            json!({"model": "gpt-5.5", "input": "hi"}),
            filtered,
        ),
    ] {
        for stream in [false, true] {
            let script = Script::always(Respond::FixedResponse(FixedResponse::json(
                200,
                answer.clone(),
            )));
            let (_upstream, gateway) = third_party(script, &format!("\"{wire}\""), "").await;
            let mut body = body.clone();
            body["stream"] = json!(stream);
            // Of what a filter stopped, only Codex is told as of a failure.
            let request = call(&gateway, path, &body).header("originator", "codex_exec");
            let reply = request.send().await;
            let entry = gateway.entry_of(&reply).await;
            assert_eq!(
                (&entry["outcome"], &entry["usage_source"]),
                (&json!("failed"), &json!("reported")),
                "{entry}"
            );
            assert_eq!(entry["cost_nanos"], 350_000_000, "{entry}");
        }
    }
}

#[tokio::test]
async fn completed_calls_of_hosted_tools_are_recorded_and_cost_their_fees() {
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}});
    let answer = |tool_usage: &serde_json::Value| {
        json!({"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.5", "output": [search],
            "service_tier": "default", "tool_usage": tool_usage,
            "usage": {"input_tokens": 1_000, "output_tokens": 100, "total_tokens": 1_100}})
    };
    let tokens = 5_000_000 + 3_000_000;
    for (model, tool_usage, calls, fee, marked) in [
        (
            "gpt-5.5",
            json!({"web_search": {"num_requests": 4}}),
            json!({"web_search": 4}),
            40_000_000,
            false,
        ),
        (
            "gpt-5.5",
            json!(null),
            json!({"web_search": 1}),
            10_000_000,
            false,
        ),
        (
            "gpt-5.5",
            json!({"image_gen": {"input_tokens": 10, "output_tokens": 900, "total_tokens": 910}}),
            json!({"web_search": 1, "image_input_tokens": 10, "image_output_tokens": 900}),
            10_000_000,
            true,
        ),
    ] {
        let reply = FixedResponse::json(200, answer(&tool_usage));
        let upstream = Upstream::with(Script::always(Respond::FixedResponse(reply))).await;
        let gateway = Gateway::start(&Config::to(&upstream)).await;
        let call = gateway.client().post("/v1/responses").bearer(API_KEY);
        // Offering a tool costs nothing.
        let body = json!({"model": model, "input": "q", "tools": [{"type": "web_search"}, {"type": "file_search"}]});
        let reply = call.json(&body).send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let entry = gateway.entry_of(&reply).await;
        assert_eq!(entry["tool_calls"], calls, "{entry}");
        assert_eq!(entry["cost_nanos"], tokens + fee, "{entry}");
        assert_eq!(
            entry["cost_estimated"].as_bool().unwrap_or(false),
            marked,
            "{entry}"
        );
    }
}
