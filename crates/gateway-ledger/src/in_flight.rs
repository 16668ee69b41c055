//! The lane for what lives only as long as an exchange: intents, leases, reservations. Its commits
//! survive the death of the process and not of the power, so none of them waits for a disk.

mod admission;
pub(crate) mod claim;
mod counts;
pub(crate) mod intents;
pub(crate) mod leases;
pub(crate) mod positions;
mod rates;
pub(crate) mod reservations;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::db::{Lane, Link};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::group_commit::{GroupQueue, Reply};
use crate::ids::EntryId;
use crate::shared::Shared;

use claim::{Admission, PendingClaim};
use intents::{INTENTS, IntentRow};

/// Operations per transaction.
const MAX_GROUP: usize = 128;
/// Operations that wait for the lane. When it is full, a request waits for its deadline and is
/// refused.
pub(crate) const IN_FLIGHT_QUEUE: usize = 4096;
/// How long one group may take on a store at the other end of a network. Less than a request waits,
/// so that the store is known to be down before the refusal is recorded: it goes straight to the
/// spool then.
const DEADLINE: Duration = Duration::from_millis(1_500);

/// An exchange that is over, and the tokens it used, where known.
pub(crate) type Done = (EntryId, Option<u64>);

pub(crate) enum InFlightOp {
    /// Writes an intent.
    Begin(Box<IntentRow>, Option<Reply>),
    /// Changes an intent that is still open.
    Update(Box<IntentRow>, Option<Reply>),
    /// Asks to be admitted.
    Claim(Box<PendingClaim>),
    /// These exchanges are settled or given up.
    Done(Vec<Done>),
    /// Extends this instance's lease to a moment in microseconds.
    Renew(i64, Reply),
}

/// Writes what is in flight, on a connection of its own.
pub(crate) struct InFlightStore {
    lane: Lane,
    queue: GroupQueue<InFlightOp>,
    shared: Arc<Shared>,
}

/// What one pair of transactions does.
#[derive(Default)]
struct InFlightBatch {
    begun: Vec<IntentRow>,
    updated: Vec<IntentRow>,
    claims: Vec<PendingClaim>,
    done: Vec<Done>,
    /// The latest moment that the lease is to be extended to.
    lease: Option<i64>,
    /// The callers that wait for anything but a claim.
    replies: Vec<Reply>,
}

impl InFlightBatch {
    fn add(&mut self, op: InFlightOp) {
        match op {
            InFlightOp::Begin(row, reply) => {
                self.begun.push(*row);
                self.replies.extend(reply);
            }
            InFlightOp::Update(row, reply) => {
                self.updated.push(*row);
                self.replies.extend(reply);
            }
            InFlightOp::Claim(pending) => self.claims.push(*pending),
            InFlightOp::Done(ids) => self.done.extend(ids),
            InFlightOp::Renew(until, reply) => {
                self.lease = self.lease.max(Some(until));
                self.replies.push(reply);
            }
        }
    }

    /// A caller that stopped waiting has answered its client already, and has taken back what it
    /// asked for.
    fn answer(self, admissions: Vec<Admission>) {
        for reply in self.replies {
            drop(reply.send(Ok(())));
        }
        for (pending, admission) in self.claims.into_iter().zip(admissions) {
            drop(pending.reply.send(Ok(admission)));
        }
    }

    /// Answers every caller with an error, and returns what is over all the same.
    fn fail(self, kind: LedgerErrorKind) -> Vec<Done> {
        let failed =
            || LedgerError::bare(kind, "the store did not accept an intent or a reservation");
        for reply in self.replies {
            drop(reply.send(Err(failed())));
        }
        for pending in self.claims {
            drop(pending.reply.send(Err(failed())));
        }
        self.done
    }
}

impl InFlightStore {
    pub(crate) fn new(lane: Lane, queue: mpsc::Receiver<InFlightOp>, shared: Arc<Shared>) -> Self {
        Self {
            lane,
            queue: GroupQueue::new(queue, MAX_GROUP),
            shared,
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        // What is over and could not be written down: without another try its reservations would
        // stay for ever.
        let mut unfinished = Vec::new();
        while let Some(ops) = self.queue.next(&mut closing).await {
            let mut group = InFlightBatch {
                done: std::mem::take(&mut unfinished),
                ..InFlightBatch::default()
            };
            group.done.extend(self.shared.to_take_back());
            for op in ops {
                group.add(op);
            }
            match self.write(&group).await {
                Ok(admissions) => group.answer(admissions),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "open intents could not be written"
                    );
                    if error.kind() == LedgerErrorKind::Unavailable {
                        self.shared.mark_down(&error);
                    }
                    unfinished = group.fail(error.kind());
                }
            }
        }
        if let Err(error) = self.lane.close().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the lane of intents could not close its store"
            );
        }
    }

    async fn write(&mut self, group: &InFlightBatch) -> Result<Vec<Admission>, LedgerError> {
        let is_remote = self.lane.deadline().is_some();
        let shared = Arc::clone(&self.shared);
        let mut link = self.lane.link().await?;
        let writing = Box::pin(apply(&mut link, group, &shared));
        let written = if is_remote {
            tokio::time::timeout(DEADLINE, writing)
                .await
                .unwrap_or_else(|_| Err(LedgerError::late()))
        } else {
            writing.await
        };
        if written.is_err() {
            self.lane.discard();
        }
        written
    }
}

/// Two transactions: what is over first, so that the claims after it find its room. Apart also
/// because a transaction that holds a scope's lock must not wait for rows that another one holds
/// which waits for that lock.
async fn apply(
    link: &mut Link<'_>,
    group: &InFlightBatch,
    shared: &Shared,
) -> Result<Vec<Admission>, LedgerError> {
    let begun: Vec<&IntentRow> = group.begun.iter().collect();
    let updated: Vec<&IntentRow> = group.updated.iter().collect();
    let is_quiet = group.done.is_empty() && group.lease.is_none();
    if is_quiet && begun.len() + updated.len() <= 1 {
        // The common case: one statement is a transaction of its own.
        link.insert(&INTENTS, &begun).await?;
        intents::update_intents(link, &updated).await?;
    } else {
        // Deferred: an immediate one would lock the attached ledger too, and wait for the writer's
        // fsync.
        link.raw("BEGIN").await?;
        link.insert(&INTENTS, &begun).await?;
        // After the insert: an intent can be written and changed in one group.
        intents::update_intents(link, &updated).await?;
        intents::delete_intents(link, group.done.iter().map(|(id, _)| id)).await?;
        reservations::release(link, &group.done).await?;
        if let Some(until) = group.lease {
            leases::renew(link, &shared.instance, until).await?;
        }
        link.commit().await?;
    }
    if group.claims.is_empty() {
        return Ok(Vec::new());
    }
    link.raw("BEGIN").await?;
    let admissions = admission::decide(link, &group.claims, shared).await?;
    link.commit().await?;
    Ok(admissions)
}
