//! A replica killed with streams open.

use crate::team::{Team, refusal};
use gateway_tests::upstream::{Chunking, Payload, ReplyHead, Script, Step};
use std::time::{Duration, Instant};

/// The lease in docs/ledger.md, the next look of the other replica, and room for a slow machine.
const SWEPT_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_replica_held_is_given_back_and_a_live_ones_is_not() {
    let delta = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"so far\"}\n\n";
    let mut team = Team::start(Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(delta.to_owned()),
            cuts: Chunking::Whole,
            delay_ms: 0,
        },
        Step::Stall,
    ]))
    .await;
    let key = team
        .key(&[
            "--name",
            "five",
            "--concurrency",
            "5",
            "--budget",
            "1.00/day",
        ])
        .await;
    let other = team.key(&["--name", "other"]).await;
    let mut doomed = Vec::new();
    for _ in 0..4 {
        let mut open = team.ask(0, &key, "hi").open().await;
        open.until("so far").await;
        doomed.push(open);
    }
    let mut lasting = team.ask(1, &key, "hi").open().await;
    lasting.until("so far").await;
    let full = team.ask(1, &key, "hi").send().await;
    assert_eq!(refusal(&full), (429, "rate_limit_exceeded".to_owned()));

    team.replicas[0].signal("KILL");
    team.replicas[0]
        .wait_for_exit(Duration::from_secs(10))
        .await;
    let killed = Instant::now();
    drop(doomed);
    let reservations = "SELECT COUNT(*), COUNT(DISTINCT instance) FROM reservations";
    assert_eq!(team.database.query(reservations), ["5|2"]);
    // The rest of the team goes on.
    let mut going_on = team.ask(1, &other, "hi").open().await;
    going_on.until("so far").await;
    drop(going_on);

    let swept = "SELECT outcome, COUNT(*) FROM entries WHERE outcome IN ('interrupted', 'completed', 'failed') GROUP BY outcome";
    team.until(swept, "interrupted|4", SWEPT_WITHIN).await;
    println!("swept {:?} after the kill", killed.elapsed());
    team.until(reservations, "1|1", Duration::from_secs(5))
        .await;
    assert_eq!(team.database.query("SELECT COUNT(*) FROM intents"), ["1"]);
    // Its stream has been open all the time, longer than a lease, and its place is still taken.
    let mut four = Vec::new();
    for _ in 0..4 {
        let mut open = team.ask(1, &key, "hi").open().await;
        open.until("so far").await;
        four.push(open);
    }
    let full = team.ask(1, &key, "hi").send().await;
    assert_eq!(refusal(&full), (429, "rate_limit_exceeded".to_owned()));
    drop((lasting, four));
    // The restarted replica finds nothing left to settle.
    team.replicas[0].start_again().await;
    team.nothing_stays_open().await;
    let by_outcome = "SELECT outcome, COUNT(*) FROM entries GROUP BY outcome ORDER BY outcome";
    assert_eq!(
        team.database.query(by_outcome),
        ["client_gone|6", "interrupted|4", "rejected|2"]
    );
}
