//! The one writer of settled entries. Takes what has gathered in its queue, writes it in one
//! transaction, and answers everybody after the commit reached the disk: while one group is being
//! synced the next one gathers.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::db::{Dialect, Lane, Link};
use crate::entry::{EntryId, LedgerEntry, Outcome};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::live::LiveOp;
use crate::shared::Shared;
use crate::spool::Spool;
use crate::tables::{
    Additions, DAY_MICROS, ENTRIES, ENTRY_COLUMNS, LEVELS, ROLLUP, SPEND, Stored, entry_of,
};

/// Entries per transaction. More would make the first of a group wait long for the last.
const MAX_GROUP: usize = 256;
/// Entries that wait for the writer. When it is full, callers wait for their deadline and then go
/// to the spool.
pub(crate) const WRITER_QUEUE: usize = 8192;

pub(crate) type Reply = oneshot::Sender<Result<(), LedgerError>>;

pub(crate) enum WriterOp {
    /// One entry; with a reply when somebody waits for the commit.
    Settle(Box<LedgerEntry>, Option<Reply>),
    /// Entries that have waited elsewhere: in the spool, as leftovers, as corrections.
    Many(Vec<Stored>, Reply),
    /// Deletes at most so many entries that started before a moment; answers how many are gone.
    Purge {
        before: i64,
        most: i64,
        reply: oneshot::Sender<Result<u64, LedgerError>>,
    },
    /// Asks whether the store answers.
    Probe(Reply),
}

pub(crate) struct Writer {
    pub(crate) lane: Lane,
    pub(crate) queue: mpsc::Receiver<WriterOp>,
    pub(crate) live: mpsc::Sender<LiveOp>,
    pub(crate) spool: Spool,
    pub(crate) shared: Arc<Shared>,
}

impl Writer {
    /// Runs until the queue is closed and empty. What is queued when `closing` turns true is still
    /// written.
    pub(crate) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut ops = Vec::with_capacity(MAX_GROUP);
        // Ids whose intents could not be handed to the live lane yet; it may be full or behind.
        let mut settled = Vec::new();
        loop {
            let received = tokio::select! {
                received = self.queue.recv_many(&mut ops, MAX_GROUP) => received,
                Ok(()) = closing.changed() => { self.queue.close(); continue; }
            };
            if received == 0 {
                break;
            }
            let mut group = Group::default();
            for op in ops.drain(..) {
                match op {
                    WriterOp::Settle(entry, reply) => {
                        self.shared.dequeued(1);
                        group.entries.push(Stored::from(*entry));
                        group.replies.push((1, reply));
                    }
                    WriterOp::Many(entries, reply) => {
                        group.replies.push((entries.len(), Some(reply)));
                        group.entries.extend(entries);
                    }
                    WriterOp::Purge {
                        before,
                        most,
                        reply,
                    } => drop(reply.send(self.purge(before, most).await)),
                    WriterOp::Probe(reply) => drop(reply.send(self.probe().await)),
                }
            }
            self.settle(group, &mut settled).await;
            if !settled.is_empty()
                && let Err(back) = self
                    .live
                    .try_send(LiveOp::Done(std::mem::take(&mut settled)))
                && let mpsc::error::TrySendError::Full(LiveOp::Done(ids)) = back
            {
                settled = ids;
            }
        }
        if let Err(error) = self.lane.close().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the ledger's writer could not close its store"
            );
        }
    }

    async fn settle(&mut self, group: Group, settled: &mut Vec<(EntryId, Option<u64>)>) {
        if group.entries.is_empty() {
            return;
        }
        let written = self.commit(&group.entries).await;
        match written {
            Ok(()) => {
                self.shared.mark_up();
                settled.extend(group.entries.iter().map(done));
                for (_, reply) in group.replies {
                    answer(reply, Ok(()));
                }
            }
            Err(error) if error.kind() == LedgerErrorKind::Rejected && group.entries.len() > 1 => {
                self.settle_one_by_one(group, settled).await;
            }
            Err(error) => {
                if error.kind() != LedgerErrorKind::Rejected {
                    self.shared.mark_down(&error);
                }
                let mut entries = group.entries.into_iter();
                for (count, reply) in group.replies {
                    for stored in entries.by_ref().take(count) {
                        self.keep_unawaited(stored, reply.is_none());
                    }
                    answer(
                        reply,
                        Err(LedgerError::bare(
                            error.kind(),
                            "the entry could not be committed",
                        )),
                    );
                }
            }
        }
    }

    /// One entry of a group is poison: finds it, and lets the others through.
    async fn settle_one_by_one(&mut self, group: Group, settled: &mut Vec<(EntryId, Option<u64>)>) {
        let mut entries = group.entries.into_iter();
        for (count, reply) in group.replies {
            let mut outcome = Ok(());
            for stored in entries.by_ref().take(count) {
                if let Err(error) = self.commit(std::slice::from_ref(&stored)).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        id = %stored.entry.id(),
                        "the store refuses an entry"
                    );
                    outcome = Err(error);
                    self.keep_unawaited(stored, reply.is_none());
                } else {
                    settled.push(done(&stored));
                }
            }
            answer(reply, outcome);
        }
    }

    /// Whoever waits for an entry spools it on failure; an entry that nobody waits for is spooled
    /// here.
    fn keep_unawaited(&self, stored: Stored, is_unawaited: bool) {
        if is_unawaited && let Err(error) = self.spool.hand_over(stored.entry) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an entry is lost: neither store nor spool takes it"
            );
        }
    }

    async fn commit(&mut self, entries: &[Stored]) -> Result<(), LedgerError> {
        let zone = self.shared.time_zone.clone();
        let deadline = self.lane.deadline();
        let mut link = self.lane.link().await?;
        let writing = Box::pin(write(&mut link, entries, &zone));
        let written = match deadline {
            None => writing.await,
            Some(deadline) => tokio::time::timeout(deadline, writing)
                .await
                .unwrap_or_else(|_| {
                    Err(LedgerError::unavailable(
                        "the store does not answer in time",
                    ))
                }),
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
        let purged = purge(&mut link, before, most).await;
        if purged.is_err() {
            self.lane.discard();
        }
        purged
    }

    async fn probe(&mut self) -> Result<(), LedgerError> {
        let deadline = std::time::Duration::from_secs(2);
        let mut link = self.lane.link().await?;
        // Reading would not notice a full or a read-only disk; an empty update takes the write
        // path.
        let asking = link.execute(
            "UPDATE changes SET revision = revision WHERE id = 1",
            Vec::new(),
        );
        let asked = tokio::time::timeout(deadline, asking)
            .await
            .unwrap_or_else(|_| {
                Err(LedgerError::unavailable(
                    "the store does not answer in time",
                ))
            });
        match asked {
            Ok(_) => {
                self.shared.mark_up();
                Ok(())
            }
            Err(error) => {
                self.lane.discard();
                Err(error)
            }
        }
    }
}

