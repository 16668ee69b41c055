//! The picker: bytes that stay, words that change, etags that agree on both sides.

use axum::body::Body;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use base64::Engine as _;
use gateway_policy::{LearnedRefusal, RefusalKey};
use http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::clock::Clock;
use crate::identity::credentials::RequestCredentials;
use crate::learned::Learned;
use crate::testing::Process;

fn catalogue(slugs: &[(&str, &str)]) -> String {
    let entries: Vec<Value> = slugs
        .iter()
        .map(|(slug, visibility)| {
            json!({
                "visibility": visibility, "slug": slug, "display_name": slug, "supported_reasoning_levels": [],
                "shell_type": "unified_exec", "supported_in_api": true, "priority": 1, "support_verbosity": false,
                "truncation_policy": {"mode": "bytes", "limit": 1}, "experimental_supported_tools": [],
                "base_instructions": "\"visibility\":\"list\" is only text here"
            })
        })
        .collect();
    json!({"note": "list", "models": entries}).to_string()
}

fn hide(text: &str, hidden: &[&str]) -> String {
    let hidden: Vec<ModelId> = hidden.iter().map(|id| ModelId::new(id).unwrap()).collect();
    let bytes = Bytes::from(text.to_owned());
    let shown = Listed::read(text.as_bytes()).unwrap().hide(&bytes, &hidden);
    String::from_utf8(shown.to_vec()).unwrap()
}

