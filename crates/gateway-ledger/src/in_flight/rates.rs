//! How fast scopes go: exchanges in flight, and the buckets of their rate limits.

use crate::db::{Link, Statement, TableSchema, int, key, replaced, text};
use crate::error::LedgerError;

use super::positions::MAX_SUBQUERIES;

/// Where the rate limits of one scope stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RateState {
    /// Exchanges in flight.
    pub(super) in_flight: u64,
    /// When the bucket of requests will be empty, in nanoseconds since 1970.
    pub(super) requests: i64,
    /// The same for tokens.
    pub(super) tokens: i64,
    /// Whether the buckets differ from what is stored.
    pub(super) is_changed: bool,
}

/// One row of `buckets`.
pub(super) struct Bucket {
    pub(super) scope: String,
    pub(super) kind: &'static str,
    pub(super) empty_at: i64,
}

pub(super) const BUCKETS: TableSchema<Bucket> = TableSchema {
    name: "buckets",
    columns: &[
        key(text("scope", |bucket| Some(bucket.scope.clone()))),
        key(text("kind", |bucket| Some(bucket.kind.to_owned()))),
        replaced(int("empty_at", |bucket| Some(bucket.empty_at))),
    ],
    change_if: "",
};

/// How fast scopes are going, in the order asked.
pub(super) async fn read_rates(
    link: &mut Link<'_>,
    scopes: &[&str],
) -> Result<Vec<RateState>, LedgerError> {
    let mut rates = Vec::with_capacity(scopes.len());
    for scopes in scopes.chunks(MAX_SUBQUERIES) {
        for row in statement(scopes).fetch(link).await? {
            rates.push(RateState {
                in_flight: u64::try_from(row.some_int(1)?).unwrap_or(0),
                requests: row.int(2)?.unwrap_or(0),
                tokens: row.int(3)?.unwrap_or(0),
                is_changed: false,
            });
        }
    }
    Ok(rates)
}

fn statement(scopes: &[&str]) -> Statement {
    let mut statement = Statement::new("");
    for (index, scope) in (0_i64..).zip(scopes) {
        let union = if index == 0 { "" } else { " UNION ALL " };
        statement.push(union).push("SELECT ").bind(index);
        statement
            .push(" AS place, (SELECT COUNT(*) FROM reservations WHERE scope = ")
            .bind(*scope)
            .push(")");
        for kind in ["requests", "tokens"] {
            statement
                .push(", (SELECT empty_at FROM buckets WHERE scope = ")
                .bind(*scope)
                .push(" AND kind = ")
                .bind(kind)
                .push(")");
        }
    }
    statement.push(" ORDER BY place");
    statement
}
