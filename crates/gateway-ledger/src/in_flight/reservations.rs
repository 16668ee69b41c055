//! Money and tokens that are reserved for exchanges in flight: one row per exchange and scope, by
//! which concurrency is counted too.

use std::collections::{BTreeMap, HashMap};

use gateway_policy::limit::RateLimit;

use crate::db::{Link, Row, SqlDialect, TableSchema, int, key, replaced, text};
use crate::error::LedgerError;
use crate::ids::{EntryId, InstanceId};

/// One row of `reservations`.
pub(super) struct Reservation {
    pub(super) id: String,
    pub(super) scope: String,
    pub(super) billing: &'static str,
    pub(super) day: i64,
    pub(super) nanos: i64,
    pub(super) tokens: i64,
    /// The limit that the tokens count against, where there is one.
    pub(super) tokens_per_minute: Option<i64>,
    pub(super) instance: String,
}

pub(super) const RESERVATIONS: TableSchema<Reservation> = TableSchema {
    name: "reservations",
    columns: &[
        key(text("id", |row| Some(row.id.clone()))),
        key(text("scope", |row| Some(row.scope.clone()))),
        replaced(text("billing", |row| Some(row.billing.to_owned()))),
        int("day", |row| Some(row.day)),
        replaced(int("nanos", |row| Some(row.nanos))),
        int("tokens", |row| Some(row.tokens)),
        int("tokens_per_minute", |row| row.tokens_per_minute),
        text("instance", |row| Some(row.instance.clone())),
    ],
    change_if: "",
};

/// Money that is reserved, or given back.
#[derive(Debug, Clone)]
pub(super) struct ReservedMoney {
    pub(super) scope: String,
    pub(super) billing: String,
    pub(super) day: i64,
    pub(super) nanos: i64,
}

/// What is reserved for an exchange.
pub(super) async fn reserved_for(
    link: &mut Link<'_>,
    id: &EntryId,
) -> Result<Vec<ReservedMoney>, LedgerError> {
    let sql = "SELECT scope, billing, day, nanos FROM reservations WHERE id = $1";
    let rows = link.fetch(sql, vec![id.as_str().into()]).await?;
    let money = |row: &Row| {
        Ok(ReservedMoney {
            scope: row.some_text(0)?,
            billing: row.some_text(1)?,
            day: row.some_int(2)?,
            nanos: row.some_int(3)?,
        })
    };
    rows.iter().map(money).collect()
}

/// Gives back what was reserved for exchanges, and sets token buckets right by what they really
/// used.
pub(super) async fn release(
    link: &mut Link<'_>,
    done: &[(EntryId, Option<u64>)],
) -> Result<(), LedgerError> {
    if done.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = done.iter().map(|(id, _)| id.as_str()).collect();
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let sql = match link.dialect() {
        SqlDialect::Sqlite => {
            "DELETE FROM reservations WHERE id IN (SELECT value FROM json_each($1)) \
             RETURNING id, scope, tokens, tokens_per_minute"
        }
        SqlDialect::Postgres => {
            "DELETE FROM reservations WHERE id IN (SELECT jsonb_array_elements_text($1::jsonb)) \
             RETURNING id, scope, tokens, tokens_per_minute"
        }
    };
    let rows = link.fetch(sql, vec![list.into()]).await?;
    let used: HashMap<&str, u64> = done
        .iter()
        .filter_map(|(id, tokens)| Some((id.as_str(), (*tokens)?)))
        .collect();
    let mut moves: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        let (Some(used), Some(per_minute)) = (used.get(row.some_text(0)?.as_str()), row.int(3)?)
        else {
            continue;
        };
        let expected = u64::try_from(row.some_int(2)?).unwrap_or(0);
        let rate = RateLimit::per_minute(u64::try_from(per_minute).unwrap_or(0));
        let moved = moves.entry(row.some_text(1)?).or_default();
        *moved = moved.saturating_add(rate.correction(expected, *used));
    }
    for (scope, nanos) in moves {
        let sql =
            "UPDATE buckets SET empty_at = empty_at + $1 WHERE scope = $2 AND kind = 'tokens'";
        link.execute(sql, vec![nanos.into(), scope.into()]).await?;
    }
    Ok(())
}

/// Drops everything that an instance reserved.
pub(crate) async fn drop_reservations(
    link: &mut Link<'_>,
    instance: &InstanceId,
) -> Result<(), LedgerError> {
    let sql = "DELETE FROM reservations WHERE instance = $1";
    let cells = vec![instance.as_str().into()];
    link.execute(sql, cells).await.map(drop)
}
