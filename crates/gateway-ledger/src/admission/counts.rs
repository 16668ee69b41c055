//! The counts that claims are decided by, for the length of one transaction.

use std::collections::BTreeMap;

use gateway_policy::Billing;
use gateway_policy::limit::{Estimate, Period, Position, Refusal, ScopeLimits, ScopeState};
use jiff::Timestamp;

use super::{Admission, Claim, Pending};
use crate::db::{Cell, Kind, Link, Row, Statement, Table};
use crate::entry::EntryId;
use crate::error::LedgerError;
use crate::shared::Shared;
use crate::tables::{day_number, local_day};

const RESERVATIONS: Table = Table {
    name: "reservations",
    columns: &[
        ("id", Kind::Text),
        ("scope", Kind::Text),
        ("billing", Kind::Text),
        ("day", Kind::Int),
        ("nanos", Kind::Int),
        ("tokens", Kind::Int),
        ("tokens_per_minute", Kind::Int),
        ("instance", Kind::Text),
    ],
    conflict: "ON CONFLICT (id, scope) DO UPDATE SET nanos = excluded.nanos, billing = excluded.billing",
};

const BUCKETS: Table = Table {
    name: "buckets",
    columns: &[
        ("scope", Kind::Text),
        ("kind", Kind::Text),
        ("empty_at", Kind::Int),
    ],
    conflict: "ON CONFLICT (scope, kind) DO UPDATE SET empty_at = excluded.empty_at",
};

#[derive(Debug, Clone, Copy, Default)]
struct Speed {
    in_flight: u64,
    requests: i64,
    tokens: i64,
    is_changed: bool,
}

/// Days as stored; `None` for all days.
pub(super) type Days = Option<(i64, i64)>;

/// What is asked of the store, sorted: transactions take the buckets' row locks in this order.
pub(super) type Question = (String, Billing, Days);

/// Subqueries in one statement. SQLite allows five hundred.
pub(super) const QUESTIONS: usize = 200;

/// The counts of one transaction: read once, in as few statements as can be, then carried on in
/// memory.
pub(super) struct Counts<'s> {
    shared: &'s Shared,
    now: i64,
    positions: BTreeMap<Question, Position>,
    speeds: BTreeMap<String, Speed>,
    reservations: Vec<Vec<Cell>>,
}

/// Money set aside, or given back, in this transaction.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    scope: String,
    billing: String,
    day: i64,
    nanos: i64,
}

impl Noted {
    fn counts_in(&self, scope: &str, billing: Billing, days: Days) -> bool {
        let is_inside = days.is_none_or(|(first, last)| (first..=last).contains(&self.day));
        self.scope == scope && self.billing == billing.as_str() && is_inside
    }
}

impl<'s> Counts<'s> {
    pub(super) fn new(pending: &[Pending], shared: &'s Shared) -> Self {
        let (mut positions, mut speeds) = (BTreeMap::new(), BTreeMap::new());
        for claim in pending.iter().map(|pending| &pending.claim) {
            for limits in &claim.scopes {
                speeds.insert(limits.scope.as_text(), Speed::default());
                positions.extend(
                    questions(claim, limits, shared)
                        .map(|question| (question, Position::default())),
                );
            }
        }
        Self {
            shared,
            now: shared.now(),
            positions,
            speeds,
            reservations: Vec::new(),
        }
    }

    pub(super) fn scopes(&self) -> Vec<&str> {
        self.speeds.keys().map(String::as_str).collect()
    }

    pub(super) async fn read(&mut self, link: &mut Link<'_>) -> Result<(), LedgerError> {
        let questions: Vec<&Question> = self.positions.keys().collect();
        let mut positions = Vec::with_capacity(questions.len());
        for questions in questions.chunks(QUESTIONS) {
            positions.extend(read_positions(link, questions).await?);
        }
        for (position, read) in self.positions.values_mut().zip(positions) {
            *position = read;
        }
        let scopes = self.scopes();
        let mut speeds = Vec::with_capacity(scopes.len());
        for scopes in scopes.chunks(QUESTIONS) {
            speeds.extend(read_speeds(link, scopes).await?);
        }
        for (speed, read) in self.speeds.values_mut().zip(speeds) {
            *speed = read;
        }
        Ok(())
    }

