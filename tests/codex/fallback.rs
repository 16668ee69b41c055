//! What the real Codex sees of rules and fallback: the turn finishes, nothing false is said, and
//! what is genuine stays.

use crate::direct::{PROMPT as TOOL_PROMPT, assert_whole_turn, bundled_catalogue};
use gateway_tests::codex::{CURRENT, Codex, SetUp};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::{
    Chunking, FixedResponse, Matcher, ModelAnswer, Payload, ReplyHead, Respond, Script, Step,
    Upstream,
};
use serde_json::{Value, json};

const PROMPT: &str = "say hi";
const WARNING: &str = "high-risk cyber activity";

fn refused(status: u16, body: &str) -> Respond {
    Respond::FixedResponse(FixedResponse {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Payload::Text(body.to_owned()),
    })
}

fn in_stream(event: Value) -> Respond {
    let created = json!({"type": "response.created", "response": {"id": "resp_1"}});
    Respond::Steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Events(vec![created, event]),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
    ])
}

/// The documented ways in which gpt-5.5 is refused.
fn refusals() -> Vec<Respond> {
    let no_access = "The model `gpt-5.5` does not exist or you do not have access to it.";
    vec![
        refused(
            400,
            r#"{"detail":"The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."}"#,
        ),
        refused(
            404,
            &json!({"error": {"message": no_access, "type": "invalid_request_error", "param": null, "code": "model_not_found"}})
                .to_string(),
        ),
        refused(404, "Model not found gpt-5.5"),
        in_stream(json!({"type": "response.failed", "response": {"id": "resp_1", "error": {"code": "model_not_found", "message": no_access}}})),
        in_stream(json!({"type": "error", "status": 400, "error": {"type": "invalid_request_error", "message": "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account."}})),
    ]
}

#[tokio::test]
async fn a_refused_model_finishes_on_the_next_one_and_a_second_session_does_not_pay_again() {
    for set_up in [SetUp::env_key(API_KEY), SetUp::chatgpt_provider()] {
        for refusal in refusals() {
            let served =
                ModelAnswer::text("done by the next model").header("openai-model", "gpt-5.4");
            let script = Script::default()
                .rule(Matcher::model("gpt-5.5"), refusal)
                .rule(
                    Matcher::model("gpt-5.4"),
                    Respond::ModelAnswer(Box::new(served)),
                );
            let upstream = Upstream::with(script).await;
            let gateway = Gateway::start(&Config::to(&upstream)).await;
            for requests in [2, 3] {
                let turn = Codex::new(CURRENT)
                    .turn(&set_up, &gateway.base_url(), PROMPT)
                    .await;
                turn.assert_clean();
                assert_eq!(turn.messages(), ["done by the next model"]);
                assert!(!turn.stdout.contains(WARNING) && !turn.stderr.contains(WARNING));
                assert_eq!(upstream.model_requests().len(), requests);
            }
        }
    }
}

#[tokio::test]
async fn a_genuine_reroute_is_still_shown() {
    let served = ModelAnswer::text("hi").header("openai-model", "gpt-5.2");
    let upstream = Upstream::with(Script::answer(served)).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), PROMPT)
        .await;
    assert!(turn.status.success(), "{}", turn.stdout);
    let all = format!("{}{}", turn.stdout, turn.stderr);
    assert!(all.contains(WARNING), "{all}");
}

#[tokio::test]
async fn a_rewrite_shows_no_warning() {
    let served = ModelAnswer::text("hi").header("openai-model", "gpt-5.4-mini");
    let upstream = Upstream::with(Script::answer(served)).await;
    let rule = "[[rules]]\nname = \"cheaper\"\nwhen = { model = \"gpt-5.5\" }\nthen = { rewrite = \"gpt-5.4-mini\" }\n";
    let gateway = Gateway::start(&Config::to(&upstream).rest(rule)).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::env_key(API_KEY), &gateway.base_url(), PROMPT)
        .await;
    turn.assert_clean();
    assert!(!format!("{}{}", turn.stdout, turn.stderr).contains(WARNING));
    assert_eq!(upstream.model_requests()[0].json()["model"], "gpt-5.4-mini");
}

#[tokio::test]
async fn a_usage_limit_shows_codexs_own_screen_and_nothing_hops() {
    let body = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":4102444800}}"#;
    let upstream = Upstream::with(Script::always(refused(429, body))).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let turn = Codex::new(CURRENT)
        .turn(&SetUp::chatgpt_provider(), &gateway.base_url(), PROMPT)
        .await;
    assert!(!turn.status.success());
    assert!(
        turn.errors()
            .iter()
            .any(|error| error.contains("usage limit")),
        "{:?}",
        turn.errors()
    );
    assert_eq!(upstream.model_requests().len(), 1);
}

#[tokio::test]
async fn a_rejected_model_reads_as_one_clear_sentence() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let set_up = SetUp::env_key(API_KEY).model(Some("gpt-5.3-codex-spark"));
    let turn = Codex::new(CURRENT)
        .turn(&set_up, &gateway.base_url(), PROMPT)
        .await;
    assert!(!turn.status.success());
    let last = turn.errors().pop().unwrap_or_default();
    assert!(
        last.contains("rejects gpt-5.3-codex-spark") && last.contains("gpt-5.4-mini"),
        "{last}"
    );
    assert!(!last.contains('{'), "the sentence alone, no JSON: {last}");
    assert!(upstream.model_requests().is_empty());
}

/// What Codex keeps of the catalogue: its etag, and whether it offers a model.
fn kept(codex: &Codex, model: &str) -> (String, String) {
    let text = std::fs::read_to_string(codex.home().join("models_cache.json")).unwrap();
    let cache: Value = serde_json::from_str(&text).unwrap();
    let entries = cache["models"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["slug"] == model).unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (word(&cache["etag"]), word(&entry["visibility"]))
}

#[tokio::test]
async fn a_learned_refusal_makes_codex_fetch_its_catalogue_anew_without_that_model() {
    const TAG: &str = "\"of-the-upstream\"";
    let (refusal, codex) = (refusals().remove(0), Codex::new(CURRENT));
    let catalogue = FixedResponse::json(
        200,
        serde_json::from_str(&bundled_catalogue(&codex).await).unwrap(),
    );
    let mut script = Script::default()
        .rule(
            Matcher::path("/models"),
            Respond::FixedResponse(catalogue.header("etag", TAG)),
        )
        .rule(Matcher::model("gpt-5.5"), refusal);
    script.model.headers = vec![("x-models-etag".to_owned(), TAG.to_owned())];
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let set_up = SetUp::chatgpt_built_in().model(Some("gpt-5.5"));

    let turn = codex.turn(&set_up, &gateway.base_url(), TOOL_PROMPT).await;
    assert_whole_turn(&turn);
    assert!(!format!("{}{}", turn.stdout, turn.stderr).contains(WARNING));
    // Between the two requests of the turn, once: the answer to the first told of another
    // catalogue.
    let seen: Vec<_> = upstream
        .requests()
        .iter()
        .map(|request| request.target.split('?').next().unwrap().to_owned())
        .skip_while(|path| path != "/v1/responses")
        .collect();
    let [turn, models] = ["/v1/responses", "/v1/models"];
    assert_eq!(seen, [turn, turn, models, turn]);
    let (tag, visibility) = kept(&codex, "gpt-5.5");
    assert_ne!(tag, TAG);
    assert_eq!(visibility, "hide");
    assert_eq!(kept(&codex, "gpt-6-luna").1, "list");
}
