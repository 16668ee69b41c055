//! Which credential goes where: a credential never reaches the upstream of another sign-in.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, FAKE_ACCOUNT, chatgpt_token, responses_body};
use gateway_tests::upstream::Upstream;

#[tokio::test]
async fn each_credential_reaches_its_own_upstream_and_no_other() {
    let chatgpt = Upstream::start().await;
    let openai = Upstream::start().await;
    let gateway = Gateway::start(&Config::of(&chatgpt.base_url(), &openai.base_url())).await;
    chatgpt.expect_gateway();
    openai.expect_gateway();
    let token = chatgpt_token();
    let bearer = |token: &str| ("authorization".to_owned(), format!("Bearer {token}"));
    let account = ("chatgpt-account-id".to_owned(), FAKE_ACCOUNT.to_owned());
    let cases = [
        (vec![bearer(&token)], true),
        (vec![bearer(&token), account.clone()], true),
        (vec![bearer("at-personal-token"), account.clone()], true),
        (vec![bearer("at-personal-token")], true),
        (vec![bearer("opaque"), account], true),
        (
            vec![(
                "authorization".to_owned(),
                "AgentAssertion abc.def".to_owned(),
            )],
            true,
        ),
        (vec![bearer(API_KEY)], false),
        (vec![bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.x")], false),
        (vec![("api-key".to_owned(), API_KEY.to_owned())], false),
    ];
    for (fields, to_chatgpt) in cases {
        chatgpt.reset();
        openai.reset();
        let mut call = gateway
            .client()
            .post("/v1/responses")
            .json(&responses_body("hi"));
        for (name, value) in &fields {
            call = call.header(name, value);
        }
        let reply = call.send().await;
        assert_eq!(reply.status, 200, "{fields:?}: {}", reply.text());
        let (meant, other) = if to_chatgpt {
            (&chatgpt, &openai)
        } else {
            (&openai, &chatgpt)
        };
        assert!(
            other.requests().is_empty(),
            "{fields:?} went to the wrong upstream"
        );
        let request = meant.only_request();
        for (name, value) in &fields {
            assert_eq!(request.header(name), Some(value.as_str()));
        }
    }
}

#[tokio::test]
async fn without_a_credential_nothing_goes_anywhere() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let reply = gateway
        .client()
        .post("/v1/responses")
        .json(&responses_body("hi"))
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (401, "missing_credential")
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn an_unknown_gateway_key_is_refused_here_and_shown_to_nobody() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let key = "cgw_0123456789abcdefghijklmnopqrstuvwxyz";
    let reply = gateway
        .client()
        .post("/v1/responses")
        .bearer(key)
        .json(&responses_body("hi"))
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (401, "invalid_gateway_key")
    );
    assert!(!reply.text().contains(key));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_refusal_beside_a_chatgpt_token_is_no_401() {
    // A 401 would make Codex refresh the user's token.
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let call = gateway
        .client()
        .post("/v1/responses")
        .bearer(&chatgpt_token())
        .json(&responses_body("hi"));
    let reply = call
        .header("x-gateway-key", "cgw_0123456789abcdefghijklmnopqrstuvwxyz")
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (403, "invalid_gateway_key")
    );
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_request_that_comes_round_again_is_refused() {
    let gateway = Gateway::start_with(gateway_tests::gateway::Start {
        config: Some(Config::of("http://SELF/v1", "http://SELF/v1").text()),
        ..Default::default()
    })
    .await;
    let reply = gateway
        .client()
        .post("/v1/responses")
        .bearer(API_KEY)
        .json(&responses_body("hi"))
        .send()
        .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "loop_detected"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn a_caller_cannot_choose_where_a_request_goes() {
    let (ours, theirs) = (Upstream::start().await, Upstream::start().await);
    let gateway = Gateway::start(&Config::to(&ours)).await;
    let url = theirs.base_url();
    // What other gateways have taken for a wish.
    for name in [
        "x-base-url",
        "base-url",
        "x-upstream",
        "x-upstream-url",
        "x-target-url",
        "x-portkey-custom-host",
        "openai-base-url",
        "x-forwarded-host",
        "x-original-url",
        "x-rewrite-url",
    ] {
        let call = gateway.client().post("/v1/responses").bearer(API_KEY);
        let call = call.header(name, &url).json(&responses_body("hi"));
        assert_eq!(call.send().await.status, 200, "{name}");
    }
    let mut body = responses_body("hi");
    body["base_url"] = url.clone().into();
    let call = gateway
        .client()
        .post("/v1/responses?base_url=http://evil.example");
    assert_eq!(call.bearer(API_KEY).json(&body).send().await.status, 200);
    // A target with a host in it, as for a proxy: by address it is answered here, by name it is
    // refused.
    for (target, status) in [
        (format!("{url}/responses"), 200),
        ("http://evil.example/v1/responses".to_owned(), 403),
    ] {
        let call = gateway.client().post(&target).bearer(API_KEY);
        let reply = call.json(&responses_body("hi")).send().await;
        assert_eq!(reply.status, status, "{target}: {}", reply.text());
    }
    assert_eq!(ours.model_requests().len(), 12);
    assert!(theirs.requests().is_empty());
}
