//! The lane for what lives only as long as an exchange: intents, leases, reservations. Its commits
//! survive the death of the process and not of the power, so none of them waits for a disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::admission::{self, Admission, Pending};
use crate::db::{Cell, Dialect, Kind, Lane, Link, Table};
use crate::entry::{EntryId, InstanceId, Intent};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::shared::Shared;

/// Operations per transaction.
const MAX_GROUP: usize = 128;
/// Operations that wait for the lane. When it is full, a request waits for its deadline and is
/// refused.
pub(crate) const LIVE_QUEUE: usize = 4096;
/// How long one group may take on a store at the other end of a network. Less than a request waits,
/// so that the store is known to be down before the refusal is booked: it goes straight to the
/// spool then.
const DEADLINE: Duration = Duration::from_millis(1_500);

pub(crate) type Reply = oneshot::Sender<Result<(), LedgerError>>;

pub(crate) enum LiveOp {
    /// Writes an intent.
    Intend(Box<IntentRow>, Option<Reply>),
    /// Changes an intent that is still open.
    Update(Box<IntentRow>, Option<Reply>),
    /// Asks to be let in.
    Claim(Box<Pending>),
    /// These exchanges are settled or given up; with the tokens they used, where known.
    Done(Vec<(EntryId, Option<u64>)>),
    /// Extends this instance's lease to a moment in microseconds.
    Renew(i64, Reply),
}

pub(crate) struct IntentRow {
    pub(crate) id: EntryId,
    pub(crate) started_at: i64,
    pub(crate) body: String,
}

impl IntentRow {
    pub(crate) fn new(intent: &Intent) -> Result<Self, LedgerError> {
        let body = serde_json::to_string(intent).map_err(|error| {
            LedgerError::caused(
                LedgerErrorKind::Rejected,
                "an intent cannot be written as JSON",
                error,
            )
        })?;
        Ok(Self {
            id: intent.id.clone(),
            started_at: intent.started_at.as_microsecond(),
            body,
        })
    }
}

const INTENTS: Table = Table {
    name: "intents",
    columns: &[
        ("id", Kind::Text),
        ("instance", Kind::Text),
        ("started_at", Kind::Int),
        ("body", Kind::Text),
    ],
    conflict: "ON CONFLICT (id) DO NOTHING",
};

pub(crate) struct Live {
    pub(crate) lane: Lane,
    pub(crate) queue: mpsc::Receiver<LiveOp>,
    pub(crate) shared: Arc<Shared>,
}

#[derive(Default)]
struct Group {
    intents: Vec<(Box<IntentRow>, Option<Reply>)>,
    updates: Vec<(Box<IntentRow>, Option<Reply>)>,
    claims: Vec<Pending>,
    done: Vec<(EntryId, Option<u64>)>,
    renewals: Vec<(i64, Reply)>,
}

impl Group {
    /// Whoever stopped waiting has answered its client already, and has taken back what it asked
    /// for.
    fn answer(self, admissions: Vec<Admission>) {
        let written = self.intents.into_iter().chain(self.updates);
        let replies = written.filter_map(|(_, reply)| reply);
        for reply in replies.chain(self.renewals.into_iter().map(|(_, reply)| reply)) {
            drop(reply.send(Ok(())));
        }
        for (pending, admission) in self.claims.into_iter().zip(admissions) {
            drop(pending.reply.send(Ok(admission)));
        }
    }

    /// Answers what is over all the same.
    fn fail(self, kind: LedgerErrorKind) -> Vec<(EntryId, Option<u64>)> {
        let failed =
            || LedgerError::bare(kind, "the store did not take an intent or a reservation");
        let written = self.intents.into_iter().chain(self.updates);
        let replies = written.filter_map(|(_, reply)| reply);
        for reply in replies.chain(self.renewals.into_iter().map(|(_, reply)| reply)) {
            drop(reply.send(Err(failed())));
        }
        for pending in self.claims {
            drop(pending.reply.send(Err(failed())));
        }
        self.done
    }
}

