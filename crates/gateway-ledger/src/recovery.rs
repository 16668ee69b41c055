//! What an earlier life of this instance left: entries in the spool, and open intents. Written before
//! the first request, and before any other instance can take them over.

use crate::db::Lane;
use crate::entries;
use crate::entries::row::EntryRow;
use crate::entry::{Intent, LedgerEntry};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::ids::InstanceId;
use crate::in_flight::intents::{delete_intents, open_intents};
use crate::in_flight::reservations::drop_reservations;
use crate::shared::Shared;
use crate::spool::Spool;

/// Entries taken from the spool at once.
pub(crate) const SPOOL_CHUNK: usize = 256;
/// Open intents settled at once.
pub(crate) const INTENT_CHUNK: i64 = 500;

/// What open intents become.
pub(crate) fn interrupted(
    intents: Vec<Intent>,
    shared: &Shared,
    instance: &InstanceId,
) -> Vec<LedgerEntry> {
    let now = (shared.clock)();
    let settle = |intent| LedgerEntry::interrupted(intent, now, instance.clone());
    intents.into_iter().map(settle).collect()
}

/// Writes what the spool holds into the store.
pub(crate) async fn empty_spool(
    spool: &Spool,
    writer: &mut Lane,
    shared: &Shared,
) -> Result<(), LedgerError> {
    while spool.depth() > 0 {
        let entries = spool.take(SPOOL_CHUNK).await?;
        if entries.is_empty() {
            break;
        }
        let rows: Vec<EntryRow> = entries.into_iter().map(EntryRow::from).collect();
        match entries::write(&mut writer.link().await?, &rows, &shared.time_zone).await {
            Ok(_) => {}
            Err(error) if error.kind() == LedgerErrorKind::Rejected => {
                writer.discard();
                write_one_by_one(rows, spool, writer, shared).await?;
            }
            Err(error) => return Err(error),
        }
        spool.drained()?;
        // The thread works in order: once it has answered the next question it has counted down.
        if spool.take(0).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// The store refuses one of them: it goes into a file for a person to look at.
async fn write_one_by_one(
    rows: Vec<EntryRow>,
    spool: &Spool,
    writer: &mut Lane,
    shared: &Shared,
) -> Result<(), LedgerError> {
    for row in rows {
        let alone = std::slice::from_ref(&row);
        let written = entries::write(&mut writer.link().await?, alone, &shared.time_zone).await;
        if written.is_err() {
            writer.discard();
            spool.set_aside(vec![row.entry]).await?;
        }
    }
    Ok(())
}

/// Settles this instance's open intents as interrupted and drops its reservations. Answers the
/// entries that are new.
pub(crate) async fn settle_own(
    in_flight: &mut Lane,
    writer: &mut Lane,
    shared: &Shared,
) -> Result<Vec<LedgerEntry>, LedgerError> {
    let mut settled = Vec::new();
    loop {
        let mut link = in_flight.link().await?;
        let found = open_intents(&mut link, &shared.instance, INTENT_CHUNK).await?;
        delete_intents(&mut link, found.unreadable.iter()).await?;
        if found.intents.is_empty() {
            drop_reservations(&mut link, &shared.instance).await?;
            return Ok(settled);
        }
        let entries = interrupted(found.intents, shared, &shared.instance);
        let rows: Vec<EntryRow> = entries.iter().cloned().map(EntryRow::from).collect();
        let new = entries::write(&mut writer.link().await?, &rows, &shared.time_zone).await?;
        delete_intents(&mut link, entries.iter().map(LedgerEntry::id)).await?;
        // An entry that was there already: the process died between its commit and the end of its
        // intent.
        let entries = entries.into_iter();
        settled.extend(entries.filter(|entry| new.contains(entry.id().as_str())));
    }
}
