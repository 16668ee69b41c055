//! What a person reads, as snapshots.

use super::*;
use crate::testing::{DAY, configured};

#[test]
fn the_catalogue_is_a_table() {
    let (settings, _) = configured("");
    insta::assert_snapshot!(text(&models(&settings, None, DAY), None));
}

#[test]
fn one_route_says_what_becomes_of_each_model() {
    let (settings, _) = configured(
        r#"
[[rules]]
name = "mini is enough"
when = { model = "gpt-5.5" }
then = { rewrite = "gpt-5.4-mini" }
"#,
    );
    let route = Some(AuthRoute::ApiKey);
    insta::assert_snapshot!(text(&models(&settings, route, DAY), route));
}

#[test]
fn json_keeps_every_statement() {
    let (settings, _) = configured("");
    let report = serde_json::to_value(models(&settings, None, DAY)).unwrap();
    let spark = report["models"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["model"] == "gpt-5.3-codex-spark")
        .unwrap();
    assert_eq!(spark["routes"]["chatgpt"]["access"], "served");
    assert_eq!(spark["routes"]["api_key"]["access"], "rejected");
    assert!(spark["card"]["about"].as_array().unwrap().len() > 1);
    assert!(spark["card"]["about"][0]["source"].is_string());
    assert!(report["sources"].as_array().unwrap().len() > 3);
}
