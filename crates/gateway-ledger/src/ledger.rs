//! The handle and how it is opened. Passes work to the lanes and keeps their promises about time;
//! holds no SQL.

mod open;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::Clock;
use crate::admission::{Admission, Claim, Pending};
use crate::db::Pool;
use crate::db::open::Target;
use crate::entry::{EntryId, InstanceId, Intent, LedgerEntry};
use crate::error::LedgerError;
#[cfg(doc)]
use crate::error::LedgerErrorKind;
use crate::keeper::{self, Keeper};
use crate::live::{self, IntentRow, Live, LiveOp};
use crate::shared::Shared;
use crate::spool::Spool;
use crate::writer::{Writer, WriterOp};

/// How long a request waits for the store before it is refused, or its entry goes to the spool.
const STORE_DEADLINE: Duration = Duration::from_secs(2);
/// How long an entry may wait for the spool's disk before the caller is told that nothing has it.
const SPOOL_DEADLINE: Duration = Duration::from_secs(2);

/// When an entry counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Intents are written before [`Ledger::begin`] returns, entries fsynced before
    /// [`Ledger::settle`] does.
    Committed,
    /// Both follow in the background; a crash can lose what is queued.
    Queued,
}

/// How to open a ledger.
#[derive(Clone)]
pub struct OpenOptions {
    /// `sqlite` (a file in the data directory), `sqlite:///path/file.db`, or
    /// `postgres://user@host/db`.
    pub url: String,
    /// Where the spool and, by default, the database lie. The caller holds this directory's lock.
    pub data_dir: PathBuf,
    /// This gateway, the same after a restart.
    pub instance: InstanceId,
    /// When an entry counts as kept.
    pub durability: Durability,
    /// How long entries are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// For how long others believe this instance alive without hearing from it. At least three
    /// times what an outage of the store may take without its live exchanges being swept.
    pub lease: Duration,
    /// Where a day begins, for reports and budgets.
    pub time_zone: TimeZone,
    /// The time.
    pub clock: Clock,
}

/// An open ledger and what opening it brought to light.
pub struct Opened {
    /// The handle.
    pub ledger: Ledger,
    /// Does the writing; see [`Driver::run`].
    pub driver: Driver,
    /// What an earlier life of this instance left open, now settled as interrupted.
    pub interrupted: Vec<LedgerEntry>,
}

/// A handle on the ledger; clones share everything.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    live_target: Target,
    shared: Arc<Shared>,
    /// What running servers watch, see [`Ledger::changes`].
    revision: watch::Sender<i64>,
    /// Absent on a handle that only reads and administers.
    lanes: Option<Lanes>,
}

struct Lanes {
    writer: mpsc::Sender<WriterOp>,
    live: mpsc::Sender<LiveOp>,
    spool: Spool,
    durability: Durability,
    closing: watch::Sender<bool>,
    /// Turns true when the driver has ended.
    closed: watch::Receiver<bool>,
}

/// What became of an entry.
#[derive(Debug)]
pub enum Settled {
    /// On the store's disk.
    Committed,
    /// In the queue ([`Durability::Queued`]).
    Queued,
    /// On the spool's disk; the store gets it when it answers again.
    Spooled,
    /// Nowhere but in memory, if that: both the store and the spool failed. Log it.
    Unrecorded(LedgerError),
}

/// How the ledger is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether the store answers.
    pub ok: bool,
    /// Entries that wait for the writer.
    pub queue_depth: usize,
    /// Entries that wait in the spool.
    pub spool_depth: usize,
}

/// The ledger's background work, as one future.
pub struct Driver {
    writer: Writer,
    live: Live,
    keeper: Keeper,
    closing: watch::Receiver<bool>,
    closed: watch::Sender<bool>,
}

impl Driver {
    /// Runs until [`Ledger::close`]. Dropping this future leaves queued entries unwritten; what was
    /// not acknowledged is then found by its intent at the next start.
    pub async fn run(self) {
        let (end_live, live_closing) = watch::channel(false);
        let writing = async {
            self.writer.run(self.closing.clone()).await;
            // The writer's last word to the live lane has been said.
            end_live.send_replace(true);
        };
        tokio::join!(
            writing,
            self.live.run(live_closing),
            self.keeper.run(self.closing.clone())
        );
        self.closed.send_replace(true);
    }
}

