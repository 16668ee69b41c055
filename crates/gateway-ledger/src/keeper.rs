//! Housekeeping: renews the lease, settles what dead instances left behind, empties the spool,
//! forgets what is older than the retention. Decides nothing about a live exchange.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::changes::{self, Notices};
use crate::db::{Lane, Pool};
use crate::entry::{EntryId, InstanceId, Intent, LedgerEntry};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::live::{self, LiveOp};
use crate::shared::Shared;
use crate::spool::Spool;
use crate::tables::Stored;
use crate::writer::WriterOp;

/// How often the spool is looked at, and a store that failed is asked whether it answers.
const SPOOL_PERIOD: Duration = Duration::from_millis(250);
/// How often the counter of changes is looked at. Servers must notice a revoked key within two
/// seconds.
const CHANGES_PERIOD: Duration = Duration::from_millis(500);
/// Entries taken from the spool at once.
const SPOOL_CHUNK: usize = 256;
/// How often entries beyond the retention are looked for.
const PURGE_PERIOD: Duration = Duration::from_secs(600);
/// Entries deleted per transaction: the writer is held up for some tens of milliseconds.
const PURGE_CHUNK: i64 = 1000;
/// Leftovers settled at once.
pub(crate) const LEFTOVER_CHUNK: i64 = 500;

pub(crate) struct Keeper {
    /// A connection of its own to where intents live: sweeping must not hold up intents.
    pub(crate) lane: Option<Lane>,
    pub(crate) writer: mpsc::Sender<WriterOp>,
    pub(crate) live: mpsc::Sender<LiveOp>,
    pub(crate) spool: Spool,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    pub(crate) revision: watch::Sender<i64>,
    pub(crate) lease: Duration,
    pub(crate) retention: Option<Duration>,
}

impl Keeper {
    /// Runs until `closing` turns true. The duties run side by side: a spool that waits for a store
    /// that hangs must not keep the lease from being renewed.
    pub(crate) async fn run(mut self, closing: watch::Receiver<bool>) {
        let lane = self.lane.take();
        let draining = async {
            let mut beat = Beat::new(SPOOL_PERIOD, &closing);
            while beat.next().await {
                self.drain().await;
            }
        };
        let looking = async {
            let mut beat = Beat::new(CHANGES_PERIOD, &closing);
            let mut notices = Notices::new(self.pool.clone());
            loop {
                tokio::select! {
                    is_going_on = beat.next() => if !is_going_on { break },
                    () = notices.next() => {}
                }
                self.look_for_changes().await;
            }
        };
        let purging = async {
            let mut beat = Beat::new(PURGE_PERIOD, &closing);
            while beat.next().await {
                self.purge_logged().await;
            }
        };
        let leasing = async {
            if let Some(lane) = lane {
                self.keep_lease(lane, Beat::new(self.lease / 3, &closing))
                    .await;
            }
        };
        tokio::join!(draining, looking, purging, leasing);
    }

    async fn keep_lease(&self, mut lane: Lane, mut beat: Beat) {
        // Since when this instance has renewed its lease without a gap.
        let mut healthy_since = Instant::now();
        while beat.next().await {
            if let Err(error) = self.renew().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the lease could not be renewed"
                );
                healthy_since = Instant::now();
            } else if healthy_since.elapsed() >= self.lease {
                // After an outage everybody's lease is over. A full lease of health gives the
                // others the time to renew theirs, so that live exchanges are not swept.
                self.sweep_logged(&mut lane).await;
            }
        }
        if let Err(error) = lane.close().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the keeper could not close its store"
            );
        }
    }

    async fn renew(&self) -> Result<(), LedgerError> {
        let until = self.shared.now().saturating_add(micros(self.lease));
        let (reply, answer) = oneshot::channel();
        let sent = self.live.try_send(LiveOp::Renew(until, reply));
        sent.map_err(|_| LedgerError::unavailable("the queue of intents is full"))?;
        answer
            .await
            .map_err(|_| LedgerError::unavailable("the ledger is closing"))?
    }

    async fn look_for_changes(&self) {
        match changes::revision(&self.pool).await {
            Ok(revision) => {
                self.revision
                    .send_if_modified(|known| std::mem::replace(known, revision) != revision);
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the counter of changes cannot be read"
                );
            }
        }
    }

    async fn drain(&self) {
        if self.spool.depth() == 0 {
            if self.shared.is_down() {
                let (reply, answer) = oneshot::channel();
                if self.writer.send(WriterOp::Probe(reply)).await.is_ok() {
                    // Up or still down is noted where it is found out.
                    drop(answer.await);
                }
            }
            return;
        }
        while self.spool.depth() > 0 {
            let drained = self.drain_chunk().await;
            if let Err(error) = drained {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the spool cannot be drained yet"
                );
                // A spool whose thread is gone says so on every call; there is nothing to hand out
                // again then.
                drop(self.spool.rewind());
                return;
            }
        }
        tracing::info!("the spool is drained");
    }

    async fn drain_chunk(&self) -> Result<(), LedgerError> {
        let entries = self.spool.take(SPOOL_CHUNK).await?;
        let lines = entries.clone();
        match settle(&self.writer, entries).await {
            // The good ones of the chunk are committed; the file has them all, since the store
            // tells no more.
            Err(error) if error.kind() == LedgerErrorKind::Rejected => {
                self.spool.set_aside(lines).await?;
            }
            settled => settled?,
        }
        self.spool.drained()
    }

    async fn sweep_logged(&self, lane: &mut Lane) {
        match self.sweep(lane).await {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                entries = count,
                "settled what dead instances left behind as interrupted"
            ),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "leftovers could not be settled"
                );
                lane.discard();
            }
        }
    }

    async fn sweep(&self, lane: &mut Lane) -> Result<usize, LedgerError> {
        let now = self.shared.now();
        let mut link = lane.link().await?;
        let dead = live::expired_instances(&mut link, &self.shared.instance, now).await?;
        let mut count = 0;
        for instance in dead {
            count += settle_leftovers(lane, &self.writer, &self.shared, &instance).await?;
        }
        Ok(count)
    }

    async fn purge_logged(&self) {
        let Some(retention) = self.retention else {
            return;
        };
        let before = self.shared.now().saturating_sub(micros(retention));
        match purge(&self.writer, before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(entries = count, "deleted entries beyond the retention"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "entries beyond the retention stay for now"
                );
            }
        }
    }
}

