//! The metrics that exist are the metrics that `docs/operations.md` lists, with type and labels,
//! and the dashboard shows each.

#[cfg(test)]
mod metrics {
    use std::collections::{BTreeMap, BTreeSet};

    use codex_gateway::metrics::Metrics;

    const PAGE: &str = include_str!("../../../docs/operations.md");
    const SOURCE: &str = include_str!("../src/metrics.rs");
    const DASHBOARD: &str = include_str!("../../../deploy/grafana/codex-gateway.json");

    /// Gives every metric one value, so that it is rendered. The number is that of the metrics,
    /// `build_info` included.
    fn touch(metrics: &Metrics) -> usize {
        macro_rules! touch {
            ($($metric:ident $labels:literal $change:ident($($amount:expr)?);)+) => {{
                $(metrics.$metric.with_label_values(&["x"; $labels]).$change($($amount)?);)+
                [$(stringify!($metric)),+].len()
            }};
        }
        let with_labels = touch! {
            requests 5 inc();
            request_duration 4 observe(1.0);
            time_to_first_token 4 observe(1.0);
            tokens 4 inc();
            cost_usd 4 inc();
            unpriced_requests 1 inc();
            unknown_requests 1 inc();
            model_decisions 2 inc();
            fallbacks 3 inc();
            upstream_failures 2 inc();
            upstream_attempts 1 inc();
            in_flight 1 inc();
            limit_rejections 1 inc();
            budget_remaining_usd 1 set(1.0);
            soft_budgets_reached 1 inc();
            plan_used_percent 1 set(1.0);
            translation_losses 1 inc();
            mended_streams 1 inc();
        };
        metrics.ledger_commit.observe(1.0);
        metrics.ledger_queue_depth.set(1);
        with_labels + 3
    }

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
        let metrics = Metrics::new().unwrap();
        let touched = touch(&metrics);
        let exposed = exposed(&metrics.render());
        assert_eq!(exposed.len(), touched);
        assert_eq!(documented(), exposed);
    }

    #[test]
    fn none_is_forgotten_here() {
        let fields = SOURCE
            .split_once("pub struct Metrics {")
            .and_then(|(_, rest)| rest.split_once("\n}"))
            .unwrap()
            .0
            .matches("pub ")
            .count();
        // `build_info` is set once and has no field.
        assert_eq!(fields + 1, touch(&Metrics::new().unwrap()));
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
