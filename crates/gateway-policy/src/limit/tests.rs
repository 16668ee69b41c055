use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::*;
use crate::money::UsdError;
use crate::price::Billing;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// Window, zone, a moment, the days, and when the next period begins.
type PeriodRow = (
    Window,
    &'static str,
    &'static str,
    (Date, Date),
    &'static str,
);

fn check_period((window, name, moment, days, resets_at): PeriodRow) {
    assert_eq!(
        window.period(at(moment), &zone(name)),
        Period {
            days: Some(days),
            resets_at: Some(at(resets_at))
        },
        "{window:?} {name} {moment}"
    );
}

#[test]
fn windows_follow_the_zones_clock_changes() {
    let rows = [
        // A day of 25 hours.
        (
            Window::Day,
            "Europe/Berlin",
            "2026-10-25T10:00:00Z",
            (date(2026, 10, 25), date(2026, 10, 25)),
            "2026-10-25T23:00:00Z",
        ),
        // A week that loses an hour, and a month that begins in winter time and ends in summer
        // time.
        (
            Window::Week,
            "Europe/Berlin",
            "2026-03-27T12:00:00Z",
            (date(2026, 3, 23), date(2026, 3, 29)),
            "2026-03-29T22:00:00Z",
        ),
        (
            Window::Month,
            "Europe/Berlin",
            "2026-03-01T00:00:00Z",
            (date(2026, 3, 1), date(2026, 3, 31)),
            "2026-03-31T22:00:00Z",
        ),
        // Still February there.
        (
            Window::Month,
            "America/New_York",
            "2026-03-01T04:59:59Z",
            (date(2026, 2, 1), date(2026, 2, 28)),
            "2026-03-01T05:00:00Z",
        ),
        // Midnight does not exist on that day; it begins at one.
        (
            Window::Day,
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            (date(2026, 9, 5), date(2026, 9, 5)),
            "2026-09-06T04:00:00Z",
        ),
    ];
    rows.into_iter().for_each(check_period);
}

#[test]
fn windows_begin_and_end_on_the_operators_days() {
    let rows = [
        // Already the 21st in Tokyo.
        (
            Window::Day,
            "Asia/Tokyo",
            "2026-11-20T15:30:00Z",
            (date(2026, 11, 21), date(2026, 11, 21)),
            "2026-11-21T15:00:00Z",
        ),
        (
            Window::Day,
            "America/New_York",
            "2026-11-20T03:00:00Z",
            (date(2026, 11, 19), date(2026, 11, 19)),
            "2026-11-20T05:00:00Z",
        ),
        (
            Window::Week,
            "UTC",
            "2026-11-20T12:00:00Z",
            (date(2026, 11, 16), date(2026, 11, 22)),
            "2026-11-23T00:00:00Z",
        ),
        (
            Window::Week,
            "UTC",
            "2026-11-22T23:59:59Z",
            (date(2026, 11, 16), date(2026, 11, 22)),
            "2026-11-23T00:00:00Z",
        ),
        (
            Window::Week,
            "UTC",
            "2026-11-23T00:00:00Z",
            (date(2026, 11, 23), date(2026, 11, 29)),
            "2026-11-30T00:00:00Z",
        ),
        (
            Window::Month,
            "UTC",
            "2026-12-31T12:00:00Z",
            (date(2026, 12, 1), date(2026, 12, 31)),
            "2027-01-01T00:00:00Z",
        ),
    ];
    rows.into_iter().for_each(check_period);
    assert_eq!(
        Window::Total.period(at("2026-11-20T12:00:00Z"), &TimeZone::UTC),
        Period {
            days: None,
            resets_at: None
        }
    );
}

#[test]
fn budgets_read_as_people_write_them() {
    let parse = |text, soft| {
        Budget::parse(text, soft, Billing::Metered)
            .map(|budget| (budget.nanos, budget.window, budget.soft_percent))
    };
    assert_eq!(
        parse("5.00/day", Some("80%")),
        Ok((5_000_000_000, Window::Day, Some(80)))
    );
    assert_eq!(
        parse("0.000000001 / total", None),
        Ok((1, Window::Total, None))
    );
    assert_eq!(
        parse("100/month", Some("100")),
        Ok((100_000_000_000, Window::Month, Some(100)))
    );
    for (text, soft, error) in [
        ("5", None, BudgetError::Shape),
        ("/day", None, BudgetError::Amount(UsdError)),
        ("-5/day", None, BudgetError::Amount(UsdError)),
        ("5e3/day", None, BudgetError::Amount(UsdError)),
        ("0.0000000001/day", None, BudgetError::Amount(UsdError)),
        (
            "99999999999999999999/day",
            None,
            BudgetError::Amount(UsdError),
        ),
        ("5/year", None, BudgetError::Window),
        ("5/day", Some("0%"), BudgetError::Soft),
        ("5/day", Some("101%"), BudgetError::Soft),
        ("5/day", Some("many"), BudgetError::Soft),
    ] {
        assert_eq!(parse(text, soft), Err(error), "{text} {soft:?}");
    }
}