/// Deletes entries that started before a moment, in small transactions.
pub(crate) async fn purge(
    writer: &mpsc::Sender<WriterOp>,
    before: i64,
) -> Result<u64, LedgerError> {
    let gone = || LedgerError::unavailable("the ledger is closing");
    let mut count = 0;
    loop {
        let (reply, answer) = oneshot::channel();
        let op = WriterOp::Purge {
            before,
            most: PURGE_CHUNK,
            reply,
        };
        writer.send(op).await.map_err(|_| gone())?;
        let purged = answer.await.map_err(|_| gone())??;
        count += purged;
        if purged < PURGE_CHUNK.unsigned_abs() {
            return Ok(count);
        }
    }
}

/// Gives entries to the writer and waits for the commit.
async fn settle(
    writer: &mpsc::Sender<WriterOp>,
    entries: Vec<LedgerEntry>,
) -> Result<(), LedgerError> {
    let gone = || LedgerError::unavailable("the ledger is closing");
    let (reply, answer) = oneshot::channel();
    let entries = entries.into_iter().map(Stored::from).collect();
    writer
        .send(WriterOp::Many(entries, reply))
        .await
        .map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Settles every open intent of an instance as interrupted and releases its reservations.
async fn settle_leftovers(
    lane: &mut Lane,
    writer: &mpsc::Sender<WriterOp>,
    shared: &Shared,
    instance: &InstanceId,
) -> Result<usize, LedgerError> {
    let mut count = 0;
    loop {
        let mut link = lane.link().await?;
        let found = live::leftovers(&mut link, instance, LEFTOVER_CHUNK).await?;
        live::delete_intents(&mut link, found.unreadable.iter()).await?;
        if found.intents.is_empty() {
            live::drop_reservations(&mut link, instance).await?;
            return Ok(count);
        }
        let ids: Vec<EntryId> = found
            .intents
            .iter()
            .map(|intent| intent.id.clone())
            .collect();
        settle(writer, interrupted(found.intents, shared, instance)).await?;
        // The writer tells the live lane as well; deleting here makes sure that the next round
        // finds others.
        live::delete_intents(&mut link, ids.iter()).await?;
        count += ids.len();
    }
}

/// What open intents become.
pub(crate) fn interrupted(
    intents: Vec<Intent>,
    shared: &Shared,
    instance: &InstanceId,
) -> Vec<LedgerEntry> {
    let now = (shared.clock)();
    intents
        .into_iter()
        .map(|intent| LedgerEntry::interrupted(intent, now, instance.clone()))
        .collect()
}

/// The rhythm of a duty: at once, then periodically, until the ledger closes.
struct Beat {
    ticker: tokio::time::Interval,
    closing: watch::Receiver<bool>,
}

impl Beat {
    fn new(period: Duration, closing: &watch::Receiver<bool>) -> Self {
        let mut ticker = tokio::time::interval(period.max(Duration::from_millis(10)));
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            ticker,
            closing: closing.clone(),
        }
    }

    /// Waits for the next beat; `false`: there is none.
    async fn next(&mut self) -> bool {
        tokio::select! {
            // It changes once; an error means that the ledger is gone.
            _ = self.closing.changed() => false,
            _ = self.ticker.tick() => true,
        }
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
