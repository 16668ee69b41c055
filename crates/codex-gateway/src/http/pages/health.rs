//! Whether the gateway itself is well: the store, the upstreams, prices that are missing.

use axum::extract::State;
use gateway_ledger::{Filters, GroupBy, Outcome, UsageQuery, UsageReport};
use jiff::SignedDuration;
use maud::{Markup, html};

use crate::http::pages::exchanges::encoded;
use crate::http::pages::format::{grouped, share};
use crate::http::pages::layout::{badge, empty, table, tile, tiles};
use crate::http::pages::page::{Asked, Failed, Page, Sources};

/// Share of failures, in percent, from which an upstream is said to be unwell.
const UNWELL: i64 = 20;
/// Fewer requests than this say nothing about an upstream.
const ENOUGH: i64 = 5;

pub(super) async fn page(State(sources): State<Sources>) -> Result<Page, Failed> {
    let health = sources.ledger.health();
    let config = sources.config.load_full();
    let day = upstreams(&sources, SignedDuration::from_hours(24)).await?;
    let unpriced = unpriced(&sources).await?;
    let storage = &config.settings.storage;
    let store = if storage.url.starts_with("postgres") {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let content = html! {
        (wrong(&sources).await?)
        (tiles(&[
            tile("Store", &badge(if health.ok { "good" } else { "bad" }, if health.ok { "answers" } else { "down" }),
                &html! { (store) ", " (format!("{:?}", storage.durability).to_lowercase()) }),
            tile("Entries that wait", &html! { (health.queue_depth) }, &html! { "for the writer" }),
            tile("In the spool", &html! { (health.spool_depth) }, &html! { "until the store recovers" }),
            tile("Version", &html! { (env!("CARGO_PKG_VERSION")) }, &html! { "codex-gateway" }),
        ]))
        (upstream_table(&day))
        @if !unpriced.is_empty() {
            (table("Models without a price, last 7 days", &["Model", "#Requests"], &unpriced))
            p.muted { "Add a row to the file in " code { "[prices]" } ", then " code { "codex-gateway reprice --apply" } "." }
        }
        div.card {
            dl.facts {
                dt { "Configuration" } dd { code { (config.places.path()) } }
                dt { "Price table" } dd { (config.settings.prices.table.version()) }
                dt { "Metrics" } dd { a href="/metrics" { "/metrics" } }
                dt { "Admin API" } dd { a href="/api/openapi.json" { "/api/openapi.json" } }
            }
        }
    };
    Ok(Page {
        title: "Health".to_owned(),
        place: "/dashboard/health",
        content,
    })
}

/// One upstream: requests, and how many of them went wrong.
struct UpstreamLine {
    name: String,
    requests: i64,
    failed: i64,
    truncated: i64,
}

impl UpstreamLine {
    const fn bad(&self) -> i64 {
        self.failed.saturating_add(self.truncated)
    }

    const fn is_unwell(&self) -> bool {
        self.requests >= ENOUGH && self.bad() * 100 >= self.requests * UNWELL
    }
}

async fn upstreams(sources: &Sources, span: SignedDuration) -> Asked<Vec<UpstreamLine>> {
    let since = sources.clock.now().checked_sub(span).ok();
    let by_upstream = async |outcome: Option<Outcome>| {
        let query = UsageQuery {
            by: vec![GroupBy::Upstream],
            since,
            until: None,
            filters: Filters {
                outcome: outcome.map(|outcome| outcome.as_str().to_owned()),
                ..Filters::default()
            },
        };
        sources.ledger.usage(&query).await
    };
    let all = by_upstream(None).await?;
    let failed = by_upstream(Some(Outcome::Failed)).await?;
    let truncated = by_upstream(Some(Outcome::UpstreamTruncated)).await?;
    let names = all
        .rows
        .iter()
        .filter_map(|row| row.keys.first()?.1.clone());
    Ok(names
        .map(|name| UpstreamLine {
            requests: requests(&all, &name),
            failed: requests(&failed, &name),
            truncated: requests(&truncated, &name),
            name,
        })
        .collect())
}

fn requests(report: &UsageReport, name: &str) -> i64 {
    let row = report.rows.iter().find(|row| {
        row.keys
            .first()
            .is_some_and(|(_, upstream)| upstream.as_deref() == Some(name))
    });
    row.map_or(0, |row| row.sums.requests)
}

async fn unpriced(sources: &Sources) -> Asked<Vec<Vec<Markup>>> {
    let query = UsageQuery {
        by: vec![GroupBy::Model],
        since: sources
            .clock
            .now()
            .checked_sub(SignedDuration::from_hours(7 * 24))
            .ok(),
        ..UsageQuery::default()
    };
    let rows = sources.ledger.usage(&query).await?.rows;
    let without = rows.iter().filter(|row| row.sums.unpriced_requests > 0);
    Ok(without
        .map(|row| {
            let model = row.keys.first().and_then(|(_, model)| model.as_deref());
            vec![
                html! { (model.unwrap_or("(none)")) },
                html! { (grouped(row.sums.unpriced_requests)) },
            ]
        })
        .collect())
}

fn upstream_table(lines: &[UpstreamLine]) -> Markup {
    if lines.is_empty() {
        return empty(
            "No upstream was asked in the last 24 hours.",
            &html! {
                "What they answer is summed up here."
            },
        );
    }
    let rows: Vec<Vec<Markup>> = lines
        .iter()
        .map(|line| {
            let (class, word) = if line.is_unwell() { ("bad", "unwell") } else { ("good", "well") };
            let of = encoded(&line.name);
            vec![
                html! { (line.name) },
                badge(class, word),
                html! { (grouped(line.requests)) },
                html! { a href={ "/dashboard/exchanges?outcome=failed&upstream=" (of) } { (grouped(line.failed)) } },
                html! { (grouped(line.truncated)) },
                html! { (share(line.bad(), line.requests)) },
            ]
        })
        .collect();
    table(
        "Upstreams, last 24 hours",
        &[
            "Upstream",
            "State",
            "#Requests",
            "#Failed",
            "#Truncated",
            "#Went wrong",
        ],
        &rows,
    )
}

/// What is wrong now, or that nothing is.
pub(super) async fn wrong(sources: &Sources) -> Asked<Markup> {
    let health = sources.ledger.health();
    let mut problems = Vec::new();
    if !health.ok {
        problems.push("The store does not answer: new requests are refused.".to_owned());
    }
    if health.spool_depth > 0 {
        problems.push(format!(
            "{} entries wait in the spool for the store.",
            health.spool_depth
        ));
    }
    let lines = upstreams(sources, SignedDuration::from_mins(30)).await?;
    for line in lines.iter().filter(|line| line.is_unwell()) {
        problems.push(format!(
            "Upstream {}: {} of {} requests went wrong in the last 30 minutes.",
            line.name,
            line.bad(),
            line.requests
        ));
    }
    Ok(html! {
        ul.wrong {
            @for problem in &problems { li { (problem) } }
            @if problems.is_empty() { li.fine { "Nothing is wrong." } }
        }
    })
}
