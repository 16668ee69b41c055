//! The books against the truth: many mixed exchanges at once, a gateway that is killed three times
//! in between, and then the ledger compared with the upstream's own tally, entry for entry. Nothing
//! may be lost and nothing may be there twice.

mod invoice;
mod judge;
mod mix;
mod store;

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::upstream::Upstream;
use mix::{Ask, Seen};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinSet;

const CONCURRENCY: usize = 200;
const KILLS: usize = 3;

/// How many exchanges to make; a few hundred show every kind of them.
fn exchanges() -> usize {
    std::env::var("CODEX_GATEWAY_TEST_EXCHANGES").map_or(400, |count| {
        count
            .parse()
            .expect("CODEX_GATEWAY_TEST_EXCHANGES is a number")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_equals_the_tally_on_sqlite() {
    reconcile(Store::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_equals_the_tally_on_postgres() {
    if let Some(store) = Store::postgres() {
        reconcile(store).await;
    }
}

async fn reconcile(store: Store) {
    let total = exchanges();
    let upstream = Upstream::with(mix::script()).await;
    let config = Config::to(&upstream)
        .upstream("forward_client_headers = true")
        .rest(&format!(
            "[storage]\nurl = \"{}\"\n\n[models]\nlearned_ttl = \"0s\"\n",
            store.url()
        ));
    let mut gateway = Gateway::start(&config).await;
    let began = Instant::now();
    let seen = run(&mut gateway, total).await;
    let took = began.elapsed();
    gateway.signal("TERM");
    gateway.wait_for_exit(Duration::from_mins(1)).await;
    upstream.wait_until_idle().await;

    let books = store.read(&gateway.data_dir()).await;
    let verdict = judge::compare(&seen, &upstream.requests(), &upstream.served(), &books);
    println!(
        "{}: {total} exchanges in {:.1} s; {}",
        store.name(),
        took.as_secs_f64(),
        verdict.summary
    );
    let shown: Vec<&String> = verdict.mismatches.iter().take(20).collect();
    assert!(
        shown.is_empty(),
        "{} mismatches, the first of them: {shown:#?}",
        verdict.mismatches.len()
    );
    // So that an empty run cannot pass.
    assert!(verdict.exact * 4 > total, "{}", verdict.summary);
}

/// Makes all exchanges, and kills the gateway three times while they run.
async fn run(gateway: &mut Gateway, total: usize) -> Vec<Seen> {
    let next = Arc::new(AtomicUsize::new(0));
    let (finished, mut progress) = watch::channel(0_usize);
    let finished = Arc::new(finished);
    let (up, is_up) = watch::channel(true);
    let client = gateway.client();
    let mut workers = JoinSet::new();
    // Each kill may cut off what runs: in a small run that must not be most of it.
    for _ in 0..CONCURRENCY.min(total / 8) {
        let (next, finished, client) = (Arc::clone(&next), Arc::clone(&finished), client.clone());
        let mut is_up = is_up.clone();
        workers.spawn(async move {
            let mut seen = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return seen;
                }
                let ask = Ask::nth(number);
                // Refused at the door: nothing was sent, so the same exchange is made once the
                // gateway is back.
                loop {
                    is_up
                        .wait_for(|is_up| *is_up)
                        .await
                        .expect("the test goes on");
                    if let Some(one) = ask.make(&client).await {
                        seen.push(one);
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                finished.send_modify(|finished| *finished += 1);
            }
        });
    }
    for kill in 1..=KILLS {
        let enough = total * kill / (KILLS + 1);
        progress
            .wait_for(|finished| *finished >= enough)
            .await
            .expect("the workers go on");
        up.send_replace(false);
        gateway.signal("KILL");
        gateway.wait_for_exit(Duration::from_secs(10)).await;
        gateway.start_again().await;
        up.send_replace(true);
    }
    workers.join_all().await.into_iter().flatten().collect()
}