impl Ledger {
    /// Writes an intent before its request goes upstream. On an error nothing may be sent: the
    /// caller answers 503. Takes at most two seconds. Dropping this future may leave the intent
    /// written; the next start settles it.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not take it in time, or the ledger is
    /// closed.
    pub async fn begin(&self, intent: &Intent) -> Result<(), LedgerError> {
        let begun = self.write_intent(intent, LiveOp::Intend).await;
        if begun.is_err() {
            // It may have been written all the same, or be about to be.
            self.withdraw(&intent.id);
        }
        begun
    }

    /// Changes an intent that is open, before its request goes to another upstream or asks for
    /// another model: after a crash the entry names what was asked last. As cheap as
    /// [`Ledger::begin`], and bounded in the same way. An intent that is settled or withdrawn stays
    /// so.
    ///
    /// # Errors
    /// As for [`Ledger::begin`]. What was written before stays, and nothing more may be sent.
    pub async fn update_intent(&self, intent: &Intent) -> Result<(), LedgerError> {
        self.write_intent(intent, LiveOp::Update).await
    }

    async fn write_intent(
        &self,
        intent: &Intent,
        op: fn(Box<IntentRow>, Option<live::Reply>) -> LiveOp,
    ) -> Result<(), LedgerError> {
        let lanes = self.lanes()?;
        let deadline = Instant::now() + STORE_DEADLINE;
        if self.inner.shared.is_down() {
            return Err(LedgerError::unavailable(
                "the ledger's store does not answer",
            ));
        }
        let row = Box::new(IntentRow::new(intent)?);
        let closed = || LedgerError::unavailable("the ledger is closed");
        if lanes.durability == Durability::Queued {
            let sent = lanes.live.try_send(op(row, None));
            return sent.map_err(|_| LedgerError::unavailable("too many intents are waiting"));
        }
        let (reply, answer) = oneshot::channel();
        let writing = async {
            lanes
                .live
                .send(op(row, Some(reply)))
                .await
                .map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        let late = |_| {
            Err(LedgerError::unavailable(
                "the ledger's store does not answer in time",
            ))
        };
        timeout_at(deadline, writing).await.unwrap_or_else(late)
    }

    /// Asks whether a request may go on, and sets its likely cost aside until it is settled or
    /// withdrawn; what is set aside by an instance that dies goes with its lease. To be called
    /// before [`Ledger::begin`], and only when something limits the request. Takes at most two
    /// seconds.
    pub async fn reserve(&self, claim: Claim) -> Result<Admission, LedgerError> {
        self.claim(claim, false).await
    }

    /// Asks again for a request that was let in, after a fallback has changed its likely cost.
    /// Counts as no further request. When it is refused, what was set aside before stays so until
    /// it is settled or withdrawn.
    pub async fn reserve_again(&self, claim: Claim) -> Result<Admission, LedgerError> {
        self.claim(claim, true).await
    }

    async fn claim(&self, claim: Claim, is_repriced: bool) -> Result<Admission, LedgerError> {
        let lanes = self.lanes()?;
        if self.inner.shared.is_down() {
            return Err(LedgerError::unavailable(
                "the ledger's store does not answer",
            ));
        }
        let id = claim.id.clone();
        let (reply, answer) = oneshot::channel();
        let closed = || LedgerError::unavailable("the ledger is closed");
        let asking = async {
            let op = LiveOp::Claim(Box::new(Pending {
                claim,
                is_repriced,
                reply,
            }));
            lanes.live.send(op).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        };
        let late = |_| {
            Err(LedgerError::unavailable(
                "the ledger's store does not answer in time",
            ))
        };
        let answer = timeout_at(Instant::now() + STORE_DEADLINE, asking)
            .await
            .unwrap_or_else(late);
        if answer.is_err() && !is_repriced {
            // It may be set aside all the same, and nobody will settle it.
            self.withdraw(&id);
        }
        answer
    }

    /// Takes an intent back of which nothing was sent and nothing is to be recorded. Does not wait.
    pub fn withdraw(&self, id: &EntryId) {
        if let Ok(lanes) = self.lanes()
            && lanes
                .live
                .try_send(LiveOp::Done(vec![(id.clone(), None)]))
                .is_err()
        {
            // The lane is behind. No sweep gives back what a living instance holds, so the lane
            // finds it here.
            self.inner.shared.take_back_later(id.clone());
        }
    }

    /// Records an exchange. With [`Durability::Committed`] it returns when the entry is fsynced in
    /// the store or, after two seconds or a failure, in the spool; with [`Durability::Queued`] it
    /// does not wait.
    ///
    /// Dropping this future after its first poll usually still commits the entry, but is not
    /// promised to when the store fails: run it to its end.
    pub async fn settle(&self, entry: LedgerEntry) -> Settled {
        let lanes = match self.lanes() {
            Ok(lanes) => lanes,
            Err(error) => return Settled::Unrecorded(error),
        };
        if lanes.durability == Durability::Queued {
            return self.enqueue(entry);
        }
        let shared = &self.inner.shared;
        if !shared.is_down() {
            let (reply, answer) = oneshot::channel();
            let op = WriterOp::Settle(Box::new(entry.clone()), Some(reply));
            shared.queued();
            let committing = async {
                if lanes.writer.send(op).await.is_err() {
                    shared.dequeued(1);
                    return Err(LedgerError::unavailable("the ledger is closed"));
                }
                answer
                    .await
                    .unwrap_or_else(|_| Err(LedgerError::unavailable("the ledger is closed")))
            };
            match timeout_at(Instant::now() + STORE_DEADLINE, committing).await {
                Ok(Ok(())) => return Settled::Committed,
                Ok(Err(error)) => tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "an entry goes to the spool"
                ),
                Err(_) => shared.mark_down(&LedgerError::unavailable(
                    "a commit takes longer than two seconds",
                )),
            }
        }
        match timeout_at(Instant::now() + SPOOL_DEADLINE, lanes.spool.append(entry)).await {
            Ok(Ok(())) => Settled::Spooled,
            Ok(Err(error)) => Settled::Unrecorded(error),
            Err(_) => Settled::Unrecorded(LedgerError::unavailable(
                "the spool's disk does not answer in time",
            )),
        }
    }

