//! What was spent on what, over time, beside the period before.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use gateway_ledger::{Filters, GroupBy, Ledger, UsageQuery, UsageReport, UsageRow, UsageSums};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::GatewayError;
use crate::http::admin::filters::{FilteredQuery, Narrowed};
use crate::http::pages::chart::{Chart, MOST_SERIES, Series, Unit};
use crate::http::pages::exchanges::encoded;
use crate::http::pages::format::{count, grouped, hit_share, money, tokens};
use crate::http::pages::layout::{empty, table, tile, tiles};
use crate::http::pages::page::{Asked, Failed, Page, Sources, download};
use crate::reports::usage_csv::csv as as_csv;

/// What charts can be stacked by.
const STACKED_BY: [GroupBy; 7] = [
    GroupBy::Model,
    GroupBy::Repo,
    GroupBy::Key,
    GroupBy::Team,
    GroupBy::Route,
    GroupBy::Upstream,
    GroupBy::Kind,
];
/// The ranges that are a click away.
const RANGES: [&str; 4] = ["24h", "7d", "30d", "90d"];
const DEFAULT_RANGE: &str = "7d";
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Up to this long, bars are hours; above, days.
const HOURLY: SignedDuration = SignedDuration::from_hours(49);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    by: Option<String>,
}

/// What a page of usage is asked.
struct Asking {
    by: GroupBy,
    since: Timestamp,
    until: Timestamp,
    filters: Filters,
    zone: TimeZone,
    /// The parameters as given, without `by`.
    given: Vec<(String, String)>,
}

impl Asking {
    fn read(sources: &Sources, query: FilteredQuery<By>) -> Self {
        let FilteredQuery {
            params,
            narrowed,
            given,
        } = query;
        let config = sources.config.load_full();
        let zone = config.settings.storage.time_zone.clone();
        let Narrowed {
            since,
            until,
            filters,
        } = narrowed;
        let until = until.unwrap_or_else(|| sources.clock.now());
        let since = since.or_else(|| until.checked_sub(DEFAULT_SPAN).ok());
        let by = params.by.as_deref().and_then(GroupBy::parse);
        Self {
            by: by
                .filter(|by| STACKED_BY.contains(by))
                .unwrap_or(GroupBy::Model),
            since: since.unwrap_or(until).min(until),
            until,
            filters,
            zone,
            given,
        }
    }

    fn query(&self, by: Vec<GroupBy>, since: Timestamp, until: Timestamp) -> UsageQuery {
        UsageQuery {
            by,
            since: Some(since),
            until: Some(until),
            filters: self.filters.clone(),
        }
    }

    fn span(&self) -> SignedDuration {
        self.until.duration_since(self.since)
    }