#[test]
fn one_word_of_an_entry_changes_and_nothing_else() {
    for (text, hidden, expected) in [
        (
            r#"{ "models" : [ {"slug":"a","visibility" : "list" , "x":1e2},{"visibility":"list","slug":"b"} ] , "y":[] }"#,
            vec!["A"],
            r#"{ "models" : [ {"slug":"a","visibility" : "hide" , "x":1e2},{"visibility":"list","slug":"b"} ] , "y":[] }"#,
        ),
        (
            r#"{"models":[{"slug":"a","visibility":"l\u0069st"},{"slug":"\u0062","visibility":"list"}]}"#,
            vec!["a", "b"],
            r#"{"models":[{"slug":"a","visibility":"hide"},{"slug":"\u0062","visibility":"hide"}]}"#,
        ),
        // Entries that show themselves nowhere, or cannot be read, stay.
        (
            r#"{"models":[{"slug":"a","visibility":"none"},{"slug":"a"},7,{"slug":"a","visibility":null},{"models":[{"slug":"a","visibility":"list"}]}]}"#,
            vec!["a"],
            r#"{"models":[{"slug":"a","visibility":"none"},{"slug":"a"},7,{"slug":"a","visibility":null},{"models":[{"slug":"a","visibility":"list"}]}]}"#,
        ),
    ] {
        assert_eq!(hide(text, &hidden), expected);
    }
    for text in ["", "[]", "{}", r#"{"data":[]}"#, "{\"models\":[", "\u{0}"] {
        assert!(Listed::read(text.as_bytes()).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn hiding_is_the_edit_that_json_sees(
        entries in prop::collection::vec(("[a-d]{1,2}", "list|hide|none"), 0..6),
        hidden in prop::collection::vec("[a-d]{1,2}", 0..3),
    ) {
        let slugs: Vec<(&str, &str)> = entries.iter().map(|(slug, word)| (slug.as_str(), word.as_str())).collect();
        let text = catalogue(&slugs);
        let names: Vec<&str> = hidden.iter().map(String::as_str).collect();
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        for entry in expected["models"].as_array_mut().unwrap() {
            if entry["visibility"] == "list" && names.contains(&entry["slug"].as_str().unwrap()) {
                entry["visibility"] = json!("hide");
            }
        }
        let shown: Value = serde_json::from_str(&hide(&text, &names)).unwrap();
        prop_assert_eq!(shown, expected);
    }

    #[test]
    fn no_bytes_make_it_stop(text in any::<Vec<u8>>()) {
        Listed::read(&text);
    }
}

/// A ChatGPT sign-in of this account.
fn chatgpt() -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims =
        r#"{"https://api.openai.com/auth":{"chatgpt_account_id":"a","chatgpt_plan_type":"plus"}}"#;
    format!(
        "Bearer {}.{}.sig",
        encode(r#"{"alg":"none"}"#),
        encode(claims)
    )
}

fn request(method: &str, path: &str, credential: &str, known: Option<&str>) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8787")
        .header("authorization", credential)
        .header("originator", "codex_exec");
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let body = if method == "POST" {
        request = request.header("content-type", "application/json");
        Body::from(r#"{"model":"gpt-5.4","stream":true,"input":[]}"#)
    } else {
        Body::empty()
    };
    request.body(body).unwrap()
}

const MODELS: &str = "/v1/models?client_version=0.169.0";

#[tokio::test]
async fn an_operators_catalogue_is_filtered_for_each_caller() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("codex-models.json");
    let text = catalogue(&[("gpt-5.5", "list"), ("gpt-5.3-codex-spark", "list")]);
    std::fs::write(&file, &text).unwrap();
    let process = Process::start(&format!("[catalog]\nfile = {file:?}\n")).await;

    let whole = process.send(request("GET", MODELS, &chatgpt(), None)).await;
    assert_eq!(whole.text(), text);
    let filtered = process
        .send(request("GET", MODELS, "Bearer sk-1", None))
        .await;
    assert_eq!(filtered.text(), hide(&text, &["gpt-5.3-codex-spark"]));
    let (whole_tag, tag) = (
        whole.header("etag").unwrap(),
        filtered.header("etag").unwrap(),
    );
    assert_ne!(whole_tag, tag);

    let again = process
        .send(request("GET", MODELS, "Bearer sk-1", Some(tag)))
        .await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
    let other = process
        .send(request("GET", MODELS, "Bearer sk-1", Some(whole_tag)))
        .await;
    assert_eq!(other.status, 200);
    process.stop().await;
}

const TAG: &str = "W/\"upstream-7\"";
const STREAM: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"model\":\"gpt-5.4\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2}}}\n\n";

/// Stands for the upstream of ChatGPT sign-ins, on a port of its own.
async fn with_upstream(text: &'static str, rules: &str) -> Process {
    let upstream = axum::Router::new()
        .route(
            "/codex/models",
            get(move |headers: HeaderMap| async move {
                if headers.get("if-none-match").is_some_and(|tag| tag == TAG) {
                    return (http::StatusCode::NOT_MODIFIED, [("etag", TAG)]).into_response();
                }
                ([("etag", TAG), ("content-type", "application/json")], text).into_response()
            }),
        )
        .route(
            "/codex/responses",
            post(|| async {
                let head = [
                    ("content-type", "text/event-stream"),
                    ("x-models-etag", TAG),
                ];
                (head, STREAM)
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!("[upstreams.chatgpt]\nbase_url = \"http://{address}/codex\"\n{rules}");
    let process = Process::start(&config).await;
    process
        .app
        .tasks()
        .spawn_background("upstream", async move {
            axum::serve(listener, upstream).await.unwrap();
        });
    process
}

#[tokio::test]
async fn nothing_to_hide_passes_the_upstreams_bytes_and_etag() {
    let text: &'static str =
        catalogue(&[("gpt-5.5", "list"), ("gpt-5.3-codex-spark", "list")]).leak();
    let process = with_upstream(text, "").await;
    let turn = process
        .send(request("POST", "/v1/responses", &chatgpt(), None))
        .await;
    assert_eq!(turn.header("x-models-etag"), Some(TAG));
    let answer = process.send(request("GET", MODELS, &chatgpt(), None)).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("etag")),
        (text, Some(TAG))
    );
    let again = process
        .send(request("GET", MODELS, &chatgpt(), Some(TAG)))
        .await;
    assert_eq!(again.status, 304);
    let turn = process
        .send(request("POST", "/v1/responses", &chatgpt(), None))
        .await;
    assert_eq!(turn.header("x-models-etag"), Some(TAG));
    process.stop().await;
}

#[tokio::test]
async fn the_etag_of_answers_is_that_of_the_catalogue_this_caller_would_get() {
    let text: &'static str = catalogue(&[
        ("gpt-5.5", "list"),
        ("gpt-5.2", "list"),
        ("gpt-5.4", "list"),
    ])
    .leak();
    let rules = "[[rules]]\nname = \"no 5.2\"\nwhen = { model = \"gpt-5.2*\" }\nthen = { reject = \"retired\" }\n";
    let process = with_upstream(text, rules).await;
    let tag_of_turn = async || {
        let turn = process
            .send(request("POST", "/v1/responses", &chatgpt(), None))
            .await;
        assert_eq!(turn.text(), STREAM);
        turn.header("x-models-etag").unwrap().to_owned()
    };
    // Nobody asked yet: an etag that is not the upstream's makes the client ask.
    assert_ne!(tag_of_turn().await, TAG);

    // A client that holds the upstream's own catalogue is told better.
    let answer = process
        .send(request("GET", MODELS, &chatgpt(), Some(TAG)))
        .await;
    assert_eq!(answer.text(), hide(text, &["gpt-5.2"]));
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag_of_turn().await, tag);
    let again = process
        .send(request("GET", MODELS, &chatgpt(), Some(&tag)))
        .await;
    assert_eq!(again.status, 304);

    // What is learned about this caller's credential changes both; about another's, neither.
    let mut headers = HeaderMap::new();
    headers.insert("authorization", chatgpt().parse().unwrap());
    let presented = RequestCredentials::read(&headers).unwrap();
    let learned = process.part::<Arc<Learned>>();
    let now = Clock::system().now();
    let fact = LearnedRefusal {
        learned_at: now,
        expires_at: now + std::time::Duration::from_secs(600),
        probed_at: None,
        code: None,
        message: None,
    };
    let key = |digest: &str| RefusalKey {
        upstream: UpstreamName::new("chatgpt"),
        route: AuthRoute::Chatgpt,
        plan: presented.plan.as_deref().map(Arc::from),
        credential_digest: Some(Arc::from(digest)),
        model: ModelId::new("gpt-5.5").unwrap(),
    };
    learned.restore(vec![(key("somebody else"), fact.clone())]);
    assert_eq!(tag_of_turn().await, tag);
    learned.restore(vec![(key(&presented.credential_digest), fact)]);
    let newer = tag_of_turn().await;
    assert_ne!(newer, tag);
    let answer = process
        .send(request("GET", MODELS, &chatgpt(), Some(&tag)))
        .await;
    assert_eq!(answer.text(), hide(text, &["gpt-5.2", "gpt-5.5"]));
    assert_eq!(answer.header("etag"), Some(newer.as_str()));
    process.stop().await;
}

#[tokio::test]
async fn another_routes_answers_carry_no_etag_of_a_catalogue() {
    let text: &'static str = catalogue(&[("gpt-5.5", "list")]).leak();
    let rules = "[upstreams.openai]\nbase_url = \"http://127.0.0.1:9/v1\"\n[routes]\napi_key = \"chatgpt\"\n";
    let process = with_upstream(text, rules).await;
    let turn = process
        .send(request("POST", "/v1/responses", "Bearer sk-1", None))
        .await;
    assert_eq!(turn.status, 200);
    assert_eq!(turn.header("x-models-etag"), None);
    process.stop().await;
}