    /// Records an exchange without waiting. When the queue is full the entry goes to the spool.
    pub fn enqueue(&self, entry: LedgerEntry) -> Settled {
        let lanes = match self.lanes() {
            Ok(lanes) => lanes,
            Err(error) => return Settled::Unrecorded(error),
        };
        let shared = &self.inner.shared;
        let entry = if shared.is_down() {
            Box::new(entry)
        } else {
            shared.queued();
            match lanes
                .writer
                .try_send(WriterOp::Settle(Box::new(entry), None))
            {
                Ok(()) => return Settled::Queued,
                Err(
                    mpsc::error::TrySendError::Full(op) | mpsc::error::TrySendError::Closed(op),
                ) => {
                    shared.dequeued(1);
                    match op {
                        WriterOp::Settle(entry, _) => entry,
                        WriterOp::Many(..) | WriterOp::Purge { .. } | WriterOp::Probe(_) => {
                            return Settled::Unrecorded(LedgerError::unavailable(
                                "the ledger is closed",
                            ));
                        }
                    }
                }
            }
        };
        match lanes.spool.hand_over(*entry) {
            Ok(()) => Settled::Spooled,
            Err(error) => Settled::Unrecorded(error),
        }
    }

    /// How the ledger is doing.
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        Health {
            ok: !shared.is_down(),
            queue_depth: shared.queue_depth(),
            spool_depth: self
                .inner
                .lanes
                .as_ref()
                .map_or(0, |lanes| lanes.spool.depth()),
        }
    }

    /// Deletes entries that started before a moment (rounded down to a day in UTC) and gives their
    /// space back. Answers how many.
    pub async fn purge(&self, before: jiff::Timestamp) -> Result<u64, LedgerError> {
        keeper::purge(&self.lanes()?.writer, before.as_microsecond()).await
    }

    /// Writes what is queued and ends the [`Driver`]. Entries settled afterwards go to the spool.
    pub async fn close(&self) {
        if let Some(lanes) = &self.inner.lanes {
            lanes.closing.send_replace(true);
            let mut closed = lanes.closed.clone();
            // An error means that the driver is gone, which is what this waits for.
            drop(closed.wait_for(|closed| *closed).await);
        }
        self.inner.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    pub(crate) fn now(&self) -> i64 {
        self.inner.shared.now()
    }

    pub(crate) fn instance(&self) -> &InstanceId {
        &self.inner.shared.instance
    }

    pub(crate) fn live_target(&self) -> &Target {
        &self.inner.live_target
    }

    pub(crate) fn timestamp(&self) -> jiff::Timestamp {
        (self.inner.shared.clock)()
    }

    pub(crate) fn revision(&self) -> &watch::Sender<i64> {
        &self.inner.revision
    }

    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.inner.shared.time_zone
    }

    fn lanes(&self) -> Result<&Lanes, LedgerError> {
        let lanes = self.inner.lanes.as_ref();
        lanes.ok_or_else(|| LedgerError::unavailable("this handle only reads and administers"))
    }
}