    /// Decides over one claim; `held` is what is set aside for its exchange already.
    pub(super) fn decide(&mut self, pending: &Pending, held: &[Noted]) -> Admission {
        let Pending {
            claim, is_repriced, ..
        } = pending;
        for noted in held {
            self.note(noted, i64::saturating_sub);
        }
        let at = Timestamp::from_microsecond(self.now).unwrap_or(claim.at);
        let (nanos, tokens, billing) = (claim.nanos, claim.tokens, claim.billing);
        let ask = Estimate {
            nanos,
            tokens,
            billing,
            at,
            arrived_at: claim.at,
            is_repriced: *is_repriced,
        };
        let mut granted = Vec::with_capacity(claim.scopes.len());
        let mut refusal: Option<Refusal> = None;
        for limits in &claim.scopes {
            match limits.admit(&self.state(claim, limits), ask, &self.shared.time_zone) {
                Ok(admitted) => granted.push((limits, admitted)),
                Err(worse) if refusal.as_ref().is_none_or(|known| is_worse(&worse, known)) => {
                    refusal = Some(worse);
                }
                Err(_) => {}
            }
        }
        if let Some(refusal) = refusal {
            // What was set aside before stays.
            for noted in held {
                self.note(noted, i64::saturating_add);
            }
            return Admission::Refused(refusal);
        }
        let mut soft_crossed = Vec::new();
        for (limits, admitted) in granted {
            let scope = limits.scope.as_text();
            self.set_aside(claim, limits, &scope);
            if let Some(speed) = self.speeds.get_mut(&scope)
                && !is_repriced
            {
                *speed = Speed {
                    in_flight: speed.in_flight + 1,
                    requests: admitted.requests,
                    tokens: admitted.tokens,
                    is_changed: true,
                };
            }
            soft_crossed.extend(
                admitted
                    .soft_crossed
                    .into_iter()
                    .map(|budget| (limits.scope.clone(), budget)),
            );
        }
        Admission::Granted { soft_crossed }
    }

    /// Where the scope stands for this claim.
    fn state(&self, claim: &Claim, limits: &ScopeLimits) -> ScopeState {
        let position = |question| self.positions.get(&question).copied().unwrap_or_default();
        let speed = self
            .speeds
            .get(&limits.scope.as_text())
            .copied()
            .unwrap_or_default();
        ScopeState {
            positions: questions(claim, limits, self.shared)
                .map(position)
                .collect(),
            in_flight: speed.in_flight,
            requests: speed.requests,
            tokens: speed.tokens,
        }
    }

    fn set_aside(&mut self, claim: &Claim, limits: &ScopeLimits, scope: &str) {
        let day = local_day(claim.at, &self.shared.time_zone);
        let per_minute = limits
            .limits
            .tokens_per_minute
            .map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
        self.reservations.push(vec![
            claim.id.as_str().into(),
            scope.into(),
            claim.billing.as_str().into(),
            day.into(),
            claim.nanos.into(),
            i64::try_from(claim.tokens).unwrap_or(i64::MAX).into(),
            per_minute.into(),
            self.shared.instance.as_str().into(),
        ]);
        let (scope, billing) = (scope.to_owned(), claim.billing.as_str().to_owned());
        self.note(
            &Noted {
                scope,
                billing,
                day,
                nanos: claim.nanos,
            },
            i64::saturating_add,
        );
    }

    fn note(&mut self, noted: &Noted, change: fn(i64, i64) -> i64) {
        for ((scope, billing, days), position) in &mut self.positions {
            if noted.counts_in(scope, *billing, *days) {
                position.reserved = change(position.reserved, noted.nanos);
            }
        }
    }

    pub(super) async fn write(self, link: &mut Link<'_>) -> Result<(), LedgerError> {
        // The last word on an exchange counts, where one transaction holds several.
        let mut rows: Vec<Vec<Cell>> = Vec::new();
        for row in self.reservations {
            rows.retain(|known| known.get(..2) != row.get(..2));
            rows.push(row);
        }
        link.insert(&RESERVATIONS, rows).await?;
        let changed = self.speeds.iter().filter(|(_, speed)| speed.is_changed);
        let rows = changed.flat_map(|(scope, speed)| {
            [("requests", speed.requests), ("tokens", speed.tokens)]
                .into_iter()
                .filter(|(_, empty_at)| *empty_at != 0)
                .map(move |(kind, empty_at)| {
                    vec![scope.as_str().into(), kind.into(), empty_at.into()]
                })
        });
        link.insert(&BUCKETS, rows.collect()).await?;
        Ok(())
    }
}

/// A spent budget outweighs everything; among what passes by waiting, the longest wait does.
fn is_worse(refusal: &Refusal, known: &Refusal) -> bool {
    match (refusal.retry_after(), known.retry_after()) {
        (None, Some(_)) => true,
        (None | Some(_), None) => false,
        (Some(wait), Some(known)) => wait > known,
    }
}

