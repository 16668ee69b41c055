//! Keys, teams, budgets, sessions, and how running servers notice.

use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::{FieldEdit, KEY_PREFIX, KeyCheck, KeyUpdate, LedgerErrorKind, NewKey};
use gateway_policy::limit::{Budget, Limits, Position, Scope, Window};
use gateway_policy::{AuthRoute, Billing};

use crate::stores::{Store, claim, entry, intent};

crate::on_every_store! {
    a_key_works_until_it_is_revoked_everywhere_within_two_seconds,
    a_rotated_key_has_a_new_secret_only,
    a_key_expires,
    of_two_creations_at_once_one_gets_the_name,
    a_key_is_changed_without_its_secret,
    what_limits_a_key_is_found_together,
    teams_and_budgets_go_when_nobody_needs_them,
    every_change_is_in_the_audit_log_without_secrets,
    a_sign_in_link_works_once,
    budgets_say_where_they_stand,
}

fn named(name: &str) -> NewKey {
    NewKey {
        name: name.to_owned(),
        team: Some("red".to_owned()),
        ..NewKey::default()
    }
}

async fn a_key_works_until_it_is_revoked_everywhere_within_two_seconds(store: Arc<Store>) {
    let server = store.open("a").await;
    let mut changes = server.ledger.changes();
    // Another process: the command line on the same store.
    let tool = gateway_ledger::Ledger::attach(store.options("tool"))
        .await
        .unwrap();
    let created = tool.create_key(&named("ci"), "cli").await.unwrap();
    assert!(created.secret.reveal().starts_with(KEY_PREFIX));
    // 192 random bits in hexadecimal.
    assert_eq!(created.secret.reveal().len(), KEY_PREFIX.len() + 48);
    tokio::time::timeout(Duration::from_secs(2), changes.changed())
        .await
        .unwrap()
        .unwrap();
    let directory = server.ledger.directory().await.unwrap();
    assert!(
        matches!(directory.check(created.secret.reveal(), store.now()), KeyCheck::Valid(key) if key.id == created.id)
    );
    assert_eq!(directory.check("cgw_0", store.now()), KeyCheck::Unknown);

    changes.borrow_and_update();
    assert!(tool.revoke_key(&created.id, "cli").await.unwrap());
    assert!(!tool.revoke_key(&created.id, "cli").await.unwrap());
    tokio::time::timeout(Duration::from_secs(2), changes.changed())
        .await
        .unwrap()
        .unwrap();
    let directory = server.ledger.directory().await.unwrap();
    assert!(matches!(
        directory.check(created.secret.reveal(), store.now()),
        KeyCheck::Revoked(_)
    ));
    tool.close().await;
    server.close().await;
}

async fn a_rotated_key_has_a_new_secret_only(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let first = gateway
        .ledger
        .create_key(&named("ci"), "cli")
        .await
        .unwrap();
    let second = gateway.ledger.rotate_key(&first.id, "cli").await.unwrap();
    assert_eq!(first.id, second.id);
    let directory = gateway.ledger.directory().await.unwrap();
    assert_eq!(
        directory.check(first.secret.reveal(), store.now()),
        KeyCheck::Unknown
    );
    assert!(
        matches!(directory.check(second.secret.reveal(), store.now()), KeyCheck::Valid(key) if key.name == "ci")
    );
    assert!(
        second
            .secret
            .reveal()
            .ends_with(&directory.key(&second.id).unwrap().ending)
    );
    gateway.ledger.revoke_key(&first.id, "cli").await.unwrap();
    let refused = gateway
        .ledger
        .rotate_key(&first.id, "cli")
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), LedgerErrorKind::NotFound);
    gateway.close().await;
}

async fn a_key_expires(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let expires_at = Some(store.now() + Duration::from_secs(60));
    let created = gateway
        .ledger
        .create_key(
            &NewKey {
                expires_at,
                ..named("short")
            },
            "cli",
        )
        .await
        .unwrap();
    let directory = gateway.ledger.directory().await.unwrap();
    assert!(matches!(
        directory.check(created.secret.reveal(), store.now()),
        KeyCheck::Valid(_)
    ));
    store.advance(Duration::from_secs(60));
    assert!(matches!(
        directory.check(created.secret.reveal(), store.now()),
        KeyCheck::Expired(_)
    ));
    let nameless = gateway
        .ledger
        .create_key(&named(" "), "cli")
        .await
        .unwrap_err();
    assert_eq!(nameless.kind(), LedgerErrorKind::Invalid);
    gateway.close().await;
}

