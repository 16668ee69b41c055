//! Budgets and rate limits under concurrency, shared by replicas.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{Admission, Claim, EntryId};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Limits, Refusal, RefusedBy, Scope, ScopeLimits, Window};

use crate::durability::{leased, until};
use crate::stores::{Store, claim, entry, intent};

crate::on_every_store! {
    two_replicas_never_overrun_a_budget,
    a_spent_budget_and_a_reserved_one_are_told_apart,
    settling_frees_what_was_set_aside,
    a_fallback_changes_what_is_set_aside,
    a_budget_that_changes_counts_what_is_set_aside_already,
    the_reservations_of_a_dead_replica_go_with_the_sweep_after_its_lease,
    what_a_live_replica_set_aside_counts_also_when_its_lease_is_over,
    rates_and_concurrency_are_shared_by_replicas,
    tokens_that_were_not_used_come_back,
    metered_and_plan_budgets_are_apart,
}

const CENT: i64 = 10_000_000;

fn budget(nanos: i64, window: Window) -> Budget {
    Budget {
        nanos,
        window,
        billing: Billing::Metered,
        soft_percent: Some(80),
    }
}

fn key_limits(budgets: Vec<Budget>, limits: Limits) -> ScopeLimits {
    ScopeLimits {
        scope: Scope::Key("k1".to_owned()),
        budgets,
        limits,
    }
}

fn refused(admission: Admission) -> Refusal {
    match admission {
        Admission::Refused(refusal) => refusal,
        granted @ Admission::Granted { .. } => panic!("{granted:?}"),
    }
}

fn is_granted(admission: &Admission) -> bool {
    matches!(admission, Admission::Granted { .. })
}

/// Waits until the lane has done everything asked of it before.
async fn flush(gateway: &crate::stores::Gateway, store: &Store) {
    assert!(is_granted(
        &gateway
            .ledger
            .reserve(claim(store.now(), 0, &[]))
            .await
            .unwrap()
    ));
}

async fn two_replicas_never_overrun_a_budget(store: Arc<Store>) {
    let (a, b) = (store.open("a").await, store.open("b").await);
    let gateway = ScopeLimits {
        scope: Scope::Gateway,
        budgets: vec![budget(100 * CENT, Window::Month)],
        limits: Limits::default(),
    };
    let scopes = [
        key_limits(vec![budget(10 * CENT, Window::Day)], Limits::default()),
        gateway,
    ];
    let claims = (0..200).map(|index| {
        let ledger = if index % 2 == 0 { &a.ledger } else { &b.ledger };
        ledger.reserve(claim(store.now(), CENT, &scopes))
    });
    let answers = join_all(claims).await;
    let granted = answers
        .iter()
        .filter(|answer| is_granted(answer.as_ref().unwrap()))
        .count();
    assert_eq!(granted, 10);
    let crossed = answers.iter().filter(|answer| {
        matches!(answer.as_ref().unwrap(), Admission::Granted { soft_crossed } if !soft_crossed.is_empty())
    });
    // From 80 % on somebody is told: with the 8th, 9th and 10th.
    assert_eq!(crossed.count(), 3);
    a.close().await;
    b.close().await;
}

async fn a_spent_budget_and_a_reserved_one_are_told_apart(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let scopes = [key_limits(
        vec![budget(10 * CENT, Window::Day)],
        Limits::default(),
    )];
    let ask = |nanos| gateway.ledger.reserve(claim(store.now(), nanos, &scopes));
    assert!(is_granted(&ask(6 * CENT).await.unwrap()));
    let others = refused(ask(5 * CENT).await.unwrap());
    assert!(matches!(others.limit, RefusedBy::Reservations { .. }));
    let too_large = refused(ask(11 * CENT).await.unwrap());
    assert!(matches!(
        too_large.limit,
        RefusedBy::Budget { spent: 0, .. }
    ));
    assert_eq!(
        too_large.resets_at().unwrap().to_string(),
        "2026-11-21T00:00:00Z"
    );
    // A new day is a new budget.
    store.advance(Duration::from_secs(12 * 3600));
    assert!(is_granted(&ask(10 * CENT).await.unwrap()));
    gateway.close().await;
}