#[test]
fn a_budget_tells_spent_from_reserved() {
    let budget = Budget {
        nanos: 100,
        window: Window::Day,
        billing: Billing::Metered,
        soft_percent: Some(80),
    };
    let check = |spent, reserved, estimate| budget.check(Position { spent, reserved }, estimate);
    let fits = |is_soft_crossed| BudgetCheck::Fits { is_soft_crossed };
    assert_eq!(check(0, 0, 79), fits(false));
    assert_eq!(check(0, 0, 80), fits(true));
    assert_eq!(check(50, 20, 30), fits(true));
    assert_eq!(check(50, 20, 31), BudgetCheck::Reserved);
    assert_eq!(check(50, 0, 51), BudgetCheck::Spent);
    assert_eq!(check(50, 50, 50), BudgetCheck::Reserved);
    // Nothing is left: even what is thought to cost nothing is refused.
    assert_eq!(check(100, 0, 0), BudgetCheck::Spent);
    assert_eq!(check(i64::MAX, i64::MAX, i64::MAX), BudgetCheck::Spent);
    assert_eq!(check(-10, 0, 105), fits(true));
}

fn limits(budgets: Vec<Budget>, limits: Limits) -> ScopeLimits {
    ScopeLimits {
        scope: Scope::Key("k".to_owned()),
        budgets,
        limits,
    }
}

const NOON: &str = "2026-11-20T12:00:00Z";

fn estimate(nanos: i64, tokens: u64) -> Estimate {
    Estimate {
        nanos,
        tokens,
        billing: Billing::Metered,
        at: at(NOON),
        arrived_at: at(NOON),
        is_repriced: false,
    }
}

const SPEED: Limits = Limits {
    requests_per_minute: Some(2),
    tokens_per_minute: Some(600),
    concurrency: Some(3),
};

fn state(spent: i64, reserved: i64) -> ScopeState {
    let positions = vec![
        Position { spent, reserved },
        Position {
            spent: 1000,
            reserved: 0,
        },
    ];
    ScopeState {
        positions,
        ..ScopeState::default()
    }
}

fn scope() -> ScopeLimits {
    let budget = |window, billing| Budget {
        nanos: 100,
        window,
        billing,
        soft_percent: None,
    };
    limits(
        vec![
            budget(Window::Day, Billing::Metered),
            budget(Window::Total, Billing::Plan),
        ],
        SPEED,
    )
}

fn refused(state: &ScopeState, estimate: Estimate) -> Refusal {
    scope().admit(state, estimate, &TimeZone::UTC).unwrap_err()
}

#[test]
fn a_spent_budget_names_its_reset_and_a_reserved_one_a_wait() {
    let spent = refused(&state(100, 0), estimate(1, 1));
    assert_eq!(
        (spent.code(), spent.kind(), spent.retry_after()),
        ("usage_limit_reached", "budget", None)
    );
    assert_eq!(spent.resets_at(), Some(at("2026-11-21T00:00:00Z")));
    let reserved = refused(&state(50, 40), estimate(20, 1));
    assert_eq!(
        (reserved.code(), reserved.kind()),
        ("rate_limit_exceeded", "reservations")
    );
    assert_eq!(
        (reserved.retry_after(), reserved.resets_at()),
        (Some(RETRY_SOON), None)
    );
}

#[test]
fn a_request_that_arrived_before_midnight_is_told_that_the_budget_has_begun_anew() {
    let late = Estimate {
        at: at("2026-11-21T00:00:02Z"),
        arrived_at: at("2026-11-20T23:59:58Z"),
        ..estimate(1, 0)
    };
    let refusal = refused(&state(100, 0), late);
    assert_eq!(refusal.resets_at(), Some(at("2026-11-21T00:00:00Z")));
}

#[test]
fn speed_limits_name_their_wait() {
    // The plan's budget is spent; metered money does not care.
    let admitted = scope()
        .admit(&state(0, 0), estimate(20, 60), &TimeZone::UTC)
        .unwrap();
    let noon = i64::try_from(at(NOON).as_nanosecond()).unwrap();
    assert_eq!(
        (admitted.requests - noon, admitted.tokens - noon),
        (30_000_000_000, 6_000_000_000)
    );

    let busy = refused(
        &ScopeState {
            in_flight: 3,
            ..state(0, 0)
        },
        estimate(1, 1),
    );
    assert_eq!(
        (busy.kind(), busy.retry_after()),
        ("concurrency", Some(RETRY_SOON))
    );
    let many = refused(
        &ScopeState {
            requests: noon + 60_000_000_000,
            ..state(0, 0)
        },
        estimate(1, 1),
    );
    assert_eq!(
        (many.kind(), many.retry_after()),
        ("requests", Some(Duration::from_secs(30)))
    );
    let tokens = refused(
        &ScopeState {
            tokens: noon + 1,
            ..state(0, 0)
        },
        estimate(1, 10_000),
    );
    assert_eq!(
        (tokens.kind(), tokens.retry_after()),
        ("tokens", Some(Duration::from_nanos(1)))
    );
    // A change of price is not a second request.
    let repriced = Estimate {
        is_repriced: true,
        ..estimate(1, 1)
    };
    let full = ScopeState {
        in_flight: 3,
        requests: i64::MAX,
        ..state(0, 0)
    };
    assert!(scope().admit(&full, repriced, &TimeZone::UTC).is_ok());
}

