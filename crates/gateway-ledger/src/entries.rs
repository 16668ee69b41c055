//! The SQL of settled entries: writing them with everything summed up beside them, and deleting
//! what is older than the retention.

pub(crate) mod rollup;
pub(crate) mod row;
pub(crate) mod sums;

use std::collections::HashSet;

use jiff::tz::TimeZone;

use crate::db::{Link, SqlDialect};
use crate::entry::Outcome;
use crate::error::LedgerError;

use rollup::{DAY_MICROS, LEVELS, SumChanges};
use row::{ENTRIES, EntryRow};

/// Writes entries and everything summed up beside them in one transaction; answers the ids that
/// were not there before. Writing an id again changes nothing, unless what is there was inferred by
/// a sweep: then the true entry takes its place.
pub(crate) async fn write(
    link: &mut Link<'_>,
    rows: &[EntryRow],
    zone: &TimeZone,
) -> Result<HashSet<String>, LedgerError> {
    let mut seen = HashSet::new();
    let rows: Vec<&EntryRow> = rows
        .iter()
        .filter(|row| seen.insert(row.entry.id()))
        .collect();
    link.begin().await?;
    let inserted = link.insert(&ENTRIES, &rows).await?;
    let mut inserted: HashSet<String> = inserted.into_iter().collect();
    let mut changes = SumChanges::default();
    for row in rows {
        let id = row.entry.id().as_str();
        if inserted.contains(id) {
            changes.add(row, zone);
        } else if replace_inferred(link, row, zone, &mut changes).await? {
            inserted.insert(id.to_owned());
            changes.add(row, zone);
        }
    }
    changes.write(link).await?;
    link.commit().await?;
    Ok(inserted)
}

async fn replace_inferred(
    link: &mut Link<'_>,
    row: &EntryRow,
    zone: &TimeZone,
    changes: &mut SumChanges,
) -> Result<bool, LedgerError> {
    let result = &row.entry.result;
    if result.outcome == Outcome::Interrupted || result.corrects.is_some() {
        return Ok(false);
    }
    let id = row.entry.id().as_str();
    let sql = format!(
        "SELECT {} FROM entries WHERE id = $1 AND outcome = 'interrupted' AND corrects IS NULL",
        ENTRIES.names()
    );
    let found = link
        .fetch(sqlx::AssertSqlSafe(sql), vec![id.into()])
        .await?;
    let Some(found) = found.first() else {
        return Ok(false);
    };
    let inferred = EntryRow::read(found)?;
    // Another writer may replace it at the same moment; only the one that deletes it goes on.
    let sql = "DELETE FROM entries WHERE id = $1 AND outcome = 'interrupted'";
    if link.execute(sql, vec![id.into()]).await? == 0 {
        return Ok(false);
    }
    changes.take_back(&inferred, zone);
    let inserted = link.insert(&ENTRIES, &[row]).await?;
    Ok(!inserted.is_empty())
}

/// Deletes at most so many entries that started before a moment in microseconds, rounded down to a
/// day in UTC so that the roll-up stays exact at the edge. Answers how many.
pub(crate) async fn purge(link: &mut Link<'_>, before: i64, most: i64) -> Result<u64, LedgerError> {
    let before = before.div_euclid(DAY_MICROS).saturating_mul(DAY_MICROS);
    link.begin().await?;
    let sql = "DELETE FROM entries WHERE id IN \
               (SELECT id FROM entries WHERE started_at < $1 ORDER BY started_at, id LIMIT $2)";
    let gone = link.execute(sql, vec![before.into(), most.into()]).await?;
    if gone < u64::try_from(most).unwrap_or(0) {
        for (level, micros) in LEVELS {
            let sql = "DELETE FROM rollup WHERE level = $1 AND bucket < $2";
            let cells = vec![level.into(), before.div_euclid(micros).into()];
            link.execute(sql, cells).await?;
        }
    }
    link.commit().await?;
    if link.dialect() == SqlDialect::Sqlite && gone > 0 {
        // Gives freed pages back to the file system in small steps; PostgreSQL's autovacuum does
        // its own.
        link.raw("PRAGMA incremental_vacuum(2048)").await?;
    }
    Ok(gone)
}
