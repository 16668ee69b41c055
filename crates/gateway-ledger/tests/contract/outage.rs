//! PostgreSQL goes away and comes back, seen through a proxy that the test cuts or stops.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{
    Admission, Claim, ExchangeQuery, LedgerErrorKind, OpenOptions, Settled, UsageQuery,
};
use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Limits, Scope, ScopeLimits, Window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::stores::{Gateway, Kind, Store, claim, entry, intent, run};

const PASS: u8 = 0;
const CUT: u8 = 1;
const HANG: u8 = 2;

/// Passes bytes on, drops every connection, or holds everything back.
struct Proxy {
    port: u16,
    mode: watch::Sender<u8>,
}

impl Proxy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the proxy's tasks end with the test's runtime"
    )]
    async fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, watching) = watch::channel(PASS);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *watching.borrow() == CUT {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else {
                    continue;
                };
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = server.into_split();
                tokio::spawn(carry(client_read, server_write, watching.clone()));
                tokio::spawn(carry(server_read, client_write, watching.clone()));
            }
        });
        Self { port, mode }
    }

    fn set(&self, mode: u8) {
        self.mode.send_replace(mode);
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut mode: watch::Receiver<u8>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *mode.borrow_and_update();
        match now {
            CUT => return,
            HANG => drop(mode.changed().await),
            _ => tokio::select! {
                read = from.read(&mut buffer) => {
                    let Ok(count @ 1..) = read else { return };
                    // What was read when the hang began is held back too.
                    if *mode.borrow() == HANG {
                        drop(mode.wait_for(|mode| *mode != HANG).await);
                    }
                    if to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                _ = mode.changed() => {}
            },
        }
    }
}

/// The store's URL with the proxy in place of the server.
async fn proxied(store: &Store) -> (Proxy, OpenOptions) {
    let url = store.options("a").url;
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, database) = rest.split_once('/').unwrap();
    let (user, host) = authority
        .rsplit_once('@')
        .unwrap_or(("postgres", authority));
    let target = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:5432")
    };
    let proxy = Proxy::new(target).await;
    let url = format!("{scheme}://{user}@127.0.0.1:{}/{database}", proxy.port);
    let options = OpenOptions {
        url,
        ..store.options("a")
    };
    (proxy, options)
}

/// A claim of all that a budget has.
fn whole_budget(store: &Store) -> Claim {
    let budget = Budget {
        nanos: 100_000_000,
        window: Window::Day,
        billing: Billing::Metered,
        soft_percent: None,
    };
    let scope = ScopeLimits {
        scope: Scope::Key("other".to_owned()),
        budgets: vec![budget],
        limits: Limits::default(),
    };
    claim(store.now(), budget.nanos, &[scope])
}

fn is_granted(admission: &Admission) -> bool {
    matches!(admission, Admission::Granted { .. })
}

async fn outage(store: Arc<Store>, mode: u8) {
    let (proxy, options) = proxied(&store).await;
    let gateway = Gateway::start(options).await;
    let open: Vec<_> = (0..50).map(|_| intent(store.now())).collect();
    for intent in &open {
        gateway.ledger.begin(intent).await.unwrap();
    }
    let held = whole_budget(&store);
    assert!(is_granted(
        &gateway.ledger.reserve(held.clone()).await.unwrap()
    ));
    proxy.set(mode);
    gateway.ledger.withdraw(&held.id);
    let begun = Instant::now();
    let entries: Vec<_> = open.into_iter().map(|intent| entry(intent, "a")).collect();
    let settled = join_all(
        entries
            .iter()
            .map(|entry| gateway.ledger.settle(entry.clone())),
    )
    .await;
    assert!(
        settled
            .iter()
            .all(|settled| matches!(settled, Settled::Spooled)),
        "{settled:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    // The outage is known: nothing waits for it any more.
    for _ in 0..20 {
        let begun = Instant::now();
        let refused = gateway
            .ledger
            .begin(&intent(store.now()))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), LedgerErrorKind::Unavailable);
        assert!(matches!(
            gateway.ledger.settle(entry(intent(store.now()), "a")).await,
            Settled::Spooled
        ));
        assert!(
            begun.elapsed() < Duration::from_millis(500),
            "{:?}",
            begun.elapsed()
        );
    }
    proxy.set(PASS);
    check_recovery(gateway, &store).await;
}

async fn check_recovery(gateway: Gateway, store: &Store) {
    crate::durability::until("the spool is drained", async || {
        let health = gateway.ledger.health();
        health.ok && health.spool_depth == 0
    })
    .await;
    gateway.ledger.begin(&intent(store.now())).await.unwrap();
    // What was given back during the outage is given back in the end.
    crate::durability::until("the budget is free again", async || {
        gateway
            .ledger
            .reserve(whole_budget(store))
            .await
            .is_ok_and(|answer| is_granted(&answer))
    })
    .await;
    let total = gateway
        .ledger
        .usage(&UsageQuery::default())
        .await
        .unwrap()
        .total;
    assert_eq!(
        (total.requests, total.cost_nanos_metered),
        (70, 70 * 1_500_000)
    );
    let page = gateway
        .ledger
        .exchanges(&ExchangeQuery {
            limit: 1000,
            ..ExchangeQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(page.items.len(), 70);
    gateway.close().await;
}

#[test]
fn nothing_is_lost_when_postgres_goes_away_and_comes_back() {
    run(Kind::Postgres, |store| outage(store, CUT));
}

#[test]
fn nothing_is_lost_when_postgres_hangs_and_goes_on() {
    run(Kind::Postgres, |store| outage(store, HANG));
}
