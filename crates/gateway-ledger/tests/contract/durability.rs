//! What must not be lost, and when: crashes, stores that fail or hang, leases, retention.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gateway_ledger::{
    Durability, EntryId, ExchangeQuery, LedgerEntry, LedgerErrorKind, OpenOptions, Outcome,
    Settled, UsageQuery,
};

use tokio::time::Instant;

use crate::stores::{Gateway, Kind, Store, entry, intent, run};

crate::on_every_store! {
    kill_nine_loses_no_acknowledged_entry_and_no_intent,
    a_live_replica_is_not_swept_before_its_lease_is_over,
    a_late_entry_from_a_spool_replaces_the_sweeps_guess,
    retention_deletes_entries_and_keeps_sums_in_step,
    queued_entries_are_written_before_the_end,
}

/// Set in the child process that is going to be killed: the storage URL and the data directory.
const CHILD: &str = "GATEWAY_LEDGER_TEST_CHILD";

/// Not a test by itself: what the killed process runs. It tells of each step on stdout as soon as
/// the ledger has said yes.
#[test]
fn child_process() {
    let Some(child) = std::env::var_os(CHILD) else {
        return;
    };
    let child = child.into_string().unwrap();
    let (url, dir) = child.split_once('|').unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = OpenOptions {
            url: url.to_owned(),
            data_dir: dir.into(),
            clock: Arc::new(|| jiff::Timestamp::from_microsecond(crate::stores::NOON).unwrap()),
            ..crate::stores::options_for_child()
        };
        let gateway = Gateway::start(options).await;
        let say = |word: &str, id: &EntryId| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "STEP {word} {id}").unwrap();
            out.flush().unwrap();
        };
        let workers = (0..16).map(|_| async {
            loop {
                let intent =
                    intent(jiff::Timestamp::from_microsecond(crate::stores::NOON).unwrap());
                gateway.ledger.begin(&intent).await.unwrap();
                say("begun", &intent.id);
                let entry = entry(intent, "a");
                let settled = gateway.ledger.settle(entry.clone()).await;
                assert!(
                    matches!(settled, Settled::Committed | Settled::Spooled),
                    "{settled:?}"
                );
                say("settled", entry.id());
            }
        });
        join_all(workers).await;
    });
}

/// Runs a child until it has told of so many steps, kills it, and answers what it had begun and
/// settled.
fn run_and_kill(store: &Store, enough: usize) -> (Vec<EntryId>, Vec<EntryId>) {
    let options = store.options("a");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::child_process",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(
            CHILD,
            format!("{}|{}", options.url, options.data_dir.display()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut begun, mut settled) = (Vec::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((_, step)) = line.split_once("STEP ") else {
            continue;
        };
        let (word, id) = step.split_once(' ').unwrap();
        let ids = if word == "begun" {
            &mut begun
        } else {
            &mut settled
        };
        ids.push(EntryId::parse(id).unwrap());
        if begun.len() + settled.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        begun.len() + settled.len() >= enough,
        "the child ended by itself"
    );
    (begun, settled)
}

async fn kill_nine_loses_no_acknowledged_entry_and_no_intent(store: Arc<Store>) {
    let (mut begun, mut settled) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let steps = run_and_kill(&store, 150 + 70 * round);
        begun.extend(steps.0);
        settled.extend(steps.1);
    }
    let gateway = store.open("a").await;
    for id in &settled {
        let entry = gateway.ledger.exchange(id).await.unwrap();
        assert_eq!(
            entry.map(|entry| entry.result.outcome),
            Some(Outcome::Completed),
            "{id} was acknowledged"
        );
    }
    for id in &begun {
        let entry = gateway
            .ledger
            .exchange(id)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("{id} is nowhere"));
        assert!(
            matches!(
                entry.result.outcome,
                Outcome::Completed | Outcome::Interrupted
            ),
            "{entry:?}"
        );
    }
    // Each entry is there once, and the sums agree with the entries.
    let usage = gateway.ledger.usage(&UsageQuery::default()).await.unwrap();
    let mut query = ExchangeQuery {
        limit: 1000,
        ..ExchangeQuery::default()
    };
    let mut all: Vec<LedgerEntry> = Vec::new();
    loop {
        let page = gateway.ledger.exchanges(&query).await.unwrap();
        all.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(usage.total.requests, i64::try_from(all.len()).unwrap());
    assert_eq!(
        usage.total.cost_nanos_metered,
        all.iter()
            .filter_map(|entry| entry.result.cost.nanos)
            .sum::<i64>()
    );
    gateway.close().await;
}

