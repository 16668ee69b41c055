//! The one writer of settled entries. Takes what has gathered in its queue, writes it in one
//! transaction, and answers everybody after the commit reached the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::db::Lane;
use crate::entries;
use crate::entries::row::EntryRow;
use crate::entry::LedgerEntry;
use crate::error::{LedgerError, LedgerErrorKind};
use crate::group_commit::{GroupQueue, Reply};
use crate::in_flight::{Done, InFlightOp};
use crate::shared::Shared;
use crate::spool::Spool;

/// Entries per transaction. More would make the first of a group wait long for the last.
const MAX_GROUP: usize = 256;
/// Entries that wait for the writer. When it is full, callers wait for their deadline and then go
/// to the spool.
pub(crate) const WRITER_QUEUE: usize = 8192;
/// Entries deleted per transaction: the writer is held up for some tens of milliseconds.
const PURGE_CHUNK: i64 = 1000;
/// How long the store may take to say whether it is there.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

pub(crate) enum WriterOp {
    /// One entry; with a reply when a caller waits for the commit.
    Settle(Box<LedgerEntry>, Option<Reply>),
    /// Entries that have waited elsewhere: in the spool, as open intents.
    Many(Vec<EntryRow>, Reply),
    /// Deletes at most so many entries that started before a moment; answers how many are gone.
    Purge {
        before: i64,
        most: i64,
        reply: oneshot::Sender<Result<u64, LedgerError>>,
    },
    /// Asks whether the store answers.
    Probe(Reply),
}

/// Writes settled entries, on a connection of its own.
pub(crate) struct EntryWriter {
    lane: Lane,
    queue: GroupQueue<WriterOp>,
    in_flight: mpsc::Sender<InFlightOp>,
    spool: Spool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct EntryBatch {
    rows: Vec<EntryRow>,
    /// How many entries each caller brought, in order.
    replies: Vec<(usize, Option<Reply>)>,
}

impl EntryWriter {
    /// `in_flight` is told what is settled; `spool` takes what the store refuses and nobody waits
    /// for.
    pub(crate) fn new(
        lane: Lane,
        queue: mpsc::Receiver<WriterOp>,
        in_flight: mpsc::Sender<InFlightOp>,
        spool: Spool,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            lane,
            queue: GroupQueue::new(queue, MAX_GROUP),
            in_flight,
            spool,
            shared,
        }
    }

