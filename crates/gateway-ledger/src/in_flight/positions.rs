//! What budgets have spent and reserved.

use gateway_policy::Billing;
use gateway_policy::limit::{Period, Position};

use crate::db::{Link, Statement};
use crate::error::LedgerError;
use crate::time::day_number;

/// Days as stored; `None` for all days.
pub(crate) type Days = Option<(i64, i64)>;

/// What a position is asked for: whose money, of which kind, on which days. Sorted: transactions
/// take the buckets' row locks in this order.
pub(crate) type PositionKey = (String, Billing, Days);

/// Subqueries in one statement. SQLite allows five hundred.
pub(super) const MAX_SUBQUERIES: usize = 200;

pub(crate) fn days(period: Period) -> Days {
    period
        .days
        .map(|(first, last)| (day_number(first), day_number(last)))
}

/// What scopes have spent and reserved in their periods, in the order asked. One statement for each
/// few hundred, so that money that moves from the one to the other is not missed between two looks.
///
/// A reservation counts until it is given back, whatever became of the lease of who made it: after
/// an outage of the store every lease is over and every stream still runs. What the dead leave goes
/// with the sweep.
pub(crate) async fn read_positions(
    link: &mut Link<'_>,
    keys: &[&PositionKey],
) -> Result<Vec<Position>, LedgerError> {
    let mut positions = Vec::with_capacity(keys.len());
    for keys in keys.chunks(MAX_SUBQUERIES) {
        for row in statement(keys).fetch(link).await? {
            positions.push(Position {
                reserved: row.some_int(1)?,
                spent: row.some_int(2)?,
            });
        }
    }
    Ok(positions)
}

fn statement(keys: &[&PositionKey]) -> Statement {
    let mut statement = Statement::new("");
    for (index, (scope, billing, days)) in (0_i64..).zip(keys) {
        let union = if index == 0 { "" } else { " UNION ALL " };
        statement.push(union).push("SELECT ").bind(index);
        statement.push(" AS place");
        // In `spend`, day 0 holds the total.
        for (table, (first, last)) in [
            ("reservations", days.unwrap_or((0, i64::MAX))),
            ("spend", days.unwrap_or((0, 0))),
        ] {
            statement
                .push(", CAST((SELECT COALESCE(SUM(nanos), 0) FROM ")
                .push(table)
                .push(" WHERE scope = ")
                .bind(scope.as_str())
                .push(" AND billing = ")
                .bind(billing.as_str())
                .push(" AND day BETWEEN ")
                .bind(first)
                .push(" AND ")
                .bind(last)
                .push(") AS BIGINT)");
        }
    }
    statement.push(" ORDER BY place");
    statement
}