async fn of_two_creations_at_once_one_gets_the_name(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let tool = gateway_ledger::Ledger::attach(store.options("tool"))
        .await
        .unwrap();
    for round in 0..8 {
        let new = named(&format!("twice-{round}"));
        let (one, other) = tokio::join!(
            gateway.ledger.create_key(&new, "admin"),
            tool.create_key(&new, "cli")
        );
        let (made, refused) = match (one, other) {
            (Ok(made), Err(refused)) | (Err(refused), Ok(made)) => (made, refused),
            (one, other) => panic!("{one:?} {other:?}"),
        };
        assert_eq!(refused.kind(), LedgerErrorKind::Conflict);
        assert!(refused.to_string().contains(&made.id), "{refused}");
    }
    // A name is free again once its key is revoked, and taken by renaming as well.
    let keys = tool.keys().await.unwrap();
    let [first, second, ..] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    let rename = KeyUpdate {
        name: Some(first.name.clone()),
        ..KeyUpdate::default()
    };
    let refused = tool.update_key(&second.id, &rename, "cli").await;
    assert_eq!(refused.unwrap_err().kind(), LedgerErrorKind::Conflict);
    tool.revoke_key(&first.id, "cli").await.unwrap();
    tool.update_key(&second.id, &rename, "cli").await.unwrap();
    tool.close().await;
    gateway.close().await;
}

async fn a_key_is_changed_without_its_secret(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let ledger = &gateway.ledger;
    let new = NewKey {
        owner: Some("ann".to_owned()),
        models: vec!["gpt-5*".to_owned()],
        limits: Limits {
            requests_per_minute: Some(60),
            concurrency: Some(2),
            ..Limits::default()
        },
        ..named("ci")
    };
    let created = ledger.create_key(&new, "cli").await.unwrap();
    let expires_at = store.now() + Duration::from_secs(60);
    let update = KeyUpdate {
        name: Some("ci-2".to_owned()),
        owner: FieldEdit::Remove,
        team: FieldEdit::Set("blue".to_owned()),
        expires_at: FieldEdit::Set(expires_at),
        models: Some(Vec::new()),
        routes: Some(vec![AuthRoute::Chatgpt]),
        requests_per_minute: FieldEdit::Set(5),
        concurrency: FieldEdit::Remove,
        ..KeyUpdate::default()
    };
    let after = ledger
        .update_key(&created.id, &update, "cli")
        .await
        .unwrap();
    let directory = ledger.directory().await.unwrap();
    let KeyCheck::Valid(stored) = directory.check(created.secret.reveal(), store.now()) else {
        panic!("the secret stays")
    };
    assert_eq!(*stored, after);
    assert_eq!(
        (
            &*after.name,
            &after.owner,
            after.team.as_deref(),
            after.expires_at
        ),
        ("ci-2", &None, Some("blue"), Some(expires_at))
    );
    assert_eq!(
        (&after.models, &*after.routes),
        (&vec![], &[AuthRoute::Chatgpt][..])
    );
    let limits = Limits {
        requests_per_minute: Some(5),
        ..Limits::default()
    };
    assert_eq!(after.limits, limits);
    assert!(directory.teams().iter().any(|team| team.name == "blue"));
    let updates = || async {
        let mut audit = ledger.audit(10).await.unwrap();
        audit.retain(|record| record.action == "key.update");
        audit
    };
    let audit = updates().await;
    assert_eq!(audit.len(), 1);
    assert_eq!(
        audit[0].detail["owner"],
        serde_json::json!({ "from": "ann", "to": null })
    );
    assert_eq!(audit[0].detail.get("created_at"), None, "only what changed");

    // What is the same already is no change.
    ledger
        .update_key(&created.id, &update, "cli")
        .await
        .unwrap();
    assert_eq!(updates().await, audit);
    ledger.revoke_key(&created.id, "cli").await.unwrap();
    let refused = ledger.update_key(&created.id, &update, "cli").await;
    assert_eq!(refused.unwrap_err().kind(), LedgerErrorKind::NotFound);
    gateway.close().await;
}

