use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Name → (type, labels), read from the exposition text.
fn exposed(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let sample = text
            .lines()
            .find(|line| line.starts_with(name) && !line.starts_with('#'))
            .unwrap();
        let labels = sample
            .split_once('{')
            .map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let labels = labels
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(label, _)| label.to_owned())
            .filter(|label| label != "le")
            .collect();
        found.insert(name.to_owned(), (kind.to_owned(), labels));
    }
    found
}

#[test]
fn what_is_rendered_is_what_is_declared() {
    let metrics = Metrics::new().unwrap();
    metrics.start_all("x");
    let declared = Metrics::DECLARED.iter().map(|row| {
        let labels = row.labels.iter().map(|label| (*label).to_owned());
        let name = format!("{PREFIX}_{}", row.name);
        (name, (row.kind.to_owned(), labels.collect()))
    });
    let mut exposed = exposed(&metrics.render());
    // The names of the process are Prometheus's own.
    exposed.retain(|name, _| !name.starts_with("process_"));
    assert_eq!(exposed, declared.collect());
}

#[test]
fn refusals_by_a_limit_are_there_before_the_first() {
    let text = Metrics::new().unwrap().render();
    for series in [
        r#"codex_gateway_limit_rejections_total{kind="budget"} 0"#,
        r#"codex_gateway_limit_rejections_total{kind="max_concurrent"} 0"#,
        r#"codex_gateway_soft_budgets_reached_total{scope="team"} 0"#,
    ] {
        assert!(text.contains(series), "{text}");
    }
}
