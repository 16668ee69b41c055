//! Commands about keys: showing and changing them, and what mistakes are answered.

use gateway_tests::gateway::{Gateway, run};
use gateway_tests::sample::responses_body;
use gateway_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::keys::{ask_as, until};

#[tokio::test]
async fn a_key_is_shown_and_changed_while_it_works() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let flags = ["--name", "ci", "--owner", "alice", "--budget", "5.00/day"];
    let (id, key) = gateway.new_key(&flags).await;
    let show = || -> Value {
        serde_json::from_str(&gateway.administer(&["keys", "show", "ci", "--json"])).expect("JSON")
    };
    let shown = show();
    assert_eq!(
        (
            &shown["id"],
            &shown["state"],
            &shown["owner"],
            &shown["budgets"][0]["nanos"]
        ),
        (
            &json!(id),
            &json!("live"),
            &json!("alice"),
            &json!(5_000_000_000_i64)
        )
    );
    gateway.administer(&[
        "keys", "update", "ci", "--models", "gpt-5.4*", "--rpm", "30", "--clear", "owner",
    ]);
    let shown = show();
    assert_eq!(
        (
            &shown["models"],
            &shown["requests_per_minute"],
            &shown["owner"],
            &shown["ending"]
        ),
        (
            &json!(["gpt-5.4*"]),
            &json!(30),
            &Value::Null,
            &json!(&key[key.len() - 4..])
        )
    );
    assert_eq!(shown["budgets"][0]["nanos"], json!(5_000_000_000_i64));
    let body = responses_body("hi");
    let refused = until(
        &gateway,
        || ask_as(&gateway, &key, &body),
        |reply| reply.status != 200,
    )
    .await;
    assert_eq!(refused.error_code(), "model_not_found");
    let text = gateway.administer(&["keys", "show", "ci"]);
    for said in ["gpt-5.4*", "30 rpm", "owner    none", "USD/day metered"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let audit = gateway.administer(&["audit", "--json"]);
    assert!(audit.contains("\"key.update\""), "{audit}");

    // The same over HTTP; null removes a value.
    let token = std::fs::read_to_string(gateway.data_dir().join("admin-token")).expect("a token");
    let token = token.trim();
    let patch = |body: Value| {
        gateway
            .client()
            .call("PATCH", "/api/keys/ci")
            .bearer(token)
            .json(&body)
            .send()
    };
    let reply = patch(json!({ "models": [], "requests_per_minute": null, "name": "ci-2" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let after = reply.json();
    assert_eq!(
        (
            &after["name"],
            &after["models"],
            &after["requests_per_minute"]
        ),
        (&json!("ci-2"), &json!([]), &Value::Null)
    );
    for (body, status) in [
        (json!({}), 400),
        (json!({ "rpm": 5 }), 400),
        (json!({ "concurrency": 0 }), 400),
    ] {
        assert_eq!(patch(body.clone()).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn mistakes_of_the_command_line_have_one_exit_code_and_say_what_was_meant() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    gateway
        .new_key(&["--name", "ci-key", "--team", "platform"])
        .await;
    let config = gateway.config_file();
    let place = config.parent().expect("the test's place");
    let explain = [
        "explain",
        "--route",
        "gateway_key",
        "--model",
        "gpt-5.5",
        "--team",
    ];
    let cases: [(&[&str], i32, &str); 16] = [
        (&["usage", "--since", "yesterday"], 2, "yesterday"),
        (&["usage", "--by", "modle"], 2, "modle"),
        (&["reprice", "--since", "yesterday"], 2, "yesterday"),
        (
            &["keys", "create", "--name", "x", "--expires", "soon"],
            2,
            "soon",
        ),
        (
            &["keys", "create", "--name", "x", "--budget", "5"],
            2,
            "budget `5`",
        ),
        (
            &["keys", "create", "--name", "x", "--rpm", "0"],
            2,
            "at least 1",
        ),
        (
            &["keys", "create", "--name", "x", "--soft", "80%"],
            2,
            "--budget",
        ),
        (
            &["keys", "create", "--name", "x", "--routes", "chatgtp"],
            2,
            "chatgtp",
        ),
        (&["keys", "update", "ci-key"], 2, "nothing is to change"),
        (
            &["keys", "update", "ci-key", "--rpm", "5", "--clear", "rpm"],
            2,
            "--clear",
        ),
        (&["budgets", "set", "platform", "5/day"], 2, "team:NAME"),
        (&["budgets", "delete", "gateway", "year"], 2, "`week`"),
        (&["keys", "show", "ci-kye"], 1, "did you mean `ci-key`?"),
        (&["keys", "revoke", "ci-kye"], 1, "did you mean `ci-key`?"),
        (
            &["teams", "delete", "platfrom"],
            1,
            "did you mean `platform`?",
        ),
        (
            &["budgets", "set", "team:platfrom", "5/day"],
            1,
            "did you mean `platform`?",
        ),
    ];
    let mistyped = [&explain[..], &["platfrom"]].concat();
    let all = cases
        .into_iter()
        .chain([(&mistyped[..], 1, "did you mean `platform`?")]);
    for (arguments, code, said) in all {
        let ended = run(place, &[&["--data-dir", "data"], arguments].concat());
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr.contains(said), "{arguments:?}: {ended:#?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}
