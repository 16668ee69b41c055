//! Gateway keys, teams and budgets: who is near the end, and the changes that an administrator
//! makes. Each change goes through the admin API.

use axum::extract::State;
use gateway_ledger::{Directory, KeyRecord};
use gateway_policy::money::Usd;
use maud::{Markup, html};

use crate::administration::budget_lines::{BudgetLine, budgets};
use crate::administration::keys::KeyState;
use crate::http::pages::exchanges::encoded;
use crate::http::pages::format::{moment, money};
use crate::http::pages::layout::{badge, empty, meter, table};
use crate::http::pages::page::{Failed, Page, Sources};

pub(super) async fn page(State(sources): State<Sources>) -> Result<Page, Failed> {
    let directory = sources.ledger.directory().await?;
    let budgets = budgets(&sources.ledger).await?;
    let now = sources.clock.now();
    let state = |key: &KeyRecord| KeyState::of(key, now);
    let content = html! {
        div.card #new-key hidden tabindex="-1" {
            strong { "The new key. It is shown this once:" }
            p { code {} }
            p.muted { "Give it to its holder, then " a href="/dashboard/keys" { "load the page again" } "." }
        }
        (budget_table(&budgets))
        (set_budget())
        @if directory.keys().is_empty() {
            (empty("There is no gateway key yet.", &html! { "Create the first one below." }))
        } @else {
            (key_table(&directory, state))
        }
        (create_key())
        (team_table(&directory))
    };
    Ok(Page {
        title: "Keys, teams, budgets".to_owned(),
        place: "/dashboard/keys",
        content,
    })
}

fn key_table(directory: &Directory, state: impl Fn(&KeyRecord) -> KeyState) -> Markup {
    let rows: Vec<Vec<Markup>> = directory
        .keys()
        .iter()
        .map(|key| key_line(key, state(key)))
        .collect();
    table(
        "Gateway keys",
        &["Name", "Team", "Owner", "State", "Models", "Ends", "Change"],
        &rows,
    )
}

fn key_line(key: &KeyRecord, state: KeyState) -> Vec<Markup> {
    let class = if state == KeyState::Live { "good" } else { "" };
    let models = if key.models.is_empty() {
        "all".to_owned()
    } else {
        key.models.join(", ")
    };
    let id = encoded(&key.id);
    vec![
        html! {
            a href={ "/dashboard/usage?by=model&key=" (id) } { (key.name) }
            " " span.muted.mono title=(key.id) { "…" (key.ending) }
        },
        html! { (key.team.as_deref().unwrap_or("–")) },
        html! { (key.owner.as_deref().unwrap_or("–")) },
        badge(class, state.as_str()),
        html! { (models) },
        html! { @match key.expires_at { Some(at) => (moment(at)), None => "never" } },
        html! {
            @if state != KeyState::Revoked {
                span.nowrap {
                    button type="button" data-sure="A new secret?" data-api={ "POST keys/" (id) "/rotate" }
                        aria-label={ "Rotate " (key.name) } { "Rotate" }
                    " "
                    button.danger type="button" data-sure="Revoke it for good?" data-api={ "DELETE keys/" (id) }
                        aria-label={ "Revoke " (key.name) } { "Revoke" }
                }
            }
        },
    ]
}

fn create_key() -> Markup {
    html! {
        h2 { "Create a key" }
        form.row data-api="POST keys" {
            label { "Name" input name="name" required maxlength="100"; }
            label { "Team" input name="team"; }
            label { "Owner" input name="owner"; }
            label { "Expires in" input name="expires" placeholder="90d"; }
            label { "Models" input name="models" data-kind="list" placeholder="gpt-5*"; }
            label { "Budget in USD" input name="budgets" data-kind="budget" placeholder="5.00/day"; }
            label { "Requests per minute" input name="requests_per_minute" data-kind="number" inputmode="numeric"; }
            button.main { "Create" }
        }
    }
}