fn day(nanos: i64) -> Budget {
    Budget {
        nanos,
        window: Window::Day,
        billing: Billing::Metered,
        soft_percent: Some(80),
    }
}

async fn what_limits_a_key_is_found_together(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let ledger = &gateway.ledger;
    let new = NewKey {
        models: vec!["gpt-5.4*".to_owned()],
        routes: vec![AuthRoute::GatewayKey],
        limits: Limits {
            requests_per_minute: Some(10),
            ..Limits::default()
        },
        budgets: vec![day(5)],
        ..named("ci")
    };
    let id = ledger.create_key(&new, "cli").await.unwrap().id;
    let plain = ledger
        .create_key(
            &NewKey {
                team: None,
                ..named("plain")
            },
            "cli",
        )
        .await
        .unwrap()
        .id;
    ledger
        .put_team(
            "red",
            Limits {
                concurrency: Some(3),
                ..Limits::default()
            },
            "cli",
        )
        .await
        .unwrap();
    ledger
        .put_budget(&Scope::Gateway, &day(100), "cli")
        .await
        .unwrap();
    ledger
        .put_budget(&Scope::Gateway, &day(90), "cli")
        .await
        .unwrap();
    let directory = ledger.directory().await.unwrap();
    let key = directory.key(&id).unwrap();
    assert_eq!(
        (key.models.as_slice(), key.routes.as_slice()),
        (&*new.models, &*new.routes)
    );
    let limits = directory.limits(Some(key));
    let found: Vec<_> = limits
        .iter()
        .map(|limits| (limits.scope.as_text(), limits.budgets.len(), limits.limits))
        .collect();
    assert_eq!(
        found,
        [
            (format!("key:{id}"), 1, new.limits),
            (
                "team:red".to_owned(),
                0,
                Limits {
                    concurrency: Some(3),
                    ..Limits::default()
                }
            ),
            ("gateway".to_owned(), 1, Limits::default()),
        ]
    );
    assert_eq!(directory.limits(directory.key(&plain)).len(), 1);
    assert_eq!(directory.limits(None)[0].budgets, [day(90)]);

    gateway.close().await;
}

async fn teams_and_budgets_go_when_nobody_needs_them(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let ledger = &gateway.ledger;
    let id = ledger.create_key(&named("ci"), "cli").await.unwrap().id;
    ledger
        .put_budget(&Scope::Gateway, &day(90), "cli")
        .await
        .unwrap();
    assert_eq!(
        ledger.delete_team("red", "cli").await.unwrap_err().kind(),
        LedgerErrorKind::Conflict
    );
    ledger.revoke_key(&id, "cli").await.unwrap();
    assert!(ledger.delete_team("red", "cli").await.unwrap());
    assert!(
        ledger
            .delete_budget(&Scope::Gateway, Window::Day, Billing::Metered, "cli")
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .delete_budget(&Scope::Gateway, Window::Day, Billing::Metered, "cli")
            .await
            .unwrap()
    );
    assert_eq!(ledger.directory().await.unwrap().limits(None), []);
    gateway.close().await;
}

