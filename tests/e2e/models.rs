//! `GET /v1/models`: the list that ordinary clients read, and the catalogue that Codex reads.

use gateway_tests::gateway::{Config, Gateway, Start};
use gateway_tests::sample::{API_KEY, signed_in};
use gateway_tests::start;
use gateway_tests::upstream::{FixedResponse, Matcher, Payload, Respond, Script, Step, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

const CODEX: &str = "/v1/models?client_version=0.169.0";

/// An entry with everything that Codex 0.169.0 requires.
fn entry(slug: &str) -> Value {
    json!({"slug": slug, "display_name": slug, "supported_reasoning_levels": [], "shell_type": "unified_exec",
        "visibility": "list", "supported_in_api": true, "priority": 1, "support_verbosity": false,
        "truncation_policy": {"mode": "tokens", "limit": 10000}, "experimental_supported_tools": [],
        "base_instructions": "Be brief.", "unknown_key": {"kept": [1, 2.50]}})
}

#[tokio::test]
async fn an_ordinary_client_gets_an_openai_list_also_without_a_key_on_loopback() {
    let (_upstream, gateway) = start(Script::default()).await;
    for call in [
        gateway.client().get("/v1/models"),
        gateway.client().get("/models").bearer(API_KEY),
    ] {
        let reply = call.send().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let list = reply.json();
        assert_eq!(list["object"], "list");
        let models = list["data"].as_array().expect("a list of models");
        assert!(
            models
                .iter()
                .all(|model| model["id"].is_string() && model["object"] == "model"),
            "{list}"
        );
    }
}

#[tokio::test]
async fn with_chatgpt_sign_in_the_upstreams_own_catalogue_passes() {
    let body = format!("{{ \"models\": [{}],\"x\":1.0}}", entry("gpt-5.5"));
    let plain = FixedResponse {
        status: 200,
        headers: vec![],
        body: Payload::Text(body.clone()),
    }
    .header("content-type", "application/json")
    .header("etag", "W/\"cat-1\"");
    let (upstream, gateway) =
        start(Script::default().rule(Matcher::path("/models"), Respond::FixedResponse(plain)))
            .await;
    let reply = signed_in(gateway.client().get(CODEX))
        .header("if-none-match", "\"old\"")
        .send()
        .await;
    assert_eq!((reply.status, reply.text().as_str()), (200, body.as_str()));
    assert_eq!(reply.header("etag"), Some("W/\"cat-1\""));
    assert_eq!(upstream.only_request().target, CODEX);
    // A tag that was passed on as it came is the upstream's to compare; any other is not.
    assert_eq!(upstream.only_request().header("if-none-match"), None);
    upstream.reset();
    signed_in(gateway.client().get(CODEX))
        .header("if-none-match", "W/\"cat-1\"")
        .send()
        .await;
    let request = upstream.only_request();
    assert_eq!(request.header("if-none-match"), Some("W/\"cat-1\""));
}

#[tokio::test]
async fn a_broken_catalogue_of_the_upstream_never_becomes_a_server_error() {
    // Codex asks ten to twenty times and starts ten seconds late after a 5xx.
    for steps in [
        vec![Step::Reset],
        vec![Step::Raw(Payload::Text(
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ))],
        vec![Step::Stall],
    ] {
        let (_upstream, gateway) =
            start(Script::default().rule(Matcher::path("/models"), Respond::Steps(steps.clone())))
                .await;
        let reply = signed_in(gateway.client().get(CODEX)).send().await;
        assert!(
            reply.status < 500,
            "{steps:?}: {} {}",
            reply.status,
            reply.text()
        );
        assert!(
            reply.took < Duration::from_secs(5),
            "Codex waits five seconds, this took {:?}",
            reply.took
        );
    }
}

#[tokio::test]
async fn without_a_catalogue_codex_gets_an_empty_one_by_key() {
    let (upstream, gateway) = start(Script::default()).await;
    let reply = gateway.client().get(CODEX).bearer(API_KEY).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["models"],
        json!([]),
        "an invented entry would replace Codex's own prompt"
    );
    assert!(upstream.requests().is_empty());
}

async fn with_file(catalogue: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let config = Config::to(&upstream).rest("[catalog]\nfile = \"catalogue.json\"\n");
    let files = vec![("catalogue.json".to_owned(), catalogue.to_owned())];
    let gateway = Gateway::start_with(Start {
        config: Some(config.text()),
        files,
        ..Start::default()
    })
    .await;
    (upstream, gateway)
}