#[derive(Default)]
struct Group {
    entries: Vec<Stored>,
    /// How many entries each asker brought, in order.
    replies: Vec<(usize, Option<Reply>)>,
}

fn done(stored: &Stored) -> (EntryId, Option<u64>) {
    let entry = &stored.entry;
    (
        entry.id().clone(),
        entry
            .result
            .usage
            .map(|usage| usage.input().saturating_add(usage.output())),
    )
}

fn answer(reply: Option<Reply>, outcome: Result<(), LedgerError>) {
    // A caller that stopped waiting has put its entry into the spool; writing it twice is one row.
    if let Some(reply) = reply {
        drop(reply.send(outcome));
    }
}

/// Writes entries and everything summed up beside them in one transaction; answers the ids that
/// were not there before. Writing an id again changes nothing, unless what is there is the guess of
/// a sweep: then the true entry takes its place.
pub(crate) async fn write(
    link: &mut Link<'_>,
    entries: &[Stored],
    zone: &jiff::tz::TimeZone,
) -> Result<HashSet<String>, LedgerError> {
    let mut seen = HashSet::new();
    let entries: Vec<&Stored> = entries
        .iter()
        .filter(|stored| seen.insert(stored.entry.id()))
        .collect();
    link.begin().await?;
    let rows = entries.iter().map(|stored| stored.cells()).collect();
    let mut inserted: HashSet<String> = link.insert(&ENTRIES, rows).await?.into_iter().collect();
    let mut additions = Additions::default();
    for stored in entries {
        let id = stored.entry.id().as_str();
        if inserted.contains(id) {
            additions.add(stored, zone);
        } else if replace_guess(link, stored, zone, &mut additions).await? {
            inserted.insert(id.to_owned());
            additions.add(stored, zone);
        }
    }
    link.insert(&ROLLUP, additions.rollup_rows()).await?;
    link.insert(&SPEND, additions.spend_rows()).await?;
    link.commit().await?;
    Ok(inserted)
}

async fn replace_guess(
    link: &mut Link<'_>,
    stored: &Stored,
    zone: &jiff::tz::TimeZone,
    additions: &mut Additions,
) -> Result<bool, LedgerError> {
    if stored.entry.result.outcome == Outcome::Interrupted || stored.entry.result.corrects.is_some()
    {
        return Ok(false);
    }
    let id = stored.entry.id().as_str();
    let sql = format!(
        "SELECT {ENTRY_COLUMNS} FROM entries WHERE id = $1 AND outcome = 'interrupted' AND corrects IS NULL"
    );
    let rows = link
        .fetch(sqlx::AssertSqlSafe(sql), vec![id.into()])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let guess = Stored::from(entry_of(row)?);
    // Somebody else may replace it at the same moment; only who deletes it goes on.
    if link
        .execute(
            "DELETE FROM entries WHERE id = $1 AND outcome = 'interrupted'",
            vec![id.into()],
        )
        .await?
        == 0
    {
        return Ok(false);
    }
    additions.take_back(&guess, zone);
    let inserted = link.insert(&ENTRIES, vec![stored.cells()]).await?;
    Ok(!inserted.is_empty())
}

async fn purge(link: &mut Link<'_>, before: i64, most: i64) -> Result<u64, LedgerError> {
    // Whole days only, so that the roll-up stays exact at the edge.
    let before = before.div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
    link.begin().await?;
    let sql = "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE started_at < $1 ORDER BY started_at, id LIMIT $2)";
    let gone = link.execute(sql, vec![before.into(), most.into()]).await?;
    if gone < u64::try_from(most).unwrap_or(0) {
        for (level, micros) in LEVELS {
            let sql = "DELETE FROM rollup WHERE level = $1 AND bucket < $2";
            link.execute(sql, vec![level.into(), before.div_euclid(micros).into()])
                .await?;
        }
    }
    link.commit().await?;
    if link.dialect() == Dialect::Sqlite && gone > 0 {
        // Gives freed pages back to the file system in small steps; PostgreSQL's autovacuum does
        // its own.
        link.raw("PRAGMA incremental_vacuum(2048)").await?;
    }
    Ok(gone)
}