    /// Runs until the queue is closed and empty. What is queued when `closing` turns true is still
    /// written.
    pub(crate) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        // Settled exchanges that the other lane does not know of yet; its queue may be full.
        let mut settled = Vec::new();
        while let Some(ops) = self.queue.next(&mut closing).await {
            let mut group = EntryBatch::default();
            for op in ops {
                self.take(op, &mut group).await;
            }
            self.settle(group, &mut settled).await;
            if !settled.is_empty() {
                let done = InFlightOp::Done(std::mem::take(&mut settled));
                if let Err(mpsc::error::TrySendError::Full(InFlightOp::Done(done))) =
                    self.in_flight.try_send(done)
                {
                    settled = done;
                }
            }
        }
        if let Err(error) = self.lane.close().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the ledger's writer could not close its store"
            );
        }
    }

    async fn take(&mut self, op: WriterOp, group: &mut EntryBatch) {
        match op {
            WriterOp::Settle(entry, reply) => {
                self.shared.dequeued(1);
                group.rows.push(EntryRow::from(*entry));
                group.replies.push((1, reply));
            }
            WriterOp::Many(rows, reply) => {
                group.replies.push((rows.len(), Some(reply)));
                group.rows.extend(rows);
            }
            WriterOp::Purge {
                before,
                most,
                reply,
            } => drop(reply.send(self.purge(before, most).await)),
            WriterOp::Probe(reply) => drop(reply.send(self.probe().await)),
        }
    }

    async fn settle(&mut self, group: EntryBatch, settled: &mut Vec<Done>) {
        if group.rows.is_empty() {
            return;
        }
        match self.commit(&group.rows).await {
            Ok(()) => {
                self.shared.mark_up();
                settled.extend(group.rows.iter().map(done));
                for (_, reply) in group.replies {
                    answer(reply, Ok(()));
                }
            }
            Err(error) if error.kind() == LedgerErrorKind::Rejected && group.rows.len() > 1 => {
                self.settle_one_by_one(group, settled).await;
            }
            Err(error) => self.give_up(group, &error),
        }
    }

    fn give_up(&self, group: EntryBatch, error: &LedgerError) {
        if error.kind() != LedgerErrorKind::Rejected {
            self.shared.mark_down(error);
        }
        let mut rows = group.rows.into_iter();
        for (count, reply) in group.replies {
            for row in rows.by_ref().take(count) {
                self.keep_unawaited(row, reply.is_none());
            }
            let context = "the entry could not be committed";
            answer(reply, Err(LedgerError::bare(error.kind(), context)));
        }
    }

    /// The store refuses one entry of a group: finds it, and lets the others through.
    async fn settle_one_by_one(&mut self, group: EntryBatch, settled: &mut Vec<Done>) {
        let mut rows = group.rows.into_iter();
        for (count, reply) in group.replies {
            let mut outcome = Ok(());
            for row in rows.by_ref().take(count) {
                if let Err(error) = self.commit(std::slice::from_ref(&row)).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        id = %row.entry.id(),
                        "the store refuses an entry"
                    );
                    outcome = Err(error);
                    self.keep_unawaited(row, reply.is_none());
                } else {
                    settled.push(done(&row));
                }
            }
            answer(reply, outcome);
        }
    }

    /// A caller that waits for an entry spools it on failure; an entry that nobody waits for is
    /// spooled here.
    fn keep_unawaited(&self, row: EntryRow, is_unawaited: bool) {
        if is_unawaited && let Err(error) = self.spool.hand_over(row.entry) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an entry is lost: neither the store nor the spool accepts it"
            );
        }
    }

    async fn commit(&mut self, rows: &[EntryRow]) -> Result<(), LedgerError> {
        let zone = self.shared.time_zone.clone();
        let deadline = self.lane.deadline();
        let mut link = self.lane.link().await?;
        let writing = Box::pin(entries::write(&mut link, rows, &zone));
        let written = match deadline {
            None => writing.await,
            Some(deadline) => tokio::time::timeout(deadline, writing)
                .await
                .unwrap_or_else(|_| Err(LedgerError::late())),
        };
        if let Err(error) = &written {
            let is_clean =
                error.kind() == LedgerErrorKind::Rejected && link.rollback().await.is_ok();
            if !is_clean {
                self.lane.discard();
            }
        }
        written.map(drop)
    }

    async fn purge(&mut self, before: i64, most: i64) -> Result<u64, LedgerError> {
        let mut link = self.lane.link().await?;
        let purged = entries::purge(&mut link, before, most).await;
        if purged.is_err() {
            self.lane.discard();
        }
        purged
    }

    async fn probe(&mut self) -> Result<(), LedgerError> {
        let mut link = self.lane.link().await?;
        // Reading would not notice a full or a read-only disk; an empty update takes the write
        // path.
        let sql = "UPDATE changes SET revision = revision WHERE id = 1";
        let asked = tokio::time::timeout(PROBE_DEADLINE, link.execute(sql, Vec::new()))
            .await
            .unwrap_or_else(|_| Err(LedgerError::late()));
        match asked {
            Ok(_) => self.shared.mark_up(),
            Err(_) => self.lane.discard(),
        }
        asked.map(drop)
    }
}

fn done(row: &EntryRow) -> Done {
    let usage = row.entry.result.usage;
    let tokens = usage.map(|usage| usage.input().saturating_add(usage.output()));
    (row.entry.id().clone(), tokens)
}

fn answer(reply: Option<Reply>, outcome: Result<(), LedgerError>) {
    // A caller that stopped waiting has put its entry into the spool; writing it twice is one row.
    if let Some(reply) = reply {
        drop(reply.send(outcome));
    }
}

/// Has entries deleted that started before a moment in microseconds, in small transactions.
pub(crate) async fn purge(
    writer: &mpsc::Sender<WriterOp>,
    before: i64,
) -> Result<u64, LedgerError> {
    let mut count = 0;
    loop {
        let (reply, answer) = oneshot::channel();
        let op = WriterOp::Purge {
            before,
            most: PURGE_CHUNK,
            reply,
        };
        writer.send(op).await.map_err(|_| LedgerError::closed())?;
        let purged = answer.await.map_err(|_| LedgerError::closed())??;
        count += purged;
        if purged < PURGE_CHUNK.unsigned_abs() {
            return Ok(count);
        }
    }
}
