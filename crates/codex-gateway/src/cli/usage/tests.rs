//! What people and programs read, as snapshots.

use super::*;

fn report() -> UsageReport {
    let row = |model: Option<&str>, day: &str, sums: UsageSums| UsageRow {
        keys: vec![
            (GroupBy::Model, model.map(str::to_owned)),
            (GroupBy::Day, Some(day.to_owned())),
        ],
        key_name: None,
        key_owner: None,
        sums,
    };
    let metered = UsageSums {
        requests: 3,
        input_tokens: 300_000,
        cached_input_tokens: 200_000,
        output_tokens: 4_000,
        reasoning_tokens: 1_000,
        cost_nanos_metered: 1_234_567_890,
        ..UsageSums::default()
    };
    let plan = UsageSums {
        requests: 2,
        input_tokens: 10,
        output_tokens: 5,
        cost_nanos_plan: 99_950_000,
        unpriced_requests: 1,
        estimated_requests: 1,
        unknown_requests: 1,
        ..UsageSums::default()
    };
    UsageReport {
        rows: vec![
            row(Some("gpt-5.5"), "2026-11-19", metered),
            row(Some("odd,\"id\""), "2026-11-20", plan),
            row(None, "2026-11-20", UsageSums::default()),
        ],
        total: UsageSums {
            requests: 5,
            input_tokens: 300_010,
            cached_input_tokens: 200_000,
            output_tokens: 4_005,
            reasoning_tokens: 1_000,
            cost_nanos_metered: 1_234_567_890,
            cost_nanos_plan: 99_950_000,
            unpriced_requests: 1,
            estimated_requests: 1,
            unknown_requests: 1,
            ..UsageSums::default()
        },
    }
}

const BY: [GroupBy; 2] = [GroupBy::Model, GroupBy::Day];

#[test]
fn sums_are_a_table_with_both_monies_side_by_side() {
    insta::assert_snapshot!(table(&BY, &report()));
}

#[test]
fn the_total_alone_is_a_table_too() {
    let report = UsageReport {
        rows: Vec::new(),
        ..report()
    };
    insta::assert_snapshot!(table(&[], &report));
}

#[test]
fn csv_has_the_names_of_json_and_quotes_what_it_must() {
    insta::assert_snapshot!(csv(&BY, &report()));
}

#[test]
fn flags_become_a_query() {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let args = |by: &str, since: Option<&str>| UsageArgs {
        by: by.to_owned(),
        since: since.map(str::to_owned),
        until: None,
        format: Format::Table,
        branch_summary: false,
        only: FilterArgs {
            repo: Some("git@GitHub.com:acme/shop.git".to_owned()),
            session: None,
            root_turn: None,
            key: None,
            team: None,
            model: None,
            upstream: None,
        },
    };
    let read = query(&args("model, day,model", Some("7d")), now, &TimeZone::UTC).unwrap();
    assert_eq!(read.by, BY);
    assert_eq!(read.filters.repo.as_deref(), Some("github.com/acme/shop"));
    assert_eq!(read.since, Some("2026-11-13T12:00:00Z".parse().unwrap()));
    let wrong = query(&args("modle", None), now, &TimeZone::UTC).unwrap_err();
    assert!(
        wrong.contains("`modle`") && wrong.contains("session"),
        "{wrong}"
    );
    assert!(query(&args("", Some("soon")), now, &TimeZone::UTC).is_err());
}

#[test]
fn a_branch_is_summed_up_in_one_line() {
    let total = UsageSums {
        requests: 42,
        input_tokens: 1_000,
        cached_input_tokens: 810,
        cost_nanos_metered: 1_234_500_000,
        ..UsageSums::default()
    };
    assert_eq!(
        summary_line("github.com/acme/shop", " since 7d", 1, &total),
        "Codex on github.com/acme/shop since 7d: $1.2345, 1 session, 42 requests, 81% of the input \
         from the cache"
    );
    let total = UsageSums {
        requests: 1,
        cost_nanos_plan: 500_000_000,
        unknown_requests: 1,
        ..UsageSums::default()
    };
    assert_eq!(
        summary_line("all repositories", "", 2, &total),
        "Codex on all repositories: $0.0000 (+ $0.5000 of plan usage at API prices), 2 sessions, \
         1 request, - of the input from the cache; 1 request without a known cost"
    );
}

#[test]
fn an_amount_of_nothing_is_a_dash() {
    assert_eq!(usd_or_dash(0), "-");
    assert_eq!(usd_or_dash(1), "0.0000");
    assert_eq!(usd_or_dash(-1_234_550_000), "-1.2346");
}

#[test]
fn models_without_a_price_are_named_in_a_warning() {
    let row = |model: &str, unpriced: i64| UsageRow {
        keys: vec![(GroupBy::Model, Some(model.to_owned()))],
        key_name: None,
        key_owner: None,
        sums: UsageSums {
            requests: 9,
            unpriced_requests: unpriced,
            ..UsageSums::default()
        },
    };
    let mut rows = vec![row("gpt-5.5", 0)];
    rows.extend((1..=7).map(|n| row(&format!("new-{n}"), n)));
    let report = UsageReport {
        total: UsageSums {
            unpriced_requests: 28,
            ..UsageSums::default()
        },
        rows,
    };
    let warning = unpriced_warning(&report);
    assert!(
        warning.starts_with(
            "warning: 28 requests have no price, and the sums do not contain them \
             (new-1, new-2, new-3, new-4, new-5 and 2 more)."
        ),
        "{warning}"
    );
    assert!(table(&[GroupBy::Model], &report).contains('?'));
}
