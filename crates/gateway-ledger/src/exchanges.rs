//! Lists recorded exchanges, newest first, page by page.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::Statement;
use crate::entries::row::{ENTRIES, read_entry};
use crate::entry::LedgerEntry;
use crate::error::LedgerError;
use crate::filter::{Filters, Queried, append_times};
use crate::ids::EntryId;
use crate::ledger::Ledger;

/// Most entries on a page.
pub const MAX_PAGE: u32 = 1000;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ExchangeQuery {
    /// Entries on the page, 1 to [`MAX_PAGE`]; values outside are clamped.
    pub limit: u32,
    /// Where the previous page ended; `None`: at the newest.
    pub cursor: Option<String>,
    /// Requests that arrived at or after this moment.
    pub since: Option<Timestamp>,
    /// Requests that arrived before this moment.
    pub until: Option<Timestamp>,
    /// Only these.
    pub filters: Filters,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    /// Newest first. Correcting entries are among them; they alone carry `corrects`.
    pub items: Vec<LedgerEntry>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
}

impl Ledger {
    /// Lists entries by the time their requests arrived, newest first. A cursor stays good while
    /// entries come and go: no entry that is there all along is skipped or shown twice.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Invalid`](crate::LedgerErrorKind::Invalid) for a cursor that is not one of this ledger's;
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does not
    /// answer.
    pub async fn exchanges(&self, query: &ExchangeQuery) -> Result<Page, LedgerError> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let columns = ENTRIES.names();
        let mut statement = Statement::new(format!("SELECT {columns} FROM entries WHERE 1 = 1"));
        if let Some(cursor) = &query.cursor {
            let (started_at, id) = read_cursor(cursor)
                .ok_or_else(|| LedgerError::invalid("the cursor is not one of this ledger's"))?;
            statement
                .push(" AND (started_at, id) < (")
                .bind(started_at)
                .push(", ")
                .bind(id.as_str())
                .push(")");
        }
        append_times(query.since, query.until, &mut statement);
        query.filters.append(Queried::Entries, &mut statement);
        // One more than asked for says whether there is a next page.
        statement
            .push(" ORDER BY started_at DESC, id DESC LIMIT ")
            .bind(i64::from(limit) + 1);
        let mut connection = self.pool().acquire().await?;
        let rows = statement.fetch(&mut connection.link()).await?;
        let has_more = rows.len() > limit as usize;
        let items = rows
            .iter()
            .take(limit as usize)
            .map(read_entry)
            .collect::<Result<Vec<_>, _>>()?;
        let next = items.last().filter(|_| has_more).map(cursor_of);
        Ok(Page { items, next })
    }

    /// The entry of an exchange; `None`: there is none.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn exchange(&self, id: &EntryId) -> Result<Option<LedgerEntry>, LedgerError> {
        let sql = format!("SELECT {} FROM entries WHERE id = $1", ENTRIES.names());
        let mut connection = self.pool().acquire().await?;
        let rows = connection
            .link()
            .fetch(sqlx::AssertSqlSafe(sql), vec![id.as_str().into()])
            .await?;
        rows.first().map(read_entry).transpose()
    }
}

/// The time in hexadecimal and the id: letters, digits and hyphens only.
fn cursor_of(entry: &LedgerEntry) -> String {
    format!(
        "{:x}_{}",
        entry.intent.started_at.as_microsecond().max(0),
        entry.id()
    )
}

fn read_cursor(cursor: &str) -> Option<(i64, EntryId)> {
    let (time, id) = cursor.split_once('_')?;
    Some((
        i64::from_str_radix(time, 16).ok()?,
        EntryId::parse(id).ok()?,
    ))
}
