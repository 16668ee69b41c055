//! What Codex says about the work behind a request: the repository labels it, chooses rules and
//! counts against budgets; paths on the user's machine stay on it.

use gateway_tests::client::{Client, Reply};
use gateway_tests::gateway::{Config, Gateway, Start};
use gateway_tests::sample::{by_key, responses_body};
use gateway_tests::upstream::{ModelAnswer, Script, Upstream, Usage};
use serde_json::{Value, json};

const COMMIT: &str = "b9602482787b4e76328c47df8fd69e383667ce64";
const PATH: &str = "/home/somebody/secret-project";

/// The turn metadata of a subagent that works on a clone of this remote.
fn metadata(remote: &str) -> String {
    json!({
        "session_id": "session-1", "thread_id": "thread-2", "turn_id": "turn-2",
        "root_turn_id": "turn-1", "parent_thread_id": "thread-1", "thread_source": "subagent",
        "workspaces": {PATH: {
            "associated_remote_urls": {"origin": remote},
            "latest_git_commit_hash": COMMIT, "has_changes": true,
        }},
    })
    .to_string()
}

fn body(remote: &str) -> Value {
    let mut body = responses_body("hi");
    body["client_metadata"] = json!({"x-codex-turn-metadata": metadata(remote)});
    body
}

async fn ask(client: &Client, remote: &str) -> Reply {
    by_key(client)
        .header("x-codex-turn-metadata", &metadata(remote))
        .json(&body(remote))
        .send()
        .await
}

/// An answer of a million input tokens: with gpt-5.4, dollars.
fn dear() -> Script {
    let usage = Usage {
        input: 1_000_000,
        ..Usage::default()
    };
    Script::answer(ModelAnswer::text("hi").usage(usage))
}

#[tokio::test]
async fn a_request_is_recorded_for_its_repository_and_its_tree() {
    let (upstream, gateway) = gateway_tests::start(Script::answer(ModelAnswer::text("hi"))).await;
    let client = gateway.client();
    let reply = ask(&client, "https://me:hunter22@GitHub.com/acme/shop.git").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let entry = gateway.entry_of(&reply).await;
    for (field, expected) in [
        ("repo", "github.com/acme/shop"),
        ("commit", COMMIT),
        ("root_turn", "turn-1"),
        ("parent", "thread-1"),
        ("request_kind", "subagent"),
    ] {
        assert_eq!(entry[field], expected, "{field}");
    }
    ask(&client, "git@github.com:acme/shop").await;
    ask(&client, "/srv/git/local").await;
    let report = |arguments: &[&str]| -> Value {
        let mut all = vec!["usage", "--format", "json"];
        all.extend(arguments);
        serde_json::from_str(&gateway.administer(&all)).expect("JSON")
    };
    let by_repo = report(&["--by", "repo"]);
    let rows: Vec<_> = by_repo["rows"].as_array().expect("rows").iter().collect();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["repo"], &rows[0]["requests"]),
        (&Value::Null, &1.into())
    );
    assert_eq!(
        (&rows[1]["repo"], &rows[1]["requests"]),
        (&"github.com/acme/shop".into(), &2.into())
    );
    let tree = report(&[
        "--by",
        "root_turn",
        "--repo",
        "git@github.com:acme/shop.git",
    ]);
    assert_eq!(tree["rows"][0]["root_turn"], "turn-1");
    assert_eq!(tree["total"]["requests"], 2);
    let line = gateway.administer(&[
        "usage",
        "--repo",
        "github.com/acme/shop",
        "--branch-summary",
    ]);
    assert!(
        line.starts_with("Codex on github.com/acme/shop: $"),
        "{line}"
    );
    assert!(line.contains("1 session, 2 requests"), "{line}");
    // Its own service may know where the work lies: nothing was changed.
    let sent = upstream.model_requests();
    assert!(String::from_utf8_lossy(sent[0].body()).contains(PATH));
    // The gateway keeps neither the path nor what stood in the address.
    let kept = format!("{}{}", entry, gateway.output());
    assert!(!kept.contains(PATH) && !kept.contains("hunter22"), "{kept}");
}