async fn settling_frees_what_was_set_aside(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let scopes = [key_limits(
        vec![budget(10 * CENT, Window::Total)],
        Limits::default(),
    )];
    let mut first = intent(store.now());
    first.attribution.key = Some("k1".to_owned());
    let mut reserved = claim(store.now(), 9 * CENT, &scopes);
    reserved.id = first.id.clone();
    assert!(is_granted(&gateway.ledger.reserve(reserved).await.unwrap()));
    gateway.ledger.begin(&first).await.unwrap();
    let mut settled = entry(first, "a");
    settled.result.cost.nanos = Some(2 * CENT);
    gateway.ledger.settle(settled).await;
    // The lane works in order: what was settled before this claim is released before it, or the
    // moment after.
    let mut answer = gateway
        .ledger
        .reserve(claim(store.now(), 8 * CENT, &scopes))
        .await
        .unwrap();
    if !is_granted(&answer) {
        answer = gateway
            .ledger
            .reserve(claim(store.now(), 8 * CENT, &scopes))
            .await
            .unwrap();
    }
    assert!(is_granted(&answer), "{answer:?}");
    let over = refused(
        gateway
            .ledger
            .reserve(claim(store.now(), 9 * CENT, &scopes))
            .await
            .unwrap(),
    );
    assert!(
        matches!(over.limit, RefusedBy::Budget { spent, resets_at: None, .. } if spent == 2 * CENT),
        "{over:?}"
    );
    gateway.close().await;
}

async fn a_fallback_changes_what_is_set_aside(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let limits = Limits {
        requests_per_minute: Some(2),
        concurrency: Some(1),
        ..Limits::default()
    };
    let scopes = [key_limits(vec![budget(10 * CENT, Window::Week)], limits)];
    let first = claim(store.now(), 8 * CENT, &scopes);
    assert!(is_granted(
        &gateway.ledger.reserve(first.clone()).await.unwrap()
    ));
    // Neither the one exchange in flight nor the request per minute is counted twice.
    let cheaper = Claim {
        nanos: 3 * CENT,
        ..first.clone()
    };
    let answer = gateway.ledger.reserve_again(cheaper).await.unwrap();
    assert!(is_granted(&answer), "{answer:?}");
    let dearer = Claim {
        nanos: 11 * CENT,
        ..first.clone()
    };
    assert!(matches!(
        refused(gateway.ledger.reserve_again(dearer).await.unwrap()).limit,
        RefusedBy::Budget { .. }
    ));
    gateway.ledger.withdraw(&first.id);
    assert!(is_granted(
        &gateway
            .ledger
            .reserve(claim(store.now(), 10 * CENT, &scopes))
            .await
            .unwrap()
    ));
    gateway.close().await;
}

async fn a_budget_that_changes_counts_what_is_set_aside_already(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let reserve = async |cents: i64, of: i64| {
        let budgets = vec![budget(of * CENT, Window::Day)];
        let scopes = [key_limits(budgets, Limits::default())];
        let asked = gateway
            .ledger
            .reserve(claim(store.now(), cents * CENT, &scopes));
        asked.await.unwrap()
    };
    assert!(is_granted(&reserve(6, 10).await));
    // Lowered under what is set aside: waiting helps whoever fits into it alone.
    let held = refused(reserve(1, 5).await);
    assert!(matches!(held.limit, RefusedBy::Reservations { .. }));
    let spent = refused(reserve(6, 5).await);
    assert!(matches!(spent.limit, RefusedBy::Budget { .. }));
    // Raised: at once.
    assert!(is_granted(&reserve(14, 20).await));
    let held = refused(reserve(1, 20).await);
    assert!(matches!(held.limit, RefusedBy::Reservations { .. }));
    gateway.close().await;
}

async fn the_reservations_of_a_dead_replica_go_with_the_sweep_after_its_lease(store: Arc<Store>) {
    let (a, b) = (
        store.open("a").await,
        store.open_with(leased(&store, "b", 300)).await,
    );
    let scopes = [key_limits(
        vec![budget(10 * CENT, Window::Day)],
        Limits::default(),
    )];
    assert!(is_granted(
        &a.ledger
            .reserve(claim(store.now(), 10 * CENT, &scopes))
            .await
            .unwrap()
    ));
    let held = refused(
        b.ledger
            .reserve(claim(store.now(), CENT, &scopes))
            .await
            .unwrap(),
    );
    assert!(matches!(held.limit, RefusedBy::Reservations { .. }));
    a.crash().await;
    let held = refused(
        b.ledger
            .reserve(claim(store.now(), CENT, &scopes))
            .await
            .unwrap(),
    );
    assert!(matches!(held.limit, RefusedBy::Reservations { .. }));
    store.advance(Duration::from_secs(61));
    until("the dead replica is swept", async || {
        let asked = b.ledger.reserve(claim(store.now(), CENT, &scopes)).await;
        is_granted(&asked.unwrap())
    })
    .await;
    b.close().await;
}