    /// This page with another value of one parameter.
    fn link(&self, name: &str, value: &str) -> String {
        let by = ("by".to_owned(), self.by.as_str().to_owned());
        let mut pairs: BTreeMap<String, String> = self.given.iter().cloned().chain([by]).collect();
        pairs.insert(name.to_owned(), value.to_owned());
        let pairs = pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

pub(super) async fn page(
    State(sources): State<Sources>,
    query: Result<FilteredQuery<By>, GatewayError>,
) -> Result<Page, Failed> {
    let asked = Asking::read(&sources, query?);
    let ledger = &sources.ledger;
    let report = ledger
        .usage(&asked.query(vec![asked.by], asked.since, asked.until))
        .await?;
    let earlier = asked.since.checked_sub(asked.span()).unwrap_or(asked.since);
    let before = ledger
        .usage(&asked.query(Vec::new(), earlier, asked.since))
        .await?
        .total;
    let over_time = over_time(ledger, &asked).await?;
    let content = html! {
        (pills(&asked))
        (figures(&report.total, &before))
        @if report.total.requests == 0 {
            (empty("Nothing was used in this time.", &html! {
                "Choose a longer one above, or send a request through the gateway."
            }))
        } @else {
            @for chart in over_time.charts(asked.by) { (chart.render()) }
            (breakdown(&asked, &report))
            @let rest = asked.link("by", asked.by.as_str());
            p {
                a.button href={ "/dashboard/usage.csv?" (rest) } { "CSV" } " "
                a.button href={ "/api/usage?" (api_link(&asked)) } { "JSON" }
            }
        }
    };
    Ok(Page {
        title: "Usage".to_owned(),
        place: "/dashboard/usage",
        content,
    })
}

/// The sums of the page as a file.
pub(super) async fn csv(
    State(sources): State<Sources>,
    query: Result<FilteredQuery<By>, GatewayError>,
) -> Result<Response, Failed> {
    let asked = Asking::read(&sources, query?);
    let query = asked.query(vec![asked.by], asked.since, asked.until);
    let report = sources.ledger.usage(&query).await?;
    let name = "attachment; filename=\"usage.csv\"";
    Ok(download(
        "text/csv; charset=utf-8",
        name,
        as_csv(&[asked.by], &report) + "\r\n",
    ))
}

/// What the admin API is asked for the same figures.
fn api_link(asked: &Asking) -> String {
    let mut link = asked.link("by", asked.by.as_str());
    if !asked
        .given
        .iter()
        .any(|(name, _)| matches!(name.as_str(), "since" | "day"))
    {
        link.push_str("&since=");
        link.push_str(DEFAULT_RANGE);
    }
    link
}

fn pills(asked: &Asking) -> Markup {
    let since = asked.given.iter().find(|(name, _)| name == "since");
    let since = since.map_or(DEFAULT_RANGE, |(_, value)| value);
    let own = ["since", "until"];
    let only: Vec<_> = asked
        .given
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    html! {
        ul.pills {
            li.name { "Last" }
            @for range in RANGES {
                li {
                    a href={ "?" (asked.link("since", range)) }
                        aria-current=[(range == since).then_some("true")] { (range) }
                }
            }
        }
        ul.pills {
            li.name { "By" }
            @for by in STACKED_BY {
                li {
                    a href={ "?" (asked.link("by", by.as_str())) }
                        aria-current=[(by == asked.by).then_some("true")] { (title(by)) }
                }
            }
        }
        @if !only.is_empty() {
            p { "Only: " @for (name, value) in only { code { (name) "=" (value) } " " }
                a href="/dashboard/usage" { "all" } }
        }
    }
}

fn title(by: GroupBy) -> &'static str {
    if by == GroupBy::Repo {
        "repository"
    } else if by == GroupBy::Key {
        "gateway key"
    } else if by == GroupBy::Route {
        "sign-in"
    } else {
        by.as_str()
    }
}

fn figures(total: &UsageSums, before: &UsageSums) -> Markup {
    let change = |now: i64, then: i64| change(now, then);
    tiles(&[
        tile(
            "On an API bill",
            &money(total.cost_nanos_metered),
            &change(total.cost_nanos_metered, before.cost_nanos_metered),
        ),
        tile(
            "Plan use at API prices",
            &money(total.cost_nanos_plan),
            &change(total.cost_nanos_plan, before.cost_nanos_plan),
        ),
        tile(
            "Requests",
            &tokens(total.requests),
            &change(total.requests, before.requests),
        ),
        tile(
            "Input tokens",
            &tokens(total.input_tokens),
            &html! { (hit_share(total)) " from the cache" },
        ),
        tile(
            "Output tokens",
            &tokens(total.output_tokens),
            &html! { (count(total.reasoning_tokens)) " of them reasoning" },
        ),
        tile(
            "Without a cost",
            &tokens(
                total
                    .unpriced_requests
                    .saturating_add(total.unknown_requests),
            ),
            &html! { (total.unpriced_requests) " unpriced, " (total.unknown_requests) " unknown" },
        ),
    ])
}

/// How a figure compares with the period before.
fn change(now: i64, then: i64) -> Markup {
    if then == 0 {
        return html! { @if now != 0 { "nothing in the period before" } };
    }
    let (now, then) = (i128::from(now), i128::from(then));
    let percent = (now - then) * 100 / then;
    html! {
        @match percent {
            0 => "like the period before",
            1.. => { "+" (percent) "% on the period before" },
            _ => { "−" (percent.abs()) "% on the period before" },
        }
    }
}

/// The sums of each bar and group.
struct OverTime {
    bars: Vec<String>,
    sums: BTreeMap<String, BTreeMap<usize, UsageSums>>,
}

async fn over_time(ledger: &Ledger, asked: &Asking) -> Asked<OverTime> {
    if asked.span() <= HOURLY {
        return hourly(ledger, asked).await;
    }
    let mut over_time = OverTime {
        bars: Vec::new(),
        sums: BTreeMap::new(),
    };
    let mut places = BTreeMap::new();
    let mut day = asked.since.to_zoned(asked.zone.clone()).date();
    let last = asked.until.to_zoned(asked.zone.clone()).date();
    while day <= last {
        places.insert(day.to_string(), over_time.bars.len());
        over_time.bars.push(day.strftime("%b %-d").to_string());
        let Ok(next) = day.tomorrow() else { break };
        day = next;
    }
    let query = asked.query(vec![GroupBy::Day, asked.by], asked.since, asked.until);
    for row in ledger.usage(&query).await?.rows {
        let day = row.keys.first().and_then(|(_, day)| day.as_ref());
        if let Some(bar) = day.and_then(|day| places.get(day)) {
            over_time.add(name(&row, asked.by), *bar, row.sums);
        }
    }
    Ok(over_time)
}

async fn hourly(ledger: &Ledger, asked: &Asking) -> Asked<OverTime> {
    let mut over_time = OverTime {
        bars: Vec::new(),
        sums: BTreeMap::new(),
    };
    let hour = SignedDuration::from_hours(1);
    let mut start = asked.since;
    while start < asked.until {
        // Whole hours are answered from sums; the first and the last may be shorter.
        let seconds = start.as_second().div_euclid(3600) * 3600;
        let begun = Timestamp::from_second(seconds).unwrap_or(start);
        let Ok(end) = begun.checked_add(hour) else {
            break;
        };
        let end = end.min(asked.until);
        let bar = over_time.bars.len();
        over_time.bars.push(
            begun
                .to_zoned(asked.zone.clone())
                .strftime("%H:%M")
                .to_string(),
        );
        for row in ledger
            .usage(&asked.query(vec![asked.by], start, end))
            .await?
            .rows
        {
            over_time.add(name(&row, asked.by), bar, row.sums);
        }
        start = end;
    }
    Ok(over_time)
}

impl OverTime {
    fn add(&mut self, name: String, bar: usize, sums: UsageSums) {
        self.sums.entry(name).or_default().insert(bar, sums);
    }