#[tokio::test]
async fn the_operators_catalogue_is_served_with_an_etag() {
    let catalogue = json!({"models": [entry("gpt-5.5"), entry("gpt-6.1-sol")]});
    let (_upstream, gateway) = with_file(&catalogue.to_string()).await;
    let reply = gateway.client().get(CODEX).bearer(API_KEY).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["models"],
        catalogue["models"],
        "entries are served whole, unknown keys included"
    );
    let etag = reply.header("etag").expect("an etag").to_owned();
    let again = gateway
        .client()
        .get(CODEX)
        .bearer(API_KEY)
        .header("if-none-match", &etag)
        .send()
        .await;
    assert_eq!((again.status, again.text().as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(etag.as_str()));
    let several = format!("\"other\", {etag}");
    assert_eq!(
        gateway
            .client()
            .get(CODEX)
            .bearer(API_KEY)
            .header("if-none-match", &several)
            .send()
            .await
            .status,
        304
    );
    assert_eq!(
        gateway
            .client()
            .get(CODEX)
            .bearer(API_KEY)
            .header("if-none-match", "\"other\"")
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn one_model_can_be_asked_for() {
    let catalogue = json!({"models": [entry("gpt-5.5")]});
    let (_upstream, gateway) = with_file(&catalogue.to_string()).await;
    let reply = gateway
        .client()
        .get("/v1/models/gpt-5.5")
        .bearer(API_KEY)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["id"], "gpt-5.5");
    let reply = gateway
        .client()
        .get("/v1/models/no-such-model")
        .bearer(API_KEY)
        .send()
        .await;
    assert_eq!(reply.status, 404);
    assert!(reply.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn every_catalogue_answer_can_be_asked_for_again_and_says_where_it_comes_from() {
    let (upstream, gateway) = start(Script::default()).await;
    for (target, from) in [(CODEX, None), ("/v1/models", Some("openai"))] {
        let call = || gateway.client().get(target).bearer(API_KEY);
        let reply = call().send().await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert_eq!(reply.header("x-gateway-route"), Some("api_key"));
        assert!(reply.header("x-gateway-request-id").is_some());
        assert_eq!(reply.header("x-gateway-upstream"), from, "{target}");
        if from.is_none() {
            assert_eq!(reply.json()["models"], json!([]));
            let etag = reply.header("etag").expect("an etag").to_owned();
            let again = call().header("if-none-match", &etag).send().await;
            assert_eq!((again.status, again.text().as_str()), (304, ""));
            assert_eq!(again.header("etag"), Some(etag.as_str()));
        }
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn the_question_for_models_carries_what_every_request_to_the_upstream_carries() {
    let upstream = Upstream::start().await;
    let config = Config::to(&upstream)
        .upstream("http_headers = { \"X-Title\" = \"team\" }")
        .upstream("query_params = { region = \"eu\" }");
    let gateway = Gateway::start(&config).await;
    gateway
        .client()
        .get("/v1/models")
        .bearer(API_KEY)
        .send()
        .await;
    let request = upstream.only_request();
    assert_eq!(request.target, "/v1/models?region=eu");
    assert_eq!(request.header("x-title"), Some("team"));
}

#[tokio::test]
async fn a_question_for_models_that_comes_back_is_not_asked_again() {
    let config = Config::of("http://SELF/v1", "http://SELF/v1");
    let gateway = Gateway::start(&config).await;
    for target in ["/v1/models", "/v1/models/gpt-5.5"] {
        let reply = gateway.client().get(target).bearer(API_KEY).send().await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert!(reply.took < Duration::from_secs(2), "{:?}", reply.took);
    }
}

/// The models of this configuration that the upstream of the route cannot list.
#[tokio::test]
async fn an_openai_list_has_declared_models_and_those_that_rules_send_elsewhere() {
    const LIST: &str = r#"{"object":"list","data":[{"id":"gpt-5.4","object":"model","created":1,"owned_by":"x"}]}"#;
    let list = FixedResponse {
        status: 200,
        headers: vec![],
        body: Payload::Text(LIST.to_owned()),
    }
    .header("content-type", "application/json")
    .header("etag", "\"theirs\"");
    let missing = FixedResponse {
        status: 404,
        headers: vec![],
        body: Payload::Text("{}".to_owned()),
    };
    let script = Script::default()
        .rule(
            Matcher::path("/models/"),
            Respond::FixedResponse(missing.clone()),
        )
        .rule(Matcher::path("/models"), Respond::FixedResponse(list));
    let (upstream, gateway) = gateway_tests::start_with(script, |config| {
        config.rest(
            "[upstreams.other]\nbase_url = \"http://127.0.0.1:9/v1\"\nwire_api = \"chat\"\ncredential = \"none\"\n\
             [[catalog.entries]]\nmodel = \"deepseek-chat\"\ncontext_window = 128000\n\
             [[catalog.entries]]\nmodel = \"own-model\"\ncontext_window = 128000\n\
             [[catalog.entries]]\nmodel = \"barred\"\ncontext_window = 128000\n\
             [[rules]]\nname = \"ds\"\nwhen = { model = [\"deepseek-*\", \"local-1\"] }\nthen = { send = \"other\" }\n\
             [[rules]]\nname = \"no\"\nwhen = { model = \"barred\" }\nthen = { reject = \"no\" }\n",
        )
    })
    .await;
    let client = gateway.client();
    for path in ["/v1/models", "/models"] {
        let reply = client.get(path).bearer(API_KEY).send().await;
        let list = reply.json();
        let ids: Vec<&str> = list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|model| model["id"].as_str())
            .collect();
        for (id, is_listed) in [
            ("gpt-5.4", true),
            ("deepseek-chat", true),
            ("local-1", true),
            ("own-model", true),
            ("barred", false),
            ("unknown", false),
        ] {
            let count = ids.iter().filter(|known| **known == id).count();
            assert_eq!(count, usize::from(is_listed), "{id}: {ids:?}");
            let one = client.get(&format!("{path}/{id}")).bearer(API_KEY);
            let one = one.send().await;
            assert_eq!(one.status, if is_listed { 200 } else { 404 }, "{path}/{id}");
            if is_listed {
                assert_eq!(one.json()["id"], id);
            }
        }
        // What the upstream said of its own model stays, and the etag is ours.
        assert_eq!(list["data"][0]["owned_by"], "x");
        let etag = reply.header("etag").expect("an etag").to_owned();
        assert_ne!(etag, "\"theirs\"");
        upstream.reset();
        let again = client.get(path).bearer(API_KEY);
        let again = again.header("if-none-match", &etag).send().await;
        assert_eq!(again.status, 304);
        assert_eq!(upstream.only_request().header("if-none-match"), None);
    }
}