/// The positions that a claim's budgets ask for, in their order.
fn questions<'c>(
    claim: &'c Claim,
    limits: &'c ScopeLimits,
    shared: &'c Shared,
) -> impl Iterator<Item = Question> + 'c {
    limits.budgets.iter().map(|budget| {
        let days = days(budget.window.period(claim.at, &shared.time_zone));
        (limits.scope.as_text(), budget.billing, days)
    })
}

pub(super) fn days(period: Period) -> Days {
    period
        .days
        .map(|(first, last)| (day_number(first), day_number(last)))
}

/// What scopes have spent and set aside in their periods, in the order asked. One statement, so
/// that money that moves from the one to the other is not missed between two looks.
///
/// What is set aside counts until it is given back, whatever became of the lease of who did it:
/// after an outage of the store everybody's lease is over and everybody's streams still run. What
/// the dead leave goes with the sweep.
pub(super) async fn read_positions(
    link: &mut Link<'_>,
    questions: &[&Question],
) -> Result<Vec<Position>, LedgerError> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new("");
    for (index, (scope, billing, days)) in (0_i64..).zip(questions) {
        // Day 0 holds the total.
        let (first_spent, last_spent) = days.unwrap_or((0, 0));
        let (first, last) = days.unwrap_or((0, i64::MAX));
        statement
            .push(if index == 0 {
                "SELECT "
            } else {
                " UNION ALL SELECT "
            })
            .bind(index);
        statement.push(
            " AS place, CAST((SELECT COALESCE(SUM(nanos), 0) FROM reservations WHERE scope = ",
        );
        statement
            .bind(scope.as_str())
            .push(" AND billing = ")
            .bind(billing.as_str());
        statement
            .push(" AND day BETWEEN ")
            .bind(first)
            .push(" AND ")
            .bind(last)
            .push(") AS BIGINT), CAST((SELECT COALESCE(SUM(nanos), 0) FROM spend WHERE scope = ");
        statement
            .bind(scope.as_str())
            .push(" AND billing = ")
            .bind(billing.as_str());
        statement
            .push(" AND day BETWEEN ")
            .bind(first_spent)
            .push(" AND ")
            .bind(last_spent)
            .push(") AS BIGINT)");
    }
    statement.push(" ORDER BY place");
    let rows = statement.fetch(link).await?;
    rows.iter()
        .map(|row| {
            Ok(Position {
                reserved: row.some_int(1)?,
                spent: row.some_int(2)?,
            })
        })
        .collect()
}

/// How fast scopes are going, in the order asked.
async fn read_speeds(link: &mut Link<'_>, scopes: &[&str]) -> Result<Vec<Speed>, LedgerError> {
    if scopes.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new("");
    for (index, scope) in (0_i64..).zip(scopes) {
        statement
            .push(if index == 0 {
                "SELECT "
            } else {
                " UNION ALL SELECT "
            })
            .bind(index);
        statement
            .push(" AS place, (SELECT COUNT(*) FROM reservations WHERE scope = ")
            .bind(*scope);
        for kind in ["requests", "tokens"] {
            statement
                .push("), (SELECT empty_at FROM buckets WHERE scope = ")
                .bind(*scope);
            statement.push(" AND kind = ").bind(kind);
        }
        statement.push(")");
    }
    statement.push(" ORDER BY place");
    let rows = statement.fetch(link).await?;
    let speed = |row: &Row| {
        Ok(Speed {
            in_flight: u64::try_from(row.some_int(1)?).unwrap_or(0),
            requests: row.int(2)?.unwrap_or(0),
            tokens: row.int(3)?.unwrap_or(0),
            is_changed: false,
        })
    };
    rows.iter().map(speed).collect()
}

/// What is set aside for an exchange.
pub(super) async fn held(link: &mut Link<'_>, id: &EntryId) -> Result<Vec<Noted>, LedgerError> {
    let sql = "SELECT scope, billing, day, nanos FROM reservations WHERE id = $1";
    let rows = link.fetch(sql, vec![id.as_str().into()]).await?;
    let noted = |row: &Row| {
        let (scope, billing) = (row.some_text(0)?, row.some_text(1)?);
        Ok(Noted {
            scope,
            billing,
            day: row.some_int(2)?,
            nanos: row.some_int(3)?,
        })
    };
    rows.iter().map(noted).collect()
}
