//! The windows of ChatGPT plans: how much is used, at what pace, and what a percent of one buys.

use axum::extract::State;
use gateway_ledger::{Filters, GroupBy, UsageQuery, UsageReport};
use gateway_policy::Billing;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use crate::http::pages::format::{count, duration, moment, money};
use crate::http::pages::layout::{empty, meter, table};
use crate::http::pages::page::{Asked, Failed, Page, Sources};
use crate::plan_limits::{AccountLine, LimitWindow};

pub(super) async fn page(State(sources): State<Sources>) -> Result<Page, Failed> {
    let stored = sources.ledger.account_limits().await?;
    let report = sources.plan_limits.report(&stored);
    let now = sources.clock.now();
    let mut accounts = Vec::new();
    for account in &report.accounts {
        accounts.push(shown(&sources, account, now).await?);
    }
    let content = html! {
        @if accounts.is_empty() {
            (empty("No plan has been seen yet.", &html! {
                "Answers to a ChatGPT sign-in say how much of its plan is used. Use Codex through this
                 gateway with such a sign-in, and the windows appear here."
            }))
        }
        @if accounts.len() > 1 {
            p.warn {
                "The ledger does not keep whose plan a request used, so what a percent buys is
                 worked out of all accounts together."
            }
        }
        @for account in accounts { (account) }
    };
    Ok(Page {
        title: "Plan".to_owned(),
        place: "/dashboard/plan",
        content,
    })
}

async fn shown(sources: &Sources, account: &AccountLine, now: Timestamp) -> Asked<Markup> {
    let mut windows = Vec::new();
    for limit in &account.plan.limits {
        for window in &limit.windows {
            let used = match begun(window, now) {
                Some(begun) => Some(used_since(sources, begun).await?),
                None => None,
            };
            let name = limit.label.as_deref().unwrap_or(&limit.name);
            windows.push(card(name, window, used.as_ref(), now));
        }
    }
    Ok(html! {
        h2 {
            @match &account.plan.plan { Some(plan) => { "Plan " (plan) }, None => "A plan" }
            " " span.muted.mono { (account.account) }
        }
        p.muted { "As of " (moment(account.observed_at)) }
        @if let Some(credits) = &account.plan.credits {
            @if credits.unlimited { p { "Credits: unlimited" } }
            @else if let Some(balance) = &credits.balance { p { "Credits: " (balance) } }
        }
        div.two { @for window in windows { (window) } }
    })
}

/// When the present window began.
fn begun(window: &LimitWindow, now: Timestamp) -> Option<Timestamp> {
    let ends = Timestamp::from_second(window.resets_at?).ok()?;
    let minutes = i64::try_from(window.window_minutes?).ok()?;
    let begun = ends.checked_sub(SignedDuration::from_mins(minutes)).ok()?;
    (ends > now && begun <= now).then_some(begun)
}

async fn used_since(sources: &Sources, since: Timestamp) -> Asked<UsageReport> {
    let query = UsageQuery {
        by: vec![GroupBy::Model],
        since: Some(since),
        until: None,
        filters: Filters {
            billing: Some(Billing::Plan.as_str().to_owned()),
            ..Filters::default()
        },
    };
    sources.ledger.usage(&query).await
}

/// When a window will be used up at the pace since it began; `None`: not before it ends.
fn runs_out(window: &LimitWindow, now: Timestamp) -> Option<Timestamp> {
    let begun = begun(window, now)?;
    let ends = Timestamp::from_second(window.resets_at?).ok()?;
    let passed = now.duration_since(begun).as_secs_f64();
    if window.used_percent <= 0.0 || passed <= 0.0 {
        return None;
    }
    let needed = passed * 100.0 / window.used_percent;
    let needed = SignedDuration::try_from_secs_f64(needed).ok()?;
    let at = begun.checked_add(needed).ok()?;
    (at < ends).then_some(at)
}

fn card(name: &str, window: &LimitWindow, used: Option<&UsageReport>, now: Timestamp) -> Markup {
    let length = window.window_minutes.map(|minutes| match minutes {
        0..1440 => format!("{} hours", minutes.div_ceil(60)),
        _ => format!("{} days", minutes.div_ceil(1440)),
    });
    let label = format!("{:.0}% used", window.used_percent);
    let resets = window
        .resets_at
        .and_then(|at| Timestamp::from_second(at).ok());
    let is_over = resets.is_some_and(|at| at <= now);
    html! {
        div.card {
            strong { (name) " · " (length.as_deref().unwrap_or(&window.window)) }
            p { (label) @if is_over { ", before the window began again" } }
            (meter(if is_over { 0.0 } else { window.used_percent }, &label))
            @if let Some(at) = resets.filter(|_| !is_over) {
                @let left = now.duration_until(at).as_millis();
                p.muted {
                    "Begins again " (moment(at)) ", in "
                    (duration(u64::try_from(left).unwrap_or(0)))
                }
                @match runs_out(window, now) {
                    Some(at) => p.warn { "At this pace it is used up " (moment(at)) },
                    None => p.muted { "At this pace it lasts." },
                }
            }
            @if let Some(report) = used.filter(|it| it.total.requests > 0 && window.used_percent > 0.0) {
                (per_percent(report, window.used_percent))
            }
        }
    }
}

/// What a percent of a window bought, by model.
fn per_percent(report: &UsageReport, percent: f64) -> Markup {
    let per = |figure: i64| share_of(figure, percent);
    let row = |name: &str, sums: &gateway_ledger::UsageSums| {
        let tokens = sums.input_tokens.saturating_add(sums.output_tokens);
        vec![
            html! { (name) },
            html! { (count(per(tokens))) },
            money(per(sums.cost_nanos_plan)),
        ]
    };
    let mut rows: Vec<Vec<Markup>> = report
        .rows
        .iter()
        .map(|it| {
            let model = it.keys.first().and_then(|(_, model)| model.as_deref());
            row(model.unwrap_or("(none)"), &it.sums)
        })
        .collect();
    rows.push(row("all models", &report.total));
    table(
        "What one percent of it bought",
        &["Model", "#Tokens", "#At API prices"],
        &rows,
    )
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the percentage is rounded by its source; so is what is made of it"
)]
fn share_of(figure: i64, percent: f64) -> i64 {
    (figure as f64 / percent).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_says_when_a_window_is_used_up() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let ends: Timestamp = "2026-11-20T14:00:00Z".parse().unwrap();
        let window = |used_percent| LimitWindow {
            window: "primary".to_owned(),
            used_percent,
            window_minutes: Some(300),
            resets_at: Some(ends.as_second()),
        };
        // Begun at 09:00; 75 % in three hours: used up after four.
        assert_eq!(
            runs_out(&window(75.0), now),
            Some("2026-11-20T13:00:00Z".parse().unwrap())
        );
        assert_eq!(runs_out(&window(50.0), now), None);
        assert_eq!(runs_out(&window(0.0), now), None);
        assert_eq!(runs_out(&window(75.0), ends), None);
    }
}
