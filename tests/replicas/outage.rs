//! PostgreSQL goes away under load and comes back, twice: told, as when it stops, and untold, as
//! when the network is cut.

use crate::team::{KNOWN_WITHIN, Key, Team, database, refusal};
use gateway_tests::client::Reply;
use gateway_tests::postgres::Traffic;
use gateway_tests::upstream::{Chunking, Matcher, ModelAnswer, Respond, Script};
use gateway_tests::wait::poll_interval;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Streams in flight when it happens, on each replica.
const STREAMS: usize = 6;
/// How long an answer takes that is under way then.
const SLOW_MS: u64 = 400;

/// How long the database stays away; a person can wait longer.
fn away() -> Duration {
    let seconds = std::env::var("CODEX_GATEWAY_TEST_OUTAGE_SECONDS");
    Duration::from_secs(seconds.map_or(8, |text| text.parse().expect("a number of seconds")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_postgres_is_stopped() {
    outage(Traffic::Ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_network_to_postgres_is_cut() {
    outage(Traffic::Vanishes).await;
}

async fn outage(how: Traffic) {
    let slow = Matcher {
        body_contains: Some("slowly".to_owned()),
        ..Matcher::default()
    };
    let answer = ModelAnswer::text("a paid answer")
        .cuts(Chunking::Events)
        .delay_ms(SLOW_MS);
    let script = Script::default().rule(slow, Respond::ModelAnswer(Box::new(answer)));
    let database = database();
    let way = database.way().await;
    let urls = [database.url_through(&way), database.url_through(&way)];
    let team = Team::start_on(script, database, urls, "").await;
    let key = team
        .key(&[
            "--name",
            "team",
            "--budget",
            "5.00/day",
            "--concurrency",
            "100",
        ])
        .await;
    let leaked = team.key(&["--name", "leaked"]).await;
    let warm = |replica| team.ask(replica, &key, "hi").send();
    assert_eq!((warm(0).await.status, warm(1).await.status), (200, 200));
    let streams: Vec<_> = (0..STREAMS * 2)
        .map(|number| tokio::spawn(team.ask(number % 2, &key, "slowly").send()))
        .collect();
    team.upstream
        .wait_until("the slow ones are under way", |requests| {
            let posted = requests.iter().filter(|request| request.method == "POST");
            posted.count() == 2 + STREAMS * 2
        })
        .await;
    way.set(how);
    let gone = Instant::now();
    refused_meanwhile(&team, &key, gone).await;
    for stream in streams {
        let reply = stream.await.expect("no request panics");
        let last = reply.events().pop().unwrap_or_default();
        assert_eq!(
            (reply.status, &last["type"]),
            (200, &json!("response.completed")),
            "a paid answer is released: {}",
            reply.text()
        );
    }
    assert_eq!(team.upstream.model_requests().len(), 2 + STREAMS * 2);
    // Nobody can tell the replicas as long as they are cut off.
    team.administer(&["keys", "revoke", &leaked.id]);
    tokio::time::sleep_until((gone + away()).into()).await;

    way.set(Traffic::Passes);
    recovers(&team, [&key, &leaked]).await;
    team.nothing_stays_open().await;
    compare_with_tally(&team);
    drop(way);
}

/// While the database is away, each request is refused before anything is sent, clearly and soon.
async fn refused_meanwhile(team: &Team, key: &Key, gone: Instant) {
    let mut count = 0;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while gone.elapsed() < away() / 2 {
        for replica in 0..2 {
            let asked = Instant::now();
            let reply = team.ask(replica, key, "hi").send().await;
            assert_eq!(
                refusal(&reply),
                (503, "storage_unavailable".to_owned()),
                "{}",
                reply.text()
            );
            assert!(reply.header("retry-after").is_some());
            assert!(
                asked.elapsed() < Duration::from_secs(3),
                "{:?}",
                asked.elapsed()
            );
            count += 1;
        }
        pace.tick().await;
    }
    for replica in &team.replicas {
        let ready = replica.client().get("/readyz").send().await;
        assert_eq!(ready.status, 503, "no traffic should come here now");
    }
    println!("{count} requests refused meanwhile");
}

/// Without a restart; and a key that was revoked in the meantime works nowhere for longer than the
/// contract allows.
async fn recovers(team: &Team, [key, leaked]: [&Key; 2]) {
    let back = Instant::now();
    let mut served = [None; 2];
    let mut last_leak = Duration::ZERO;
    while back.elapsed() < KNOWN_WITHIN + Duration::from_secs(3) {
        for (replica, served) in served.iter_mut().enumerate() {
            let ask = async |key: &Key| -> (Duration, Reply) {
                let asked = back.elapsed();
                (asked, team.ask(replica, key, "hi").send().await)
            };
            let (asked, reply) = ask(key).await;
            if reply.status == 200 {
                served.get_or_insert(asked);
            }
            let (asked, reply) = ask(leaked).await;
            if reply.status == 200 {
                last_leak = last_leak.max(asked);
            }
        }
        poll_interval().await;
    }
    println!("served again after {served:?}; the revoked key last worked after {last_leak:?}");
    assert!(last_leak < KNOWN_WITHIN, "{last_leak:?}");
    assert!(served.iter().all(Option::is_some), "{served:?}");
}

/// What upstreams were paid for is in the books, once.
fn compare_with_tally(team: &Team) {
    let served = team.upstream.served();
    let used = |tokens: fn(&gateway_tests::upstream::Usage) -> u64| -> Value {
        let sum: u64 = served
            .iter()
            .filter_map(|served| served.usage.as_ref())
            .map(tokens)
            .sum();
        json!(sum)
    };
    let total = team.total();
    assert_eq!(
        (&total["input_tokens"], &total["output_tokens"]),
        (&used(|usage| usage.input), &used(|usage| usage.output)),
        "{total}"
    );
    let sql = "SELECT outcome, COUNT(*) FROM entries WHERE status = 200 GROUP BY outcome";
    assert_eq!(
        team.database.query(sql),
        [format!("completed|{}", served.len())]
    );
}

/// A replica that vanishes while it decides holds a lock in the database until the server gives it
/// up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_vanishes_while_it_decides_holds_the_others_up_briefly() {
    const HELD_UP: Duration = Duration::from_secs(6);
    let database = database();
    let way = database.way().await;
    let urls = [database.url_through(&way), database.url()];
    let team = Team::start_on(Script::default(), database, urls, "").await;
    let key = team.key(&["--name", "team", "--budget", "5.00/day"]).await;
    way.vanish_at("INSERT INTO reservations");
    let doomed = tokio::spawn(team.ask(0, &key, "hi").send());
    way.vanished().await;
    let gone = Instant::now();
    let (mut refused, mut served) = (0, 0);
    while served < 20 {
        let reply = team.ask(1, &key, "hi").send().await;
        if reply.status == 200 {
            served += 1;
            continue;
        }
        assert_eq!(refusal(&reply), (503, "storage_unavailable".to_owned()));
        assert!(gone.elapsed() < HELD_UP, "{:?}", gone.elapsed());
        refused += 1;
    }
    println!("refused {refused}, then served after {:?}", gone.elapsed());
    assert!(refused > 0, "it did not hold the lock");
    let doomed = doomed.await.expect("no request panics");
    assert_eq!(refusal(&doomed), (503, "storage_unavailable".to_owned()));
    way.set(Traffic::Passes);
    team.nothing_stays_open().await;
}