#[test]
fn a_request_that_took_more_than_expected_delays_the_next_by_a_minute_at_most() {
    let rate = RateLimit::per_minute(1_000);
    let now = at(NOON);
    let taken = rate.take(0, 100, now).unwrap();
    let corrected = taken + rate.correction(100, 1_000_000);
    assert_eq!(
        rate.take(corrected, 1, now),
        Err(Duration::from_secs(60) + Duration::from_millis(60))
    );
    assert_eq!(rate.correction(500, 100), -24_000_000_000);
    assert_eq!(
        RateLimit::per_minute(0).take(0, 1, now),
        Err(Duration::from_secs(60))
    );
}

#[test]
fn scopes_read_back() {
    for scope in [
        Scope::Key("a:b".to_owned()),
        Scope::Team("red".to_owned()),
        Scope::Repo("git.example:8/a/b".to_owned()),
        Scope::Gateway,
    ] {
        assert_eq!(Scope::parse(&scope.as_text()), Some(scope));
    }
    for text in ["", "key:", "team", "gateway:x", "user:1"] {
        assert_eq!(Scope::parse(text), None);
    }
}

proptest! {
    #[test]
    fn no_minute_admits_more_than_two_minutes_worth(
        per_minute in 1..1_000_u64,
        asks in proptest::collection::vec((0..2_000_000_000_u64, 1..50_u64), 1..300),
    ) {
        let rate = RateLimit::per_minute(per_minute);
        let start = at(NOON);
        let (mut now, mut bucket) = (start, 0);
        let mut admitted: Vec<(Timestamp, u64)> = Vec::new();
        for (pause, units) in asks {
            now += Duration::from_nanos(pause);
            let units = units.min(per_minute);
            match rate.take(bucket, units, now) {
                Ok(next) => { bucket = next; admitted.push((now, units)); }
                Err(wait) => {
                    prop_assert!(wait <= Duration::from_secs(60));
                    // The wait is exact: it fits then, and not a nanosecond earlier.
                    prop_assert!(rate.take(bucket, units, now + wait).is_ok());
                    prop_assert!(rate.take(bucket, units, now + wait - Duration::from_nanos(1)).is_err());
                }
            }
        }
        for (from, _) in &admitted {
            let until = *from + Duration::from_secs(60);
            let sum: u64 = admitted.iter().filter(|(time, _)| time >= from && *time < until).map(|(_, units)| units).sum();
            prop_assert!(sum <= 2 * per_minute);
        }
    }

    #[test]
    fn reservations_never_overrun_a_budget(nanos in 1..1_000_i64, asks in proptest::collection::vec((0..200_i64, any::<bool>()), 1..100)) {
        let budget = Budget { nanos, window: Window::Day, billing: Billing::Metered, soft_percent: Some(50) };
        let mut position = Position::default();
        for (estimate, settles) in asks {
            if matches!(budget.check(position, estimate), BudgetCheck::Fits { .. }) {
                position.reserved += estimate;
            }
            if settles {
                // What was set aside is spent, as estimated.
                position = Position { spent: position.spent + position.reserved, reserved: 0 };
            }
            prop_assert!(position.spent + position.reserved <= nanos);
        }
    }

    #[test]
    fn any_numbers_are_judged_without_panic(nanos: i64, spent: i64, reserved: i64, estimate: i64, bucket: i64, units: u64, per_minute: u64, text in ".{0,40}") {
        let budget = Budget { nanos, window: Window::Month, billing: Billing::Plan, soft_percent: Some(80) };
        let _verdict = budget.check(Position { spent, reserved }, estimate);
        let rate = RateLimit::per_minute(per_minute);
        let _taken = rate.take(bucket, units, at(NOON));
        let _moved = rate.correction(units, per_minute);
        let _budget = Budget::parse(&text, Some(&text), Billing::Plan);
        let _scope = Scope::parse(&text);
    }
}

#[test]
fn budgets_read_as_money() {
    for (nanos, window, text) in [
        (5_000_000_000, Window::Day, "5.00 USD a day"),
        (70_000_000, Window::Week, "0.07 USD a week"),
        (1_500_000, Window::Month, "0.0015 USD a month"),
        (-1, Window::Total, "0.00 USD in total"),
    ] {
        let budget = Budget {
            nanos,
            window,
            billing: Billing::Metered,
            soft_percent: Some(80),
        };
        assert_eq!(budget.to_string(), text);
    }
}