/// Looks again and again; the keepers beat in real time.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    while !is_so().await {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "waited in vain until {what}"
        );
        beat.tick().await;
    }
}

pub(crate) fn leased(store: &Store, instance: &str, millis: u64) -> OpenOptions {
    OpenOptions {
        lease: Duration::from_millis(millis),
        ..store.options(instance)
    }
}

async fn a_live_replica_is_not_swept_before_its_lease_is_over(store: Arc<Store>) {
    // The clock stands still: leases end when the test says so.
    let live = store.open_with(leased(&store, "live", 60_000)).await;
    let dead = store.open_with(leased(&store, "dead", 1_000)).await;
    let sweeper = store.open_with(leased(&store, "sweeper", 300)).await;
    let (of_live, of_dead, own) = (
        intent(store.now()),
        intent(store.now()),
        intent(store.now()),
    );
    live.ledger.begin(&of_live).await.unwrap();
    dead.ledger.begin(&of_dead).await.unwrap();
    sweeper.ledger.begin(&own).await.unwrap();
    dead.crash().await;
    live.crash().await;
    let seen = async |id| sweeper.ledger.exchange(id).await.unwrap();
    store.advance(Duration::from_secs(30));
    until("the dead replica is swept", async || {
        seen(&of_dead.id).await.is_some()
    })
    .await;
    let swept = seen(&of_dead.id).await.unwrap();
    assert_eq!(
        (swept.result.outcome, swept.result.instance.as_str()),
        (Outcome::Interrupted, "dead")
    );
    // Neither the one whose lease is not over nor its own.
    assert_eq!((seen(&of_live.id).await, seen(&own.id).await), (None, None));
    store.advance(Duration::from_secs(31));
    until("the other one is swept too", async || {
        seen(&of_live.id).await.is_some()
    })
    .await;
    assert_eq!(seen(&own.id).await, None);
    sweeper.ledger.settle(entry(own, "sweeper")).await;
    sweeper.close().await;
    let sweeper = store.open("sweeper").await;
    assert_eq!(sweeper.interrupted, []);
    sweeper.close().await;
}

async fn a_late_entry_from_a_spool_replaces_the_sweeps_guess(store: Arc<Store>) {
    let a = store.open("a").await;
    let open = intent(store.now());
    a.ledger.begin(&open).await.unwrap();
    a.ledger.close().await;
    // Closed: the entry goes to the spool, as it does when the store fails.
    let truth = entry(open, "a");
    assert!(matches!(
        a.ledger.settle(truth.clone()).await,
        Settled::Spooled
    ));
    assert_eq!(a.ledger.health().spool_depth, 1);
    drop(a);
    store.advance(Duration::from_secs(61));
    let b = store.open_with(leased(&store, "b", 300)).await;
    until("the guess is there", async || {
        b.ledger.exchange(truth.id()).await.unwrap().is_some()
    })
    .await;
    assert_eq!(
        b.ledger
            .exchange(truth.id())
            .await
            .unwrap()
            .unwrap()
            .result
            .outcome,
        Outcome::Interrupted
    );
    let a = store.open("a").await;
    assert_eq!((a.interrupted.len(), a.ledger.health().spool_depth), (0, 0));
    assert_eq!(b.ledger.exchange(truth.id()).await.unwrap(), Some(truth));
    let total = b.ledger.usage(&UsageQuery::default()).await.unwrap().total;
    assert_eq!(
        (
            total.requests,
            total.unpriced_requests,
            total.cost_nanos_metered
        ),
        (1, 0, 1_500_000)
    );
    a.close().await;
    b.close().await;
}

