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

#[tokio::test]
async fn names_of_keys_are_unique_and_a_mistyped_team_is_noticed() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let place = gateway.config_file();
    let place = place.parent().expect("the test's place");
    let create = |name: &str, team: &str| {
        let arguments = [
            "--data-dir",
            "data",
            "keys",
            "create",
            "--name",
            name,
            "--team",
            team,
            "--owner",
            "alice",
            "--budget",
            "5.00/day",
        ];
        run(place, &arguments)
    };
    assert_eq!(create("ci", "platform").code, Some(0));
    for (name, team, said) in [
        ("ci", "platform", "a key `ci` exists already"),
        ("other", "platfrom", "did you mean `platform`?"),
    ] {
        let refused = create(name, team);
        assert_eq!(refused.code, Some(1), "{name} {team}");
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    assert_eq!(create("other", "design").code, Some(0));
    let teams = gateway.administer(&["teams", "list", "--json"]);
    assert!(!teams.contains("platfrom"), "{teams}");
    let budgets: Value =
        serde_json::from_str(&gateway.administer(&["budgets", "list", "--json"])).expect("JSON");
    let mut named: Vec<(&Value, &Value)> = budgets
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| (&line["name"], &line["owner"]))
        .collect();
    named.sort_by_key(|(name, _)| name.to_string());
    assert_eq!(
        named,
        [
            (&json!("ci"), &json!("alice")),
            (&json!("other"), &json!("alice"))
        ]
    );
    let table = gateway.administer(&["budgets", "list"]);
    assert!(table.contains("ci") && table.contains("alice"), "{table}");
    // A name is free again once its key is revoked.
    gateway.administer(&["keys", "revoke", "ci"]);
    assert_eq!(create("ci", "platform").code, Some(0));
}

#[tokio::test]
async fn usage_by_key_shows_names_and_owners() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (id, key) = gateway.new_key(&["--name", "ci", "--owner", "alice"]).await;
    let reply = ask_as(&gateway, &key, &responses_body("hi")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let usage = |format| gateway.administer(&["usage", "--by", "key", "--format", format]);
    let report: Value = serde_json::from_str(&usage("json")).expect("JSON");
    let row = &report["rows"][0];
    let named = (&row["key"], &row["key_name"], &row["key_owner"]);
    assert_eq!(
        named,
        (&json!(id), &json!("ci"), &json!("alice")),
        "{report}"
    );
    let table = usage("table");
    assert!(table.contains(&format!("ci (alice) [{id}]")), "{table}");
    let csv = usage("csv");
    assert!(csv.starts_with("key,key_name,key_owner,requests,"), "{csv}");
    assert!(csv.contains(&format!("{id},ci,alice,1,")), "{csv}");
}

#[tokio::test]
async fn the_admin_api_does_what_the_command_line_does() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let token = std::fs::read_to_string(gateway.data_dir().join("admin-token")).expect("a token");
    let token = token.trim();
    // Not the checking client: the answer that shows a key is the one place where one may stand.
    let client = gateway.client();
    let spec = json!({"name": "api", "team": "core", "models": ["gpt-5*"], "budgets": [{"amount": "5.00/day"}]});
    let without = client.post("/api/keys").json(&spec).send().await;
    assert_eq!(
        (without.status, without.error_code().as_str()),
        (403, "admin_required")
    );
    let form = client
        .post("/api/keys")
        .bearer(token)
        .body(spec.to_string())
        .send()
        .await;
    assert_eq!(
        (form.status, form.error_code().as_str()),
        (415, "unsupported_media_type")
    );
    let bad = client
        .post("/api/keys")
        .bearer(token)
        .json(&json!({"name": "x", "routes": ["y"]}))
        .send()
        .await;
    assert_eq!(
        (bad.status, bad.error_code().as_str()),
        (400, "invalid_request")
    );

    let made = client
        .post("/api/keys")
        .bearer(token)
        .json(&spec)
        .send()
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let (id, key) = (
        made["id"].as_str().expect("an id"),
        made["key"].as_str().expect("a key"),
    );
    let body = responses_body("hi");
    until(
        &gateway,
        || ask_as(&gateway, key, &body),
        |reply| reply.status == 200,
    )
    .await;
    let listed = client.get("/api/keys").bearer(token).send().await;
    assert_eq!(listed.json()["items"][0]["id"], json!(id));
    assert!(!listed.text().contains(key));
    let budgets = client.get("/api/budgets").bearer(token).send().await.json();
    assert_eq!(
        budgets["items"][0]["nanos"],
        json!(5_000_000_000_i64),
        "{budgets}"
    );

    let target = format!("/api/keys/{id}");
    let revoked = client.call("DELETE", &target).bearer(token).send().await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    until(
        &gateway,
        || ask_as(&gateway, key, &body),
        |reply| reply.status == 401,
    )
    .await;
    let again = client.call("DELETE", &target).bearer(token).send().await;
    assert_eq!(
        (again.status, again.error_code().as_str()),
        (404, "not_found")
    );
    let audit = client.get("/api/audit").bearer(token).send().await;
    let actions: Vec<Value> = audit.json()["items"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| record["action"].clone())
        .collect();
    assert_eq!(actions, [json!("key.revoke"), json!("key.create")]);
    assert!(!audit.text().contains(key));
}
