//! Cost by repository with the real Codex in a git repository, with nothing set up for it.

use crate::direct::{PROMPT, assert_whole_turn};
use gateway_tests::codex::{CURRENT, Codex, SetUp};
use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::API_KEY;
use gateway_tests::upstream::Upstream;
use serde_json::Value;

#[tokio::test]
async fn a_turn_in_a_repository_is_recorded_for_it_without_its_path() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&Config::to(&upstream)).await;
    let codex = Codex::new(CURRENT);
    let set_up = SetUp::env_key(API_KEY).clone_of("git@github.com:acme/shop.git");
    assert_whole_turn(&codex.turn(&set_up, &gateway.base_url(), PROMPT).await);
    let served = upstream.model_requests().len();
    let report = gateway.administer(&["usage", "--by", "repo,root_turn", "--format", "json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 1, "{report}");
    assert_eq!(rows[0]["repo"], "github.com/acme/shop");
    assert!(rows[0]["root_turn"].is_string(), "{report}");
    assert_eq!(rows[0]["requests"], served);
    let entries = gateway.entries().await;
    for entry in &entries {
        let commit = entry["commit"].as_str().expect("a commit");
        assert_eq!(commit.len(), 40, "{entry}");
        let work = codex.work();
        assert!(
            !entry.to_string().contains(&*work.to_string_lossy()),
            "{entry}"
        );
    }
}