async fn retention_deletes_entries_and_keeps_sums_in_step(store: Arc<Store>) {
    let gateway = store.open("a").await;
    let mut old = Vec::new();
    for _ in 0..3_000 {
        let mut entry = entry(intent(store.now()), "a");
        entry.result.upstream_response_id = Some("x".repeat(500));
        old.push(entry);
    }
    for wave in old.chunks(250) {
        join_all(
            wave.iter()
                .map(|entry| gateway.ledger.settle(entry.clone())),
        )
        .await;
    }
    until("nothing waits in the spool", async || {
        gateway.ledger.health().spool_depth == 0
    })
    .await;
    store.advance(Duration::from_secs(86_400));
    let young = entry(intent(store.now()), "a");
    gateway.ledger.settle(young.clone()).await;
    let file = store.database_file();
    let size = || {
        file.as_ref()
            .map_or(0, |file| std::fs::metadata(file).unwrap().len())
    };
    let checkpoint = async || {
        if store.is_sqlite() {
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
        }
    };
    checkpoint().await;
    let before = size();
    assert_eq!(gateway.ledger.purge(store.now()).await.unwrap(), 3_000);
    assert_eq!(gateway.ledger.purge(store.now()).await.unwrap(), 0);
    let page = gateway
        .ledger
        .exchanges(&ExchangeQuery {
            limit: 10,
            ..ExchangeQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(page.items, [young]);
    assert_eq!(
        gateway
            .ledger
            .usage(&UsageQuery::default())
            .await
            .unwrap()
            .total
            .requests,
        1
    );
    checkpoint().await;
    // The file shrinks: what is deleted is given back to the disk.
    assert!(
        !store.is_sqlite() || size() < before / 4,
        "{} of {before} bytes",
        size()
    );
    gateway.close().await;
}

async fn queued_entries_are_written_before_the_end(store: Arc<Store>) {
    let gateway = store
        .open_with(OpenOptions {
            durability: Durability::Queued,
            ..store.options("a")
        })
        .await;
    for _ in 0..500 {
        let intent = intent(store.now());
        gateway.ledger.begin(&intent).await.unwrap();
        assert!(matches!(
            gateway.ledger.settle(entry(intent, "a")).await,
            Settled::Queued | Settled::Spooled
        ));
    }
    gateway.close().await;
    let gateway = store.open("a").await;
    assert_eq!(gateway.interrupted, []);
    assert_eq!(
        gateway
            .ledger
            .usage(&UsageQuery::default())
            .await
            .unwrap()
            .total
            .requests,
        500
    );
    gateway.close().await;
}

/// SQLite's write lock, held by somebody else: the store hangs.
struct Blockade(sqlx::SqliteConnection);

impl Blockade {
    async fn new(store: &Store) -> Self {
        use sqlx::Connection as _;
        let url = format!("sqlite://{}", store.database_file().unwrap().display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await
            .unwrap();
        Self(connection)
    }

    async fn lift(mut self) {
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut self.0)
            .await
            .unwrap();
    }
}

#[test]
fn a_hanging_store_sends_entries_to_the_spool_and_takes_them_back() {
    run(Kind::Sqlite, async |store: Arc<Store>| {
        let gateway = store.open("a").await;
        let open: Vec<_> = (0..50).map(|_| intent(store.now())).collect();
        for intent in &open {
            gateway.ledger.begin(intent).await.unwrap();
        }
        let blockade = Blockade::new(&store).await;
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
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(4), "{waited:?}");
        // Now that it is known to hang, new requests are refused at once, and late entries go
        // straight to the spool.
        assert!(!gateway.ledger.health().ok);
        let refused = gateway
            .ledger
            .begin(&intent(store.now()))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), LedgerErrorKind::Unavailable);
        let begun = Instant::now();
        assert!(matches!(
            gateway.ledger.settle(entry(intent(store.now()), "a")).await,
            Settled::Spooled
        ));
        assert!(begun.elapsed() < Duration::from_millis(500));
        blockade.lift().await;
        until("the spool is drained", async || {
            gateway.ledger.health().ok && gateway.ledger.health().spool_depth == 0
        })
        .await;
        let total = gateway
            .ledger
            .usage(&UsageQuery::default())
            .await
            .unwrap()
            .total;
        assert_eq!(total.requests, 51);
        gateway.ledger.begin(&intent(store.now())).await.unwrap();
        gateway.close().await;
    });
}