impl Live {
    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(mut self, mut closing: watch::Receiver<bool>) {
        let mut ops = Vec::with_capacity(MAX_GROUP);
        // What is over and could not be written down: without another try its reservations would
        // stay for ever.
        let mut unfinished = Vec::new();
        loop {
            let received = tokio::select! {
                received = self.queue.recv_many(&mut ops, MAX_GROUP) => received,
                Ok(()) = closing.changed() => { self.queue.close(); continue; }
            };
            if received == 0 {
                break;
            }
            let mut group = Group {
                done: std::mem::take(&mut unfinished),
                ..Group::default()
            };
            group.done.extend(self.shared.to_take_back());
            for op in ops.drain(..) {
                match op {
                    LiveOp::Intend(row, reply) => group.intents.push((row, reply)),
                    LiveOp::Update(row, reply) => group.updates.push((row, reply)),
                    LiveOp::Claim(pending) => group.claims.push(*pending),
                    LiveOp::Done(ids) => group.done.extend(ids),
                    LiveOp::Renew(until, reply) => group.renewals.push((until, reply)),
                }
            }
            match self.process(&group).await {
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

    async fn process(&mut self, group: &Group) -> Result<Vec<Admission>, LedgerError> {
        let is_remote = self.lane.deadline().is_some();
        let shared = Arc::clone(&self.shared);
        let mut link = self.lane.link().await?;
        let working = Box::pin(apply(&mut link, group, &shared));
        let worked = if is_remote {
            tokio::time::timeout(DEADLINE, working)
                .await
                .unwrap_or_else(|_| {
                    Err(LedgerError::unavailable(
                        "the store does not answer in time",
                    ))
                })
        } else {
            working.await
        };
        if worked.is_err() {
            self.lane.discard();
        }
        worked
    }
}

/// Two transactions: what is over first, so that the claims after it find its room. Apart also
/// because a transaction that holds a scope's lock must not wait for rows that another one holds
/// which waits for that lock.
async fn apply(
    link: &mut Link<'_>,
    group: &Group,
    shared: &Shared,
) -> Result<Vec<Admission>, LedgerError> {
    let instance = &shared.instance;
    let rows: Vec<Vec<Cell>> = group
        .intents
        .iter()
        .map(|(row, _)| intent_cells(row, instance))
        .collect();
    let is_quiet = group.done.is_empty() && group.renewals.is_empty();
    if is_quiet && rows.len() + group.updates.len() <= 1 {
        // The common case: one statement is a transaction of its own.
        link.insert(&INTENTS, rows).await?;
        update_intents(link, &group.updates).await?;
    } else {
        // Deferred: an immediate one would lock the attached ledger too, and wait for the writer's
        // fsync.
        link.raw("BEGIN").await?;
        link.insert(&INTENTS, rows).await?;
        // After the insert: an intent can be written and changed in one group.
        update_intents(link, &group.updates).await?;
        delete_intents(link, group.done.iter().map(|(id, _)| id)).await?;
        admission::release(link, &group.done).await?;
        if let Some(until) = group.renewals.iter().map(|(until, _)| *until).max() {
            renew(link, instance, until).await?;
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

fn intent_cells(row: &IntentRow, instance: &InstanceId) -> Vec<Cell> {
    vec![
        row.id.as_str().into(),
        instance.as_str().into(),
        row.started_at.into(),
        row.body.as_str().into(),
    ]
}

/// Changes the intents that are still open. One that is settled by now must not come back.
async fn update_intents(
    link: &mut Link<'_>,
    updates: &[(Box<IntentRow>, Option<Reply>)],
) -> Result<(), LedgerError> {
    if updates.is_empty() {
        return Ok(());
    }
    // Of several changes to one intent the last one counts.
    let bodies: BTreeMap<&str, &str> = updates
        .iter()
        .map(|(row, _)| (row.id.as_str(), row.body.as_str()))
        .collect();
    let list = serde_json::to_string(&bodies).unwrap_or_default();
    let sql = match link.dialect() {
        Dialect::Sqlite => {
            "UPDATE intents SET body = new.value FROM json_each($1) AS new WHERE intents.id = new.key"
        }
        Dialect::Postgres => {
            "UPDATE intents SET body = new.value FROM jsonb_each_text($1::jsonb) AS new \
             WHERE intents.id = new.key"
        }
    };
    link.execute(sql, vec![list.into()]).await.map(drop)
}

pub(crate) async fn delete_intents(
    link: &mut Link<'_>,
    ids: impl Iterator<Item = &EntryId>,
) -> Result<(), LedgerError> {
    let ids: Vec<&str> = ids.map(EntryId::as_str).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let list = serde_json::to_string(&ids).unwrap_or_default();
    match link {
        Link::Sqlite(_) => {
            let sql = "DELETE FROM intents WHERE id IN (SELECT value FROM json_each($1))";
            link.execute(sql, vec![list.into()]).await?;
        }
        Link::Postgres(_) => {
            let sql =
                "DELETE FROM intents WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb))";
            link.execute(sql, vec![list.into()]).await?;
        }
    }
    Ok(())
}

pub(crate) async fn renew(
    link: &mut Link<'_>,
    instance: &InstanceId,
    until: i64,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO leases (instance, expires_at) VALUES ($1, $2) \
               ON CONFLICT (instance) DO UPDATE SET expires_at = excluded.expires_at";
    link.execute(sql, vec![instance.as_str().into(), until.into()])
        .await
        .map(drop)
}

/// Open intents of one instance, oldest first, at most so many.
pub(crate) struct Leftovers {
    pub(crate) intents: Vec<Intent>,
    /// Intents that cannot be read back. Nothing is known of them but that they were; keeping them
    /// would stop every sweep.
    pub(crate) unreadable: Vec<EntryId>,
}

pub(crate) async fn leftovers(
    link: &mut Link<'_>,
    instance: &InstanceId,
    most: i64,
) -> Result<Leftovers, LedgerError> {
    let sql = "SELECT id, body FROM intents WHERE instance = $1 ORDER BY started_at, id LIMIT $2";
    let rows = link
        .fetch(sql, vec![instance.as_str().into(), most.into()])
        .await?;
    let mut found = Leftovers {
        intents: Vec::new(),
        unreadable: Vec::new(),
    };
    for row in rows {
        match serde_json::from_str(&row.some_text(1)?) {
            Ok(intent) => found.intents.push(intent),
            Err(error) => {
                let id = row.some_text(0)?;
                tracing::error!(%id, %error, "a stored intent cannot be read and is dropped");
                found.unreadable.extend(EntryId::parse(&id));
            }
        }
    }
    Ok(found)
}

/// Other instances that left intents or reservations behind and whose lease is over, or that never
/// had one.
pub(crate) async fn expired_instances(
    link: &mut Link<'_>,
    own: &InstanceId,
    now: i64,
) -> Result<Vec<InstanceId>, LedgerError> {
    let sql = "SELECT DISTINCT instance FROM (SELECT instance FROM intents UNION SELECT instance FROM reservations) AS held \
               WHERE instance <> $1 AND instance NOT IN (SELECT instance FROM leases WHERE expires_at > $2)";
    let rows = link
        .fetch(sql, vec![own.as_str().into(), now.into()])
        .await?;
    rows.iter()
        .map(|row| row.some_text(0).map(InstanceId::new))
        .collect()
}

pub(crate) async fn drop_reservations(
    link: &mut Link<'_>,
    instance: &InstanceId,
) -> Result<(), LedgerError> {
    link.execute(
        "DELETE FROM reservations WHERE instance = $1",
        vec![instance.as_str().into()],
    )
    .await
    .map(drop)
}
