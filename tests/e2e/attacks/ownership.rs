//! What is stored at an upstream under the gateway's credential belongs to the key and the team that
//! made it.

use gateway_tests::client::Reply;
use gateway_tests::gateway::Gateway;
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{FixedResponse, Matcher, Respond, Script, Upstream};
use serde_json::{Value, json};

const LARGE: &str = "gpt-5.5";

fn answer() -> Value {
    json!({"id": "resp_a", "object": "response", "status": "completed", "model": LARGE,
        "output": [
            {"type": "message", "id": "msg_a", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "secret", "annotations": []}]},
            {"type": "code_interpreter_call", "id": "ci_a", "status": "completed", "container_id": "cntr_a"},
        ],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}})
}

fn script() -> Script {
    Script::default().rule(
        Matcher::default(),
        Respond::FixedResponse(FixedResponse::json(200, answer())),
    )
}

async fn ask(gateway: &Gateway, key: &str, members: &Value) -> Reply {
    let mut body = json!({"model": LARGE, "store": true, "input": "hi"});
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    let call = gateway.client().post("/v1/responses").bearer(key);
    call.json(&body).send().await
}

/// Every way to use what the answer of another left at the upstream, and the member that a refusal
/// names.
fn uses() -> Vec<(Value, &'static str)> {
    let file = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file_a"}]}]);
    vec![
        (
            json!({"previous_response_id": "resp_a"}),
            "previous_response_id",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_a"}]}),
            "item_reference",
        ),
        (json!({"input": [{"id": "msg_a"}]}), "item_reference"),
        (
            json!({"tools": [{"type": "code_interpreter", "container": "cntr_a"}]}),
            "container",
        ),
        (json!({"conversation": "conv_a"}), "conversation"),
        (json!({"conversation": {"id": "conv_a"}}), "conversation"),
        (json!({"prompt": {"id": "pmpt_a"}}), "prompt"),
        (json!({"input": file}), "file_id"),
        (
            json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_a"]}]}),
            "vector_store_ids",
        ),
    ]
}

const OWN: usize = 4;

#[tokio::test]
async fn what_a_key_made_is_used_by_it_and_its_team_alone() {
    let upstream = Upstream::with(script()).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    for team in ["red", "blue"] {
        gateway.administer(&["teams", "create", team]);
    }
    let (_, maker) = gateway.new_key(&["--name", "maker", "--team", "red"]).await;
    let (_, mate) = gateway.new_key(&["--name", "mate", "--team", "red"]).await;
    let (_, other) = gateway
        .new_key(&["--name", "other", "--team", "blue"])
        .await;
    let (_, lone) = gateway.new_key(&["--name", "lone"]).await;
    let small = [
        "--name",
        "small",
        "--team",
        "red",
        "--models",
        "gpt-5.4-mini",
    ];
    let (_, small) = gateway.new_key(&small).await;
    assert_eq!(ask(&gateway, &maker, &json!({})).await.status, 200);
    upstream.reset();
    let retrieve = async |key: &str, method: &str, path: &str| {
        let call = gateway.client().call(method, path).bearer(key);
        call.send().await
    };
    let paths = [
        ("GET", "/v1/responses/resp_a"),
        ("GET", "/v1/responses/resp_a/input_items"),
        ("GET", "/v1/responses/resp%5Fa?stream=true"),
        ("POST", "/v1/responses/resp_a/cancel"),
        ("DELETE", "/responses/resp_a"),
    ];
    for key in [&other, &lone, &small] {
        for (method, path) in paths {
            let reply = retrieve(key, method, path).await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (404, "not_found"),
                "{method} {path}"
            );
        }
    }
    for key in [&other, &lone] {
        for (members, param) in uses() {
            let reply = ask(&gateway, key, &members).await;
            assert_eq!(
                (reply.status, reply.json()["error"]["param"].clone()),
                (400, json!(param)),
                "{members}"
            );
        }
    }
    assert!(upstream.requests().is_empty(), "nothing was asked");
    for key in [&maker, &mate] {
        for (method, path) in paths {
            assert_eq!(
                retrieve(key, method, path).await.status,
                200,
                "{method} {path}"
            );
        }
        for (index, (members, _)) in uses().into_iter().enumerate() {
            let expected = if index < OWN { 200 } else { 400 };
            assert_eq!(
                ask(&gateway, key, &members).await.status,
                expected,
                "{members}"
            );
        }
    }
}

#[tokio::test]
async fn ids_can_be_shared_by_the_operator_and_own_credentials_are_no_matter_of_the_gateways() {
    let upstream = Upstream::with(script()).await;
    let gateway = Gateway::of_a_team(&upstream, "[upstreams.team.deviations]\n").await;
    // Who pays with a credential of their own is kept apart by the upstream.
    let call = gateway.client().get("/v1/responses/resp_a").bearer(API_KEY);
    assert_eq!(call.send().await.status, 200);
    let mut body = responses_body("hi");
    body["previous_response_id"] = json!("resp_a");
    body["stream"] = json!(false);
    let call = gateway.client().post("/v1/responses").bearer(API_KEY);
    assert_eq!(call.json(&body).send().await.status, 200);
    let (_, key) = gateway.new_key(&["--name", "any"]).await;
    for (members, _) in uses() {
        assert_eq!(ask(&gateway, &key, &members).await.status, 400, "{members}");
    }
    let shared = Gateway::of_a_team_with(&upstream, "shared_ids = true", "").await;
    let (_, key) = shared.new_key(&["--name", "any"]).await;
    for (members, _) in uses() {
        assert_eq!(ask(&shared, &key, &members).await.status, 200, "{members}");
    }
    let call = shared.client().get("/v1/responses/resp_a").bearer(&key);
    assert_eq!(call.send().await.status, 200);
}

#[tokio::test]
async fn a_model_beside_the_model_counts_for_what_a_key_may_use() {
    let upstream = Upstream::with(script()).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway
        .new_key(&["--name", "small", "--models", LARGE])
        .await;
    for (members, param) in [
        (
            json!({"tools": [{"type": "image_generation", "model": "gpt-image-1"}]}),
            "tools",
        ),
        (json!({"models": [LARGE, "gpt-5.5-pro"]}), "models"),
    ] {
        let reply = ask(&gateway, &key, &members).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "model_not_found"),
            "{members}"
        );
        assert_eq!(reply.json()["error"]["param"], param);
    }
    assert!(upstream.requests().is_empty());
}