async fn every_change_is_in_the_audit_log_without_secrets(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let created = gateway
        .ledger
        .create_key(&named("ci"), "alice")
        .await
        .unwrap();
    store.advance(Duration::from_secs(1));
    gateway
        .ledger
        .put_budget(&Scope::Team("red".to_owned()), &day(7), "bob")
        .await
        .unwrap();
    store.advance(Duration::from_secs(1));
    gateway.ledger.revoke_key(&created.id, "bob").await.unwrap();
    let log = gateway.ledger.audit(10).await.unwrap();
    let seen: Vec<_> = log
        .iter()
        .map(|record| {
            (
                record.actor.as_str(),
                record.action.as_str(),
                record.subject.as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("bob", "key.revoke", created.id.as_str()),
            ("bob", "budget.put", "team:red"),
            ("alice", "key.create", created.id.as_str())
        ]
    );
    let text = format!(
        "{log:?} {created:?} {:?}",
        gateway.ledger.keys().await.unwrap()
    );
    assert!(!text.contains(created.secret.reveal()));
    gateway.close().await;
}

async fn a_sign_in_link_works_once(store: Arc<Store>) {
    let (a, b) = (store.open("a").await, store.open("b").await);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let link = a.ledger.create_sign_in(minutes(10), "cli").await.unwrap();
    // Both replicas are asked at once; one of them gives a session.
    let both = tokio::join!(
        a.ledger.redeem_sign_in(link.reveal(), minutes(60), "admin"),
        b.ledger.redeem_sign_in(link.reveal(), minutes(60), "admin"),
    );
    let sessions: Vec<_> = [both.0.unwrap(), both.1.unwrap()]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(sessions.len(), 1);
    let session = sessions[0].secret.reveal();
    assert!(b.ledger.session(session).await.unwrap().is_some());
    assert!(b.ledger.session(link.reveal()).await.unwrap().is_none());
    store.advance(minutes(61));
    assert!(a.ledger.session(session).await.unwrap().is_none());

    let late = a.ledger.create_sign_in(minutes(10), "cli").await.unwrap();
    store.advance(minutes(10));
    assert_eq!(
        a.ledger
            .redeem_sign_in(late.reveal(), minutes(60), "admin")
            .await
            .unwrap()
            .map(|session| session.expires_at),
        None
    );
    let link = a.ledger.create_sign_in(minutes(10), "cli").await.unwrap();
    let session = a
        .ledger
        .redeem_sign_in(link.reveal(), minutes(60), "admin")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        b.ledger
            .end_sessions(Some(session.secret.reveal()), "admin")
            .await
            .unwrap(),
        1
    );
    assert!(
        a.ledger
            .session(session.secret.reveal())
            .await
            .unwrap()
            .is_none()
    );
    // Nobody is signed in after this, on either replica.
    let link = b.ledger.create_sign_in(minutes(10), "cli").await.unwrap();
    assert_eq!(a.ledger.end_sessions(None, "cli").await.unwrap(), 1);
    let gone = b
        .ledger
        .redeem_sign_in(link.reveal(), minutes(60), "admin")
        .await
        .unwrap();
    assert!(gone.is_none());
    let actions: Vec<_> = b
        .ledger
        .audit(100)
        .await
        .unwrap()
        .into_iter()
        .map(|record| record.action)
        .collect();
    let count = |action: &str| actions.iter().filter(|known| *known == action).count();
    assert_eq!(
        [
            count("sign_in.create"),
            count("session.begin"),
            count("session.end")
        ],
        [4, 2, 2]
    );
    a.close().await;
    b.close().await;
}

async fn budgets_say_where_they_stand(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let scope = Scope::Key("k1".to_owned());
    let mut new = intent(store.now());
    new.attribution.key = Some("k1".to_owned());
    gateway.ledger.settle(entry(new, "a")).await;
    let limits = gateway_policy::limit::ScopeLimits {
        scope: scope.clone(),
        budgets: vec![day(1_000_000_000)],
        limits: Limits::default(),
    };
    let reserved = claim(store.now(), 70, &[limits]);
    gateway.ledger.reserve(reserved).await.unwrap();
    let tool = gateway_ledger::Ledger::attach(store.options("tool"))
        .await
        .unwrap();
    let total = Budget {
        window: Window::Total,
        ..day(5)
    };
    let standings = tool
        .budget_status(&[
            (scope.clone(), day(9)),
            (scope, total),
            (Scope::Gateway, day(9)),
        ])
        .await
        .unwrap();
    let positions: Vec<_> = standings.iter().map(|standing| standing.position).collect();
    let spent = 1_500_000;
    assert_eq!(
        positions,
        [
            Position {
                spent,
                reserved: 70
            },
            Position {
                spent,
                reserved: 70
            },
            Position { spent, reserved: 0 }
        ]
    );
    assert_eq!(
        standings[0].resets_at.unwrap().to_string(),
        "2026-11-21T00:00:00Z"
    );
    assert_eq!(standings[1].resets_at, None);
    tool.close().await;
    gateway.close().await;
}
