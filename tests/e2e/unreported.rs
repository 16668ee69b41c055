//! Answers without usable counts, where a budget counts: what they are charged.

use gateway_tests::gateway::Gateway;
use gateway_tests::sample::responses_body;
use gateway_tests::upstream::{Chunking, ModelAnswer, Payload, ReplyHead, Script, Step, Upstream};
use serde_json::{Value, json};

/// What the gateway sets aside for the output of a request without a bound of its own.
const SET_ASIDE: u64 = 4096;

/// Gateways that reach one upstream by every wire, as the model says.
async fn every_wire(upstream: &Upstream) -> Gateway {
    let one = |name: &str, wire: &str, model: &str| {
        format!(
            "[upstreams.{name}]\nbase_url = \"{}\"\nwire_api = \"{wire}\"\ncredential = {{ env = \"TEAM_KEY\" }}\n\n\
             [[rules]]\nname = \"{name}\"\nwhen = {{ model = \"{model}\" }}\nthen = {{ send = \"{name}\" }}\n\n",
            upstream.base_url()
        )
    };
    let more =
        one("by-chat", "chat", "gpt-5.4-mini") + &one("by-responses", "responses", "gpt-5.4-nano");
    Gateway::of_a_team(upstream, &more).await
}

fn ask(path: &str, model: &str, stream: bool) -> Value {
    let mut body = responses_body("hi");
    if path.ends_with("completions") {
        body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100});
    } else {
        body["max_output_tokens"] = json!(100);
    }
    body["model"] = json!(model);
    body["stream"] = json!(stream);
    body
}

#[tokio::test]
async fn an_answer_without_counts_is_charged_what_was_set_aside() {
    let upstream = Upstream::start().await;
    let gateway = every_wire(&upstream).await;
    let (_, key) = gateway
        .new_key(&["--name", "counted", "--budget", "9.00/day"])
        .await;
    let zeros = json!({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0});
    let impossible = json!({"input_tokens": -1, "output_tokens": -1, "prompt_tokens": "many", "completion_tokens": 1});
    for usage in [Value::Null, json!({}), zeros, impossible] {
        upstream.set_script(Script::answer(ModelAnswer {
            raw_usage: Some(usage.clone()),
            ..ModelAnswer::text("an answer")
        }));
        for path in ["/v1/responses", "/v1/chat/completions"] {
            for model in ["gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano"] {
                for stream in [true, false] {
                    let case = format!("{path} {model} {stream} {usage}");
                    let call = gateway.client().post(path).bearer(&key);
                    let reply = call.json(&ask(path, model, stream)).send().await;
                    assert_eq!(reply.status, 200, "{case}: {}", reply.text());
                    let entry = gateway.entry_of(&reply).await;
                    assert_eq!(entry["usage_source"], "estimated", "{case}: {entry}");
                    assert!(
                        entry["output_tokens"].as_u64() >= Some(100),
                        "{case}: {entry}"
                    );
                    assert!(entry["input_tokens"].as_u64() > Some(0), "{case}: {entry}");
                    assert!(entry["cost_nanos"].as_i64() > Some(0), "{case}: {entry}");
                }
            }
        }
    }
    // A long answer is charged as long as it is.
    upstream.set_script(Script::answer(ModelAnswer {
        raw_usage: Some(Value::Null),
        ..ModelAnswer::text(&"word ".repeat(2_000))
    }));
    for stream in [true, false] {
        let call = gateway.client().post("/v1/responses").bearer(&key);
        let reply = call
            .json(&ask("/v1/responses", "gpt-5.4", stream))
            .send()
            .await;
        let entry = gateway.entry_of(&reply).await;
        assert!(
            entry["output_tokens"].as_u64() >= Some(2_500),
            "{stream}: {entry}"
        );
    }
}

#[tokio::test]
async fn answers_without_counts_use_a_budget_up() {
    let upstream = Upstream::with(Script::answer(ModelAnswer {
        usage: None,
        ..ModelAnswer::text("an answer")
    }))
    .await;
    let gateway = every_wire(&upstream).await;
    let (_, key) = gateway
        .new_key(&["--name", "poor", "--budget", "0.004/day"])
        .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let path = "/v1/chat/completions";
        let call = gateway.client().post(path).bearer(&key);
        let reply = call.json(&ask(path, "gpt-5.4", true)).send().await;
        statuses.push(reply.status);
    }
    // Each costs 100 × $15 per million and some input.
    assert_eq!(statuses, [200, 200, 429, 429]);
}

#[tokio::test]
async fn a_client_that_leaves_is_charged_what_was_set_aside() {
    let text = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n".to_owned();
    let begun = vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(text),
            cuts: Chunking::default(),
            delay_ms: 0,
        },
        Step::Stall,
    ];
    for (steps, has_begun) in [(begun, true), (vec![Step::Stall], false)] {
        let upstream = Upstream::with(Script::steps(steps)).await;
        let gateway = Gateway::of_a_team(&upstream, "").await;
        // Making the key asks for models, which this upstream never answers.
        let made = gateway.administer(&[
            "keys", "create", "--json", "--name", "hasty", "--budget", "1/day",
        ]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let key = made["key"].as_str().expect("a key").to_owned();
        let client = gateway.client();
        let call = client
            .post("/v1/responses")
            .bearer(&key)
            .json(&responses_body("hi"));
        if has_begun {
            let mut open = call.open().await;
            open.until("delta").await;
            open.reset();
        } else {
            let waiting = tokio::spawn(async move { call.open().await });
            upstream
                .wait_until("the request", |requests| !requests.is_empty())
                .await;
            waiting.abort();
        }
        gateway.wait_for_output("client_gone").await;
        let entries = gateway.entries().await;
        let entry = entries.first().expect("an entry");
        assert_eq!(
            (
                &entry["outcome"],
                &entry["usage_source"],
                &entry["output_tokens"]
            ),
            (
                &json!("client_gone"),
                &json!("estimated"),
                &json!(SET_ASIDE)
            ),
            "{entry}"
        );
        assert!(entry["cost_nanos"].as_i64() > Some(0), "{entry}");
    }
}

#[tokio::test]
async fn an_upstream_that_fails_before_it_answers_costs_nothing() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "unlucky", "--budget", "1/day"])
        .await;
    upstream.set_script(Script::steps(vec![Step::Reset]));
    let call = gateway.client().post("/v1/responses").bearer(&key);
    let reply = call.json(&responses_body("hi")).send().await;
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(
        (&entry["outcome"], &entry["cost_nanos"]),
        (&json!("failed"), &Value::Null),
        "{entry}"
    );
}
