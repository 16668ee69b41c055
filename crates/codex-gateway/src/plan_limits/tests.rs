//! What is kept of many reports.

use gateway_wire::codex::{PlanLimit, WindowSlot};

use super::*;

fn reported(name: &str, used: f64, resets_at: Option<i64>) -> PlanLimits {
    PlanLimits {
        plan: None,
        limits: vec![PlanLimit {
            name: name.to_owned(),
            label: None,
            windows: vec![PlanWindow {
                slot: WindowSlot::Primary,
                used_percent: used,
                window_minutes: Some(300),
                resets_at,
                resets_in_seconds: Some(60),
            }],
        }],
        credits: None,
    }
}

fn gauge(watch: &PlanWatch, now: Timestamp) -> f64 {
    let metrics = Metrics::new().unwrap();
    watch.set_gauges(&metrics, now);
    metrics
        .plan_used_percent
        .with_label_values(&["primary"])
        .get()
}

#[test]
fn the_gauge_is_the_account_closest_to_its_limit_until_its_window_starts_again() {
    let (watch, _waiting) = PlanWatch::new();
    let now = Timestamp::from_second(1000).unwrap();
    watch.observe("a".to_owned(), &[reported("codex", 30.0, Some(2000))], now);
    watch.observe("b".to_owned(), &[reported("codex", 80.0, None)], now);
    watch.observe("b".to_owned(), &[reported("codex_spark", 99.0, None)], now);
    assert!((gauge(&watch, now) - 80.0).abs() < f64::EPSILON);
    let later = Timestamp::from_second(1060).unwrap();
    assert!((gauge(&watch, later) - 30.0).abs() < f64::EPSILON);
    let report = watch.report(&[]);
    assert_eq!(report.accounts.len(), 2);
    assert_eq!(report.accounts[1].plan.limits.len(), 2);
}

#[test]
fn accounts_are_bounded_and_the_newest_report_wins() {
    let (watch, mut waiting) = PlanWatch::new();
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    for number in 0..1_100_i64 {
        watch.observe(
            number.to_string(),
            &[reported("codex", 1.0, None)],
            at(number),
        );
    }
    let report = watch.report(&[]);
    assert_eq!(report.accounts.len(), 1_000);
    assert_eq!(report.accounts[0].account, "1099");
    assert!(report.accounts.iter().all(|line| line.account != "0"));

    let mut stored = waiting.try_recv().unwrap();
    stored.account = "1099".to_owned();
    assert_eq!(
        watch.report(&[stored.clone()]).accounts[0].observed_at,
        at(1_099)
    );
    stored.observed_at = at(5_000);
    assert_eq!(watch.report(&[stored]).accounts[0].observed_at, at(5_000));
}
