use std::collections::BTreeSet;

use gateway_ledger::Outcome;
use gateway_policy::price::{BUILTIN_PRICES, PriceTable};

use super::*;

/// Two weeks of everybody, priced by the built-in table.
fn fortnight() -> Vec<LedgerEntry> {
    let prices = PriceTable::parse(BUILTIN_PRICES).0.unwrap();
    let story = story::read().unwrap();
    let authors: Vec<Author<'_>> = story
        .people
        .iter()
        .map(|person| Author {
            person,
            key: (person.way != Way::OwnKey).then(|| format!("key_{}", person.name)),
            prices: &prices,
        })
        .collect();
    let now: Timestamp = "2026-11-27T15:00:00Z".parse().unwrap();
    days(&authors, now - DAY * 14, now)
}

#[test]
fn the_days_have_everything_that_a_page_can_show() {
    let entries = fortnight();
    assert!(entries.len() > 2_000, "{}", entries.len());
    let seen = |what: &dyn Fn(&LedgerEntry) -> String| -> BTreeSet<String> {
        entries.iter().map(what).collect()
    };
    let set =
        |words: &[&str]| -> BTreeSet<String> { words.iter().map(|it| (*it).to_owned()).collect() };
    let outcomes = seen(&|entry| entry.result.outcome.as_str().to_owned());
    let all = [
        "completed",
        "failed",
        "rejected",
        "client_gone",
        "upstream_truncated",
    ];
    assert_eq!(outcomes, set(&all));
    let kinds = seen(&|entry| entry.intent.turn.request_kind.clone().unwrap());
    assert_eq!(kinds, set(&["turn", "subagent", "compaction", "review"]));
    let decisions = seen(&|entry| entry.intent.dispatch.decision.as_str().to_owned());
    assert_eq!(
        decisions,
        set(&["passed", "rewritten", "fell-back", "rejected"])
    );
    let money = seen(&|entry| entry.intent.dispatch.billing.as_str().to_owned());
    assert_eq!(money, set(&["metered", "plan"]));
    let repos = seen(&|entry| entry.intent.turn.repo.clone().unwrap());
    assert!(repos.len() >= 5, "{repos:?}");
    let unpriced = entries.iter().filter(|entry| entry.is_unpriced()).count();
    assert_eq!(unpriced, 0);
}

#[test]
fn entries_are_whole_and_none_is_in_the_future() {
    let ids: BTreeSet<String> = fortnight()
        .iter()
        .map(|entry| entry.id().to_string())
        .collect();
    let entries = fortnight();
    assert_eq!(ids.len(), entries.len());
    for entry in &entries {
        assert!(entry.intent.started_at <= entry.result.finished_at);
        let is_answered = matches!(
            entry.result.outcome,
            Outcome::Completed | Outcome::ClientGone | Outcome::UpstreamTruncated
        );
        assert_eq!(entry.result.usage.is_some(), is_answered, "{entry:?}");
        assert_eq!(entry.result.cost.nanos.is_some(), is_answered, "{entry:?}");
    }
    let last = entries.iter().map(|entry| entry.result.finished_at).max();
    assert!(last.unwrap() < "2026-11-27T15:00:00Z".parse().unwrap());
}
