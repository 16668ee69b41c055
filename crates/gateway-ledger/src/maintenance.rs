//! Maintenance: renews the lease, settles what dead instances left behind, empties the spool,
//! deletes what is older than the retention. Decides nothing about a live exchange.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::db::{Lane, Pool};
use crate::entries::row::EntryRow;
use crate::entry::LedgerEntry;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ids::{EntryId, InstanceId};
use crate::in_flight::InFlightOp;
use crate::in_flight::intents::{delete_intents, open_intents};
use crate::in_flight::leases::expired_instances;
use crate::in_flight::reservations::drop_reservations;
use crate::recovery::{INTENT_CHUNK, SPOOL_CHUNK, interrupted};
use crate::revision::{Notifications, revision};
use crate::shared::Shared;
use crate::spool::Spool;
use crate::time::micros;
use crate::writer::{WriterOp, purge};

/// How often the spool is looked at, and a store that failed is asked whether it answers.
const SPOOL_PERIOD: Duration = Duration::from_millis(250);
/// How often the counter of changes is looked at. Servers must notice a revoked key within two
/// seconds.
const CHANGES_PERIOD: Duration = Duration::from_millis(500);
/// How often entries beyond the retention are looked for.
const PURGE_PERIOD: Duration = Duration::from_secs(600);

/// How long it is remembered who made what an upstream stores. The services in use keep a response
/// for 30 days.
const OWNERS_KEPT: Duration = Duration::from_secs(32 * 24 * 3600);

/// The ledger's periodic duties.
pub(crate) struct Maintenance {
    pub(crate) writer: mpsc::Sender<WriterOp>,
    pub(crate) in_flight: mpsc::Sender<InFlightOp>,
    pub(crate) spool: Spool,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    pub(crate) revision: watch::Sender<i64>,
    pub(crate) lease: Duration,
    pub(crate) retention: Option<Duration>,
}

impl Maintenance {
    /// Runs until `closing` turns true. The duties run side by side: a spool that waits for a store
    /// that hangs must not keep the lease from being renewed. `in_flight` is a connection of its
    /// own: a sweep must not hold up intents.
    pub(crate) async fn run(self, in_flight: Lane, closing: watch::Receiver<bool>) {
        let draining = async {
            let mut beat = Beat::new(SPOOL_PERIOD, &closing);
            while beat.next().await {
                self.drain().await;
            }
        };
        let looking = async {
            let mut beat = Beat::new(CHANGES_PERIOD, &closing);
            let mut notifications = Notifications::new(self.pool.clone());
            loop {
                tokio::select! {
                    is_going_on = beat.next() => if !is_going_on { break },
                    () = notifications.next() => {}
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
        let leasing = self.keep_lease(in_flight, Beat::new(self.lease / 3, &closing));
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
                "the maintenance task could not close its store"
            );
        }
    }

    async fn renew(&self) -> Result<(), LedgerError> {
        let until = self.shared.now().saturating_add(micros(self.lease));
        let (reply, answer) = oneshot::channel();
        let sent = self.in_flight.try_send(InFlightOp::Renew(until, reply));
        sent.map_err(|_| LedgerError::unavailable("the queue of intents is full"))?;
        answer.await.map_err(|_| LedgerError::closed())?
    }

    async fn look_for_changes(&self) {
        match revision(&self.pool).await {
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
                "recorded the leftovers of dead instances as interrupted"
            ),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the leftovers of dead instances could not be recorded"
                );
                lane.discard();
            }
        }
    }

    async fn sweep(&self, lane: &mut Lane) -> Result<usize, LedgerError> {
        let now = self.shared.now();
        let mut link = lane.link().await?;
        let dead = expired_instances(&mut link, &self.shared.instance, now).await?;
        let mut count = 0;
        for instance in dead {
            count += settle_open_intents(lane, &self.writer, &self.shared, &instance).await?;
        }
        Ok(count)
    }

    /// Forgets the owners of what no upstream keeps any longer.
    async fn forget_stored(&self) -> Result<u64, LedgerError> {
        let before = self.shared.now().saturating_sub(micros(OWNERS_KEPT));
        let mut connection = self.pool.acquire().await?;
        let sql = "DELETE FROM stored_ids WHERE made_at < $1";
        connection.link().execute(sql, vec![before.into()]).await
    }

    async fn purge_logged(&self) {
        if let Err(error) = self.forget_stored().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the owners of what upstreams no longer store could not be forgotten yet"
            );
        }
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
                    "entries beyond the retention could not be deleted yet"
                );
            }
        }
    }
}

/// Gives entries to the writer and waits for the commit.
async fn settle(
    writer: &mpsc::Sender<WriterOp>,
    entries: Vec<LedgerEntry>,
) -> Result<(), LedgerError> {
    let (reply, answer) = oneshot::channel();
    let rows = entries.into_iter().map(EntryRow::from).collect();
    writer
        .send(WriterOp::Many(rows, reply))
        .await
        .map_err(|_| LedgerError::closed())?;
    answer.await.map_err(|_| LedgerError::closed())?
}

/// Settles every open intent of an instance as interrupted and drops its reservations.
async fn settle_open_intents(
    lane: &mut Lane,
    writer: &mpsc::Sender<WriterOp>,
    shared: &Shared,
    instance: &InstanceId,
) -> Result<usize, LedgerError> {
    let mut count = 0;
    loop {
        let mut link = lane.link().await?;
        let found = open_intents(&mut link, instance, INTENT_CHUNK).await?;
        delete_intents(&mut link, found.unreadable.iter()).await?;
        if found.intents.is_empty() {
            drop_reservations(&mut link, instance).await?;
            return Ok(count);
        }
        let ids: Vec<EntryId> = found
            .intents
            .iter()
            .map(|intent| intent.id.clone())
            .collect();
        settle(writer, interrupted(found.intents, shared, instance)).await?;
        // The writer tells the other lane as well; deleting here makes sure that the next round
        // finds others.
        delete_intents(&mut link, ids.iter()).await?;
        count += ids.len();
    }
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