#[tokio::test]
async fn another_party_learns_no_local_path() {
    let upstream = Upstream::with(Script::answer(ModelAnswer::text("hi"))).await;
    let gateway = Gateway::of_a_team(&upstream, "").await;
    let (_, key) = gateway.new_key(&["--name", "person"]).await;
    let remote = "https://github.com/acme/shop";
    let call = gateway.client().post("/v1/responses").bearer(&key);
    let call = call.header("x-codex-turn-metadata", &metadata(remote));
    assert_eq!(call.json(&body(remote)).send().await.status, 200);
    let sent = upstream.model_requests().remove(0);
    let text = String::from_utf8_lossy(sent.body()).into_owned();
    assert!(!text.contains("secret-project"), "{text}");
    assert_eq!(sent.header("x-codex-turn-metadata"), None);
    // All else is as it came.
    let mut expected = body("");
    let cut = sent.json()["client_metadata"]["x-codex-turn-metadata"].clone();
    expected["client_metadata"]["x-codex-turn-metadata"] = cut.clone();
    assert_eq!(sent.json(), expected);
    let cut: Value = serde_json::from_str(cut.as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&cut["root_turn_id"], &cut["workspaces"]),
        (&"turn-1".into(), &Value::Null)
    );
}

#[tokio::test]
async fn a_rule_looks_at_the_repository_and_a_digest_hides_its_name() {
    let upstream = Upstream::with(Script::answer(ModelAnswer::text("hi"))).await;
    let tables = "[storage]\nrepositories = \"digest\"\n\n[[rules]]\nname = \"shop\"\n\
                  when = { repo = \"acme/*\" }\nthen = { rewrite = \"gpt-5.4-mini\" }\n";
    let gateway = Gateway::start(&Config::to(&upstream).rest(tables)).await;
    let client = gateway.client();
    let reply = ask(&client, "git@github.com:acme/shop.git").await;
    assert_eq!(reply.header("x-gateway-rule"), Some("shop"));
    let other = ask(&client, "git@github.com:other/shop.git").await;
    assert_eq!(other.header("x-gateway-rule"), None);
    let digest = gateway.entry_of(&reply).await["repo"].clone();
    assert_eq!(digest.as_str().map(str::len), Some(16));
    assert_ne!(gateway.entry_of(&other).await["repo"], digest);
    let asked = [
        "explain", "--route", "api_key", "--model", "gpt-5.5", "--repo",
    ];
    for (repo, is_meant) in [("github.com/acme/shop", true), ("github.com/a/b", false)] {
        let told = gateway.administer(&[&asked[..], &[repo]].concat());
        assert_eq!(told.contains("shop"), is_meant, "{told}");
    }
}

#[tokio::test]
async fn a_budget_of_a_repository_stops_that_repository_alone() {
    let upstream = Upstream::with(dear()).await;
    let gateway = Gateway::start_with(Start {
        config: Some(Config::to(&upstream).text()),
        ..Start::default()
    })
    .await;
    let set = [
        "budgets",
        "set",
        "--repo",
        "https://github.com/acme/shop.git",
        "0.50/day",
    ];
    gateway.administer(&set);
    let client = gateway.client();
    let shop = "git@github.com:acme/shop.git";
    let other = "git@github.com:acme/other.git";
    gateway_tests::wait::eventually("the budget to be known and spent", async || {
        let reply = ask(&client, shop).await;
        reply.status == 429 && reply.error_code() == "usage_limit_reached"
    })
    .await;
    let refused = ask(&client, shop).await;
    assert!(
        refused.text().contains("repository `github.com/acme/shop`"),
        "{}",
        refused.text()
    );
    assert_eq!(ask(&client, other).await.status, 200);
    let listed = gateway.administer(&["budgets", "list"]);
    assert!(listed.contains("repo:github.com/acme/shop"), "{listed}");
    gateway.administer(&["budgets", "delete", "--repo", "github.com/acme/shop", "day"]);
    gateway_tests::wait::eventually("the budget to be gone", async || {
        ask(&client, shop).await.status == 200
    })
    .await;
    let wrong = gateway_tests::gateway::run(
        gateway.data_dir().parent().expect("a place"),
        &["budgets", "set", "--repo", "/home/me/shop", "1/day"],
    );
    assert!(
        wrong.stderr.contains("is not a repository"),
        "{}",
        wrong.stderr
    );
}