fn budget_table(budgets: &[BudgetLine]) -> Markup {
    if budgets.is_empty() {
        return empty(
            "There is no budget.",
            &html! { "Set one below: without it, nothing stops spending." },
        );
    }
    let mut lines: Vec<&BudgetLine> = budgets.iter().collect();
    // Who is nearest to the end comes first.
    lines.sort_by_key(|line| std::cmp::Reverse(percent(line)));
    let rows: Vec<Vec<Markup>> = lines.into_iter().map(budget_line).collect();
    table(
        "Budgets, the most used first",
        &[
            "Of",
            "Used",
            "#Spent",
            "#Reserved",
            "#Budget",
            "Begins again",
            "Change",
        ],
        &rows,
    )
}

/// Whole percent that are spent or set aside.
fn percent(line: &BudgetLine) -> i64 {
    let used = i128::from(line.spent_nanos) + i128::from(line.reserved_nanos);
    let percent = used * 100 / i128::from(line.nanos.max(1));
    i64::try_from(percent.clamp(0, 100_000)).unwrap_or(0)
}

fn budget_line(line: &BudgetLine) -> Vec<Markup> {
    let percent = percent(line);
    let label = format!("{percent}% used");
    let shown = u32::try_from(percent).map_or(100.0, f64::from);
    let called = line.name.as_deref().unwrap_or("the whole gateway");
    let scope = encoded(&line.scope);
    let (window, billing) = (line.window.as_str(), line.billing.as_str());
    vec![
        html! {
            strong { (called) } " "
            span.muted { (line.scope.split(':').next().unwrap_or_default()) }
            @if billing == "plan" { " " (badge("", "plan")) }
        },
        html! { (label) (meter(shown, &label)) },
        money(line.spent_nanos),
        money(line.reserved_nanos),
        html! { "$" (format!("{:#}", Usd::from_nanos(line.nanos))) " / " (window) },
        html! { @match line.resets_at { Some(at) => (moment(at)), None => "never" } },
        html! {
            button.danger type="button" data-sure="Delete it?"
                data-api={ "DELETE budgets/" (scope) "/" (window) "/" (billing) }
                aria-label={ "Delete the budget of " (called) } { "Delete" }
        },
    ]
}

fn set_budget() -> Markup {
    html! {
        form.row data-api="PUT budgets/{scope}" {
            label { "Budget of" input name="scope" required placeholder="gateway, team:NAME, key:NAME"; }
            label { "USD and window" input name="amount" required placeholder="5.00/day"; }
            label { "Warn from" input name="soft" placeholder="80%"; }
            label { "Counts"
                select name="billing" { option value="metered" { "the API bill" } option value="plan" { "plan use" } }
            }
            button.main { "Set the budget" }
        }
    }
}

fn team_table(directory: &Directory) -> Markup {
    let count = |name: &str| {
        let keys = directory.keys().iter();
        keys.filter(|key| key.team.as_deref() == Some(name) && key.revoked_at.is_none())
            .count()
    };
    let limit =
        |limit: Option<u64>| limit.map_or_else(|| "–".to_owned(), |limit| limit.to_string());
    let rows: Vec<Vec<Markup>> = directory
        .teams()
        .iter()
        .map(|team| {
            vec![
                html! { a href={ "/dashboard/usage?by=key&team=" (encoded(&team.name)) } { (team.name) } },
                html! { (count(&team.name)) },
                html! { (limit(team.limits.requests_per_minute)) },
                html! { (limit(team.limits.tokens_per_minute)) },
                html! { (limit(team.limits.concurrency)) },
            ]
        })
        .collect();
    html! {
        h2 { "Teams" }
        @if rows.is_empty() {
            p.muted { "A team comes into being with its first key." }
        } @else {
            (table("Teams", &["Team", "#Active keys", "#Requests a minute", "#Tokens a minute", "#At once"], &rows))
        }
    }
}