#[test]
fn a_crash_with_a_full_spool_loses_nothing() {
    run(Kind::Sqlite, async |store: Arc<Store>| {
        let gateway = store.open("a").await;
        let blockade = Blockade::new(&store).await;
        // More than the file was preallocated for.
        let entries: Vec<_> = (0..200)
            .map(|_| {
                let mut entry = entry(intent(store.now()), "a");
                entry.result.upstream_response_id = Some("x".repeat(100_000));
                entry
            })
            .collect();
        for wave in entries.chunks(5) {
            let settled = join_all(
                wave.iter()
                    .map(|entry| gateway.ledger.settle(entry.clone())),
            )
            .await;
            assert!(
                settled
                    .iter()
                    .all(|settled| matches!(settled, Settled::Spooled)),
                "{settled:?}"
            );
        }
        assert_eq!(gateway.ledger.health().spool_depth, 200);
        gateway.crash().await;
        blockade.lift().await;
        let gateway = store.open("a").await;
        assert_eq!(gateway.ledger.health().spool_depth, 0);
        let total = gateway
            .ledger
            .usage(&UsageQuery::default())
            .await
            .unwrap()
            .total;
        assert_eq!(total.requests, 200);
        let spool = std::fs::metadata(store.data_dir("a").join("spool"))
            .unwrap()
            .len();
        assert_eq!(spool, 16 * 1024 * 1024);
        gateway.close().await;
    });
}

#[test]
fn a_torn_spool_is_read_up_to_the_tear() {
    run(Kind::Sqlite, async |store: Arc<Store>| {
        let gateway = store.open("a").await;
        let (ledger, spool) = (gateway.ledger.clone(), store.data_dir("a").join("spool"));
        gateway.close().await;
        let (whole, torn) = (
            entry(intent(store.now()), "a"),
            entry(intent(store.now()), "a"),
        );
        assert!(matches!(
            ledger.settle(whole.clone()).await,
            Settled::Spooled
        ));
        assert!(matches!(
            ledger.settle(torn.clone()).await,
            Settled::Spooled
        ));
        let mut bytes = std::fs::read(&spool).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[end - 10] ^= 1;
        std::fs::write(&spool, bytes).unwrap();
        drop(ledger);
        let gateway = store.open("a").await;
        assert_eq!(
            gateway.ledger.exchange(whole.id()).await.unwrap(),
            Some(whole)
        );
        assert_eq!(gateway.ledger.exchange(torn.id()).await.unwrap(), None);
        gateway.close().await;
    });
}

#[test]
fn a_damaged_file_of_intents_does_not_keep_the_ledger_from_opening() {
    run(Kind::Sqlite, async |store: Arc<Store>| {
        let gateway = store.open("a").await;
        let kept = entry(intent(store.now()), "a");
        gateway.ledger.settle(kept.clone()).await;
        gateway.close().await;
        let file = store.database_file().unwrap();
        let live = file.with_file_name("ledger-live.db");
        std::fs::write(&live, vec![7; 40_000]).unwrap();
        let gateway = store.open("a").await;
        assert_eq!(
            gateway.ledger.exchange(kept.id()).await.unwrap(),
            Some(kept)
        );
        gateway.ledger.begin(&intent(store.now())).await.unwrap();
        assert!(file.with_file_name("ledger-live.db.damaged").exists());
        gateway.close().await;
    });
}