async fn what_a_live_replica_set_aside_counts_also_when_its_lease_is_over(store: Arc<Store>) {
    let (a, b) = (store.open("a").await, store.open("b").await);
    let scopes = [key_limits(
        vec![budget(10 * CENT, Window::Day)],
        Limits {
            concurrency: Some(2),
            ..Limits::default()
        },
    )];
    let reserve = async |of: &crate::stores::Gateway, cents: i64| {
        let asked = of.ledger.reserve(claim(store.now(), cents * CENT, &scopes));
        asked.await.unwrap()
    };
    assert!(is_granted(&reserve(&a, 6).await));
    // As after an outage in which nobody could renew.
    store.advance(Duration::from_secs(600));
    let held = refused(reserve(&b, 5).await);
    assert!(matches!(held.limit, RefusedBy::Reservations { .. }));
    assert!(is_granted(&reserve(&b, 4).await));
    let full = refused(reserve(&b, 0).await);
    assert_eq!(full.limit, RefusedBy::Concurrency);
    a.close().await;
    b.close().await;
}

async fn rates_and_concurrency_are_shared_by_replicas(store: Arc<Store>) {
    let (a, b) = (store.open("a").await, store.open("b").await);
    let limits = Limits {
        requests_per_minute: Some(30),
        concurrency: Some(20),
        ..Limits::default()
    };
    let scopes = [key_limits(Vec::new(), limits)];
    let burst = async |count: usize| {
        let claims = (0..count).map(|index| {
            let ledger = if index % 2 == 0 { &a.ledger } else { &b.ledger };
            let claim = claim(store.now(), 0, &scopes);
            let id = claim.id.clone();
            async move { (id, ledger.reserve(claim).await.unwrap()) }
        });
        join_all(claims).await
    };
    let first = burst(40).await;
    let granted: Vec<&EntryId> = first
        .iter()
        .filter(|(_, answer)| is_granted(answer))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(granted.len(), 20);
    for id in granted {
        a.ledger.withdraw(id);
    }
    flush(&a, &store).await;
    let second = burst(40).await;
    let granted: Vec<&EntryId> = second
        .iter()
        .filter(|(_, answer)| is_granted(answer))
        .map(|(id, _)| id)
        .collect();
    // 30 a minute, 20 of them are gone; no time has passed.
    assert_eq!(granted.len(), 10);
    let slow = second
        .iter()
        .find(|(_, answer)| !is_granted(answer))
        .map(|(_, answer)| refused(answer.clone()))
        .unwrap();
    assert_eq!(
        (slow.kind(), slow.retry_after()),
        ("requests", Some(Duration::from_secs(2)))
    );
    for id in granted {
        b.ledger.withdraw(id);
    }
    flush(&b, &store).await;
    store.advance(Duration::from_secs(2));
    let third = burst(5).await;
    assert_eq!(
        third
            .iter()
            .filter(|(_, answer)| is_granted(answer))
            .count(),
        1
    );
    a.close().await;
    b.close().await;
}

async fn tokens_that_were_not_used_come_back(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let limits = Limits {
        tokens_per_minute: Some(10_000),
        ..Limits::default()
    };
    let scopes = [key_limits(Vec::new(), limits)];
    let first = intent(store.now());
    let mut large = claim(store.now(), 0, &scopes);
    (large.id, large.tokens) = (first.id.clone(), 10_000);
    assert!(is_granted(&gateway.ledger.reserve(large).await.unwrap()));
    assert_eq!(
        refused(
            gateway
                .ledger
                .reserve(claim(store.now(), 0, &scopes))
                .await
                .unwrap()
        )
        .kind(),
        "tokens"
    );
    // It used 1050 of the 10000.
    gateway.ledger.settle(entry(first, "a")).await;
    let mut next = claim(store.now(), 0, &scopes);
    next.tokens = 8_950;
    let mut answer = gateway.ledger.reserve(next.clone()).await.unwrap();
    if !is_granted(&answer) {
        answer = gateway.ledger.reserve(next).await.unwrap();
    }
    assert!(is_granted(&answer), "{answer:?}");
    assert_eq!(
        refused(
            gateway
                .ledger
                .reserve(claim(store.now(), 0, &scopes))
                .await
                .unwrap()
        )
        .kind(),
        "tokens"
    );
    gateway.close().await;
}

async fn metered_and_plan_budgets_are_apart(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let plan = Budget {
        billing: Billing::Plan,
        ..budget(CENT, Window::Day)
    };
    let scopes = [key_limits(vec![plan], Limits::default())];
    assert!(is_granted(
        &gateway
            .ledger
            .reserve(claim(store.now(), 50 * CENT, &scopes))
            .await
            .unwrap()
    ));
    let planned = Claim {
        billing: Billing::Plan,
        ..claim(store.now(), 2 * CENT, &scopes)
    };
    assert_eq!(
        refused(gateway.ledger.reserve(planned).await.unwrap()).code(),
        "usage_limit_reached"
    );
    gateway.close().await;
}
