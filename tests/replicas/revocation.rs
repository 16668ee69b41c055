//! A key revoked by somebody at a terminal, while both replicas are busy with it.

use crate::team::{KNOWN_WITHIN, Team, refusal};
use gateway_tests::upstream::Script;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WORKERS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_stops_on_both_replicas_while_they_are_busy_with_it() {
    let mut script = Script::default();
    script.model.delay_ms = 5;
    let team = Arc::new(Team::start(script).await);
    let key = Arc::new(team.key(&["--name", "leaked"]).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (team, key, is_over) = (Arc::clone(&team), Arc::clone(&key), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let reply = team.ask(worker % 2, &key, "hi").send().await;
                    assert_eq!(reply.cut, None, "what was begun is finished");
                    seen.push((worker % 2, asked, refusal_or_ok(&reply)));
                }
                seen
            })
        })
        .collect();
    // Both are at it before it is revoked.
    team.upstream
        .wait_until("a hundred requests", |requests| requests.len() >= 100)
        .await;
    let (revoking, id) = (Arc::clone(&team), key.id.clone());
    let revoked = tokio::task::spawn_blocking(move || {
        revoking.administer(&["keys", "revoke", &id]);
        Instant::now()
    });
    let revoked = revoked.await.expect("the command runs");
    tokio::time::sleep_until((revoked + KNOWN_WITHIN + Duration::from_secs(1)).into()).await;
    is_over.store(true, Ordering::Relaxed);

    let mut last = [Duration::ZERO; 2];
    let mut counts = [(0, 0); 2];
    for worker in workers {
        for (replica, asked, refusal) in worker.await.expect("no worker panics") {
            let Some(refusal) = refusal else {
                counts[replica].0 += 1;
                last[replica] = last[replica].max(asked.saturating_duration_since(revoked));
                continue;
            };
            assert_eq!(refusal, (401, "invalid_gateway_key".to_owned()));
            counts[replica].1 += 1;
        }
    }
    println!("served and refused: {counts:?}; last served after the command's end: {last:?}");
    for replica in 0..2 {
        assert!(
            counts[replica].0 > 10 && counts[replica].1 > 10,
            "{counts:?}"
        );
        assert!(last[replica] < KNOWN_WITHIN, "{last:?}");
    }
    team.nothing_stays_open().await;
}

fn refusal_or_ok(reply: &gateway_tests::client::Reply) -> Option<(u16, String)> {
    (reply.status != 200).then(|| refusal(reply))
}