    /// The groups in one order for all charts of the page, so that a group has one colour: the
    /// dearest first, then by tokens. What does not get a colour is one group.
    fn in_order(mut self) -> Vec<(String, BTreeMap<usize, UsageSums>)> {
        let weight = |bars: &BTreeMap<usize, UsageSums>| {
            let sum = |read: fn(&UsageSums) -> i64| bars.values().map(read).sum::<i64>();
            let cost = sum(|it| it.cost_nanos_metered).max(sum(|it| it.cost_nanos_plan));
            (cost, sum(|it| it.input_tokens))
        };
        let mut groups: Vec<_> = std::mem::take(&mut self.sums).into_iter().collect();
        groups.sort_by_key(|(_, bars)| std::cmp::Reverse(weight(bars)));
        if groups.len() > MOST_SERIES {
            let rest = groups.split_off(MOST_SERIES - 1);
            let name = format!("other ({})", rest.len());
            let mut all: BTreeMap<usize, UsageSums> = BTreeMap::new();
            for (bar, sums) in rest.into_iter().flat_map(|(_, bars)| bars) {
                all.entry(bar).or_default().add(&sums);
            }
            groups.push((name, all));
        }
        groups
    }

    /// Metered money and that of plans are never in one picture.
    fn charts(self, by: GroupBy) -> Vec<Chart> {
        let by = title(by);
        let bars = self.bars.clone();
        let groups = self.in_order();
        let chart = |title: String, unit, read: fn(&UsageSums) -> i64| {
            let series = groups
                .iter()
                .enumerate()
                .map(|(colour, (name, sums))| Series {
                    name: name.clone(),
                    colour,
                    values: (0..bars.len())
                        .map(|bar| sums.get(&bar).map_or(0, read))
                        .collect(),
                });
            let (bars, series) = (bars.clone(), series.collect());
            Chart {
                title,
                unit,
                bars,
                series,
            }
            .of_filled()
        };
        vec![
            chart(format!("USD on an API bill, by {by}"), Unit::Money, |it| {
                it.cost_nanos_metered
            }),
            chart(
                format!("Plan use at API prices in USD, by {by}"),
                Unit::Money,
                |it| it.cost_nanos_plan,
            ),
            chart(format!("Tokens in and out, by {by}"), Unit::Count, |it| {
                it.input_tokens.saturating_add(it.output_tokens)
            }),
        ]
    }
}

/// What a group is called.
fn name(row: &UsageRow, by: GroupBy) -> String {
    let value = row
        .keys
        .iter()
        .find(|(of, _)| *of == by)
        .and_then(|(_, value)| value.clone());
    let value = value.unwrap_or_else(|| "(none)".to_owned());
    row.key_name.clone().unwrap_or(value)
}

fn breakdown(asked: &Asking, report: &UsageReport) -> Markup {
    let mut rows: Vec<&UsageRow> = report.rows.iter().collect();
    rows.sort_by_key(|row| {
        let sums = &row.sums;
        std::cmp::Reverse((sums.cost_nanos_metered, sums.cost_nanos_plan, sums.requests))
    });
    let cells: Vec<Vec<Markup>> = rows.iter().map(|row| line(asked, row)).collect();
    let heads = [
        title(asked.by),
        "#Requests",
        "#Input",
        "#Cached",
        "#Output",
        "#API bill",
        "#Plan at API prices",
    ];
    table("The same figures as a table", &heads, &cells)
}

fn line(asked: &Asking, row: &UsageRow) -> Vec<Markup> {
    let sums = &row.sums;
    let value = row.keys.first().and_then(|(_, value)| value.as_deref());
    let called = name(row, asked.by);
    vec![
        html! {
            @match value {
                Some(value) => a href={ "?" (asked.link(asked.by.as_str(), value)) } { (called) },
                None => span.muted { (called) },
            }
            @if let Some(owner) = &row.key_owner { " " span.muted { (owner) } }
        },
        html! { (grouped(sums.requests)) },
        tokens(sums.input_tokens),
        html! { (hit_share(sums)) },
        tokens(sums.output_tokens),
        money(sums.cost_nanos_metered),
        money(sums.cost_nanos_plan),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_one_colour_in_all_charts_and_small_groups_are_summed_up() {
        let mut over_time = OverTime {
            bars: vec!["Nov 27".to_owned()],
            sums: BTreeMap::new(),
        };
        for size in 1..=8 {
            let sums = UsageSums {
                cost_nanos_metered: size,
                input_tokens: 100 - size,
                ..UsageSums::default()
            };
            over_time.add(format!("m{size}"), 0, sums);
        }
        let charts = over_time.charts(GroupBy::Model);
        let of = |chart: &Chart| -> Vec<(String, usize, i64)> {
            let series = chart.series.iter();
            series
                .map(|it| (it.name.clone(), it.colour, it.values[0]))
                .collect()
        };
        let expected = |figures: [i64; 6]| -> Vec<(String, usize, i64)> {
            let names = ["m8", "m7", "m6", "m5", "m4", "other (3)"];
            let all = names.iter().zip(figures).enumerate();
            all.map(|(colour, (name, figure))| ((*name).to_owned(), colour, figure))
                .collect()
        };
        assert_eq!(of(&charts[0]), expected([8, 7, 6, 5, 4, 6]));
        assert!(charts[1].series.is_empty());
        assert_eq!(of(&charts[2]), expected([92, 93, 94, 95, 96, 294]));
    }
}
