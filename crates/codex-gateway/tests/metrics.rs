//! The metrics that exist are the metrics that `docs/operations.md` lists, with type and labels,
//! and the dashboard shows each.

#[cfg(test)]
mod metrics {
    use std::collections::{BTreeMap, BTreeSet};

    use codex_gateway::metrics::Metrics;

    const PAGE: &str = include_str!("../../../docs/operations.md");
    const DASHBOARD: &str = include_str!("../../../deploy/grafana/codex-gateway.json");

    /// The rows `| \`name\` | type | labels | … |` of the page.
    fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
        PAGE.lines()
            .filter(|line| line.starts_with("| `codex_gateway_"))
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let words = |cell: &str| -> BTreeSet<String> {
                    cell.split('`')
                        .skip(1)
                        .step_by(2)
                        .map(str::to_owned)
                        .collect()
                };
                let name = words(cells[1]).pop_first().unwrap();
                (name, (cells[2].to_owned(), words(cells[3])))
            })
            .collect()
    }

    #[test]
    fn the_page_lists_every_metric_with_its_type_and_labels() {
        let declared = Metrics::DECLARED.iter().map(|row| {
            let labels = row.labels.iter().map(|label| (*label).to_owned());
            let name = format!("codex_gateway_{}", row.name);
            (name, (row.kind.to_owned(), labels.collect()))
        });
        assert_eq!(documented(), declared.collect());
    }

    #[test]
    fn the_dashboard_shows_every_metric() {
        let missing: Vec<_> = documented()
            .into_keys()
            .filter(|name| !DASHBOARD.contains(name.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
