//! The handle. Passes work to the lanes and keeps their promises about time; holds no SQL.

pub(crate) mod open;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::db::{DatabaseTarget, Pool};
use crate::entry::{Intent, LedgerEntry};
use crate::error::LedgerError;
#[cfg(doc)]
use crate::error::LedgerErrorKind;
use crate::group_commit::Reply;
use crate::ids::{EntryId, InstanceId};
use crate::in_flight::InFlightOp;
use crate::in_flight::claim::{Admission, Claim, PendingClaim};
use crate::in_flight::intents::IntentRow;
use crate::options::Durability;
use crate::shared::Shared;
use crate::spool::Spool;
use crate::writer::{self, WriterOp};

/// How long a request waits for the store before it is refused, or its entry goes to the spool.
const STORE_DEADLINE: Duration = Duration::from_secs(2);
/// How long an entry may wait for the spool's disk before the caller is told that nothing has it.
const SPOOL_DEADLINE: Duration = Duration::from_secs(2);

/// A handle on the ledger; clones share everything.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    in_flight_target: DatabaseTarget,
    shared: Arc<Shared>,
    /// What running servers watch, see [`Ledger::changes`].
    revision: watch::Sender<i64>,
    /// Absent on a handle that only reads and administers.
    lanes: Option<Lanes>,
}

struct Lanes {
    writer: mpsc::Sender<WriterOp>,
    in_flight: mpsc::Sender<InFlightOp>,
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

impl Ledger {
    /// Writes an intent before its request goes upstream. On an error nothing may be sent: the
    /// caller answers 503. Takes at most two seconds. Dropping this future may leave the intent
    /// written; the next start settles it.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not take it in time, or the ledger is
    /// closed.
    pub async fn begin(&self, intent: &Intent) -> Result<(), LedgerError> {
        let begun = self.write_intent(intent, InFlightOp::Begin).await;
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
        self.write_intent(intent, InFlightOp::Update).await
    }

    async fn write_intent(
        &self,
        intent: &Intent,
        op: fn(Box<IntentRow>, Option<Reply>) -> InFlightOp,
    ) -> Result<(), LedgerError> {
        let lanes = self.lanes_that_write()?;
        let row = Box::new(IntentRow::new(intent, self.instance())?);
        if lanes.durability == Durability::Queued {
            let sent = lanes.in_flight.try_send(op(row, None));
            return sent.map_err(|_| LedgerError::unavailable("too many intents are waiting"));
        }
        lanes.ask(|reply| op(row, Some(reply))).await
    }

    /// Asks whether a request may go on, and reserves its likely cost until it is settled or
    /// withdrawn; what an instance that dies has reserved goes with its lease. To be called before
    /// [`Ledger::begin`], and only when something limits the request. Takes at most two seconds.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer in time, or the ledger is
    /// closed. Nothing stays reserved then.
    pub async fn reserve(&self, claim: Claim) -> Result<Admission, LedgerError> {
        let id = claim.id.clone();
        let answer = self.claim(claim, false).await;
        if answer.is_err() {
            // It may be reserved all the same, and will not be settled.
            self.withdraw(&id);
        }
        answer
    }

    /// Asks again for a request that was admitted, after a fallback has changed its likely cost.
    /// Counts as no further request. When it is refused, what was reserved before stays so until it
    /// is settled or withdrawn.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer in time, or the ledger is
    /// closed. What was reserved before stays.
    pub async fn reserve_again(&self, claim: Claim) -> Result<Admission, LedgerError> {
        self.claim(claim, true).await
    }

    async fn claim(&self, claim: Claim, is_repriced: bool) -> Result<Admission, LedgerError> {
        let lanes = self.lanes_that_write()?;
        let op = |reply| {
            InFlightOp::Claim(Box::new(PendingClaim {
                claim,
                is_repriced,
                reply,
            }))
        };
        lanes.ask(op).await
    }

    /// Takes an intent and a reservation back of which nothing was sent and nothing is to be
    /// recorded. Does not wait.
    pub fn withdraw(&self, id: &EntryId) {
        let Ok(lanes) = self.lanes() else { return };
        let done = InFlightOp::Done(vec![(id.clone(), None)]);
        if lanes.in_flight.try_send(done).is_err() {
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
            let committing = lanes.commit(entry.clone(), shared);
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
                "the spool's disk does not respond in time",
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
        if !shared.is_down()
            && let Ok(place) = lanes.writer.try_reserve()
        {
            shared.queued();
            place.send(WriterOp::Settle(Box::new(entry), None));
            return Settled::Queued;
        }
        match lanes.spool.hand_over(entry) {
            Ok(()) => Settled::Spooled,
            Err(error) => Settled::Unrecorded(error),
        }
    }

    /// How the ledger is doing.
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        let lanes = self.inner.lanes.as_ref();
        Health {
            ok: !shared.is_down(),
            queue_depth: shared.queue_depth(),
            spool_depth: lanes.map_or(0, |lanes| lanes.spool.depth()),
        }
    }

    /// Deletes entries that started before a moment (rounded down to a day in UTC) and gives their
    /// space back. Answers how many.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`] when the store does not answer, or the ledger is closed.
    pub async fn purge(&self, before: Timestamp) -> Result<u64, LedgerError> {
        writer::purge(&self.lanes()?.writer, before.as_microsecond()).await
    }

    /// Writes what is queued and ends the [`Driver`](crate::Driver). Entries settled afterwards go
    /// to the spool.
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

    pub(crate) fn in_flight_target(&self) -> &DatabaseTarget {
        &self.inner.in_flight_target
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
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

    /// The lanes, unless the store is known to be down: then nothing waits for it.
    fn lanes_that_write(&self) -> Result<&Lanes, LedgerError> {
        let lanes = self.lanes()?;
        if self.inner.shared.is_down() {
            return Err(LedgerError::unavailable("the store does not respond"));
        }
        Ok(lanes)
    }
}

impl Lanes {
    /// Gives an operation to the lane of what is in flight, and waits for its answer.
    async fn ask<T>(
        &self,
        op: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> InFlightOp,
    ) -> Result<T, LedgerError> {
        let deadline = Instant::now() + STORE_DEADLINE;
        let (reply, answer) = oneshot::channel();
        let op = op(reply);
        let asking = async {
            let sent = self.in_flight.send(op).await;
            sent.map_err(|_| LedgerError::closed())?;
            answer.await.map_err(|_| LedgerError::closed())?
        };
        timeout_at(deadline, asking)
            .await
            .unwrap_or_else(|_| Err(LedgerError::late()))
    }

    /// Gives an entry to the writer, and waits for its commit.
    async fn commit(&self, entry: LedgerEntry, shared: &Shared) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        shared.queued();
        let op = WriterOp::Settle(Box::new(entry), Some(reply));
        if self.writer.send(op).await.is_err() {
            shared.dequeued(1);
            return Err(LedgerError::closed());
        }
        answer.await.unwrap_or_else(|_| Err(LedgerError::closed()))
    }
}
