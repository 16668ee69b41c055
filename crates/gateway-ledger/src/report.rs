//! Sums of the ledger. Always exact: whole days and quarters of an hour come from the roll-up, the
//! edges and what the roll-up has no column for from the entries themselves.

use std::collections::BTreeMap;

use gateway_policy::Billing;
use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::db::{Link, Row, Statement};
use crate::error::{LedgerError, LedgerErrorKind};
use crate::filter::{Filters, Source};
use crate::ledger::Ledger;
use crate::tables::{BUCKET_MICROS, DAY_MICROS, Sums};

gateway_wire::words! {
    /// What usage can be grouped by.
    pub enum GroupBy {
        /// The served model.
        Model = "model",
        /// The auth route.
        Route = "route",
        /// The gateway key.
        Key = "key",
        /// The team.
        Team = "team",
        /// Codex's session.
        Session = "session",
        /// Codex's turn.
        Turn = "turn",
        /// The kind of request.
        Kind = "kind",
        /// The endpoint.
        Endpoint = "endpoint",
        /// What became of the model.
        Decision = "decision",
        /// The upstream.
        Upstream = "upstream",
        /// The day on which the request arrived, in the operator's time zone.
        Day = "day",
    }
}

impl GroupBy {
    /// The column in a source; `None` where it has none, or where the day is computed from the
    /// bucket.
    const fn column(self, source: Source) -> Option<&'static str> {
        match (self, source) {
            (Self::Model, Source::Entries) => Some("model_served"),
            (Self::Model, Source::Rollup) => Some("model"),
            (Self::Route, _) => Some("route"),
            (Self::Key, _) => Some("key_id"),
            (Self::Team, _) => Some("team"),
            (Self::Session, Source::Entries) => Some("session_id"),
            (Self::Turn, Source::Entries) => Some("turn_id"),
            (Self::Kind, _) => Some("request_kind"),
            (Self::Endpoint, _) => Some("endpoint"),
            (Self::Decision, _) => Some("decision"),
            (Self::Upstream, _) => Some("upstream"),
            (Self::Session | Self::Turn, Source::Rollup) | (Self::Day, _) => None,
        }
    }
}

/// What to sum up.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Grouped by these, in this order; empty: one total only.
    pub by: Vec<GroupBy>,
    /// Requests that arrived at or after this moment.
    pub since: Option<Timestamp>,
    /// Requests that arrived before this moment.
    pub until: Option<Timestamp>,
    /// Only these.
    pub filters: Filters,
}

/// The sums of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UsageSums {
    /// Exchanges, whatever became of them.
    pub requests: i64,
    /// Cached and cache-write ones included.
    pub input_tokens: i64,
    /// Read from the cache.
    pub cached_input_tokens: i64,
    /// Written to the cache.
    pub cache_write_tokens: i64,
    /// Reasoning included.
    pub output_tokens: i64,
    /// Spent on reasoning.
    pub reasoning_tokens: i64,
    /// USD × 10⁻⁹ that an API bill will show.
    pub cost_nanos_metered: i64,
    /// USD × 10⁻⁹ that plan usage would have cost at API prices. Not to be added to the other.
    pub cost_nanos_plan: i64,
    /// Requests whose tokens are known and have no price.
    pub unpriced_requests: i64,
    /// Requests whose tokens or rates are estimates.
    pub estimated_requests: i64,
    /// Requests that an upstream answered, or may have, and of whose tokens and cost nothing is
    /// known.
    pub unknown_requests: i64,
}

impl UsageSums {
    fn add(&mut self, sums: &Sums, billing: Billing) {
        let add = |total: &mut i64, part: i64| *total = total.saturating_add(part);
        add(&mut self.requests, sums.requests);
        add(&mut self.input_tokens, sums.input);
        add(&mut self.cached_input_tokens, sums.cached_input);
        add(&mut self.cache_write_tokens, sums.cache_write);
        add(&mut self.output_tokens, sums.output);
        add(&mut self.reasoning_tokens, sums.reasoning);
        match billing {
            Billing::Metered => add(&mut self.cost_nanos_metered, sums.cost_nanos),
            Billing::Plan => add(&mut self.cost_nanos_plan, sums.cost_nanos),
        }
        add(&mut self.unpriced_requests, sums.unpriced);
        add(&mut self.estimated_requests, sums.estimated);
        add(&mut self.unknown_requests, sums.unknown);
    }
}

/// One group of a report. In JSON its keys stand beside its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// What the group has in common, in the order asked for; `None` where the entries name nothing.
    pub keys: Vec<(GroupBy, Option<String>)>,
    /// Its sums.
    pub sums: UsageSums,
}

impl Serialize for UsageRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (by, value) in &self.keys {
            map.serialize_entry(by.as_str(), value)?;
        }
        let sums = &self.sums;
        map.serialize_entry("requests", &sums.requests)?;
        map.serialize_entry("input_tokens", &sums.input_tokens)?;
        map.serialize_entry("cached_input_tokens", &sums.cached_input_tokens)?;
        map.serialize_entry("cache_write_tokens", &sums.cache_write_tokens)?;
        map.serialize_entry("output_tokens", &sums.output_tokens)?;
        map.serialize_entry("reasoning_tokens", &sums.reasoning_tokens)?;
        map.serialize_entry("cost_nanos_metered", &sums.cost_nanos_metered)?;
        map.serialize_entry("cost_nanos_plan", &sums.cost_nanos_plan)?;
        map.serialize_entry("unpriced_requests", &sums.unpriced_requests)?;
        map.serialize_entry("estimated_requests", &sums.estimated_requests)?;
        map.serialize_entry("unknown_requests", &sums.unknown_requests)?;
        map.end()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageReport {
    /// Sorted by their keys. Empty when nothing was grouped by.
    pub rows: Vec<UsageRow>,
    /// The sum of everything.
    pub total: UsageSums,
}

/// A half-open range of microseconds; both ends may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: Option<i64>,
    to: Option<i64>,
}

/// A part of what is asked for, and where its sums lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// Microseconds in one bucket of the roll-up; `None`: the entries themselves.
    bucket: Option<i64>,
    range: Range,
}

/// Cuts a range into whole days, whole quarters of an hour at its edges, and what is left over,
/// which the entries answer.
fn parts(range: Range, buckets: &[i64]) -> Vec<Part> {
    let Some((&bucket, smaller)) = buckets.split_first() else {
        return vec![Part {
            bucket: None,
            range,
        }];
    };
    let first = range
        .from
        .map(|from| from.div_euclid(bucket) + i64::from(from.rem_euclid(bucket) != 0));
    let last = range.to.map(|to| to.div_euclid(bucket));
    if first.zip(last).is_some_and(|(first, last)| first >= last) {
        return parts(range, smaller);
    }
    let start = |index: i64| index.saturating_mul(bucket);
    let inner = Range {
        from: first.map(start),
        to: last.map(start),
    };
    let mut cut = vec![Part {
        bucket: Some(bucket),
        range: inner,
    }];
    if range.from.is_some() && range.from < inner.from {
        cut.extend(parts(
            Range {
                from: range.from,
                to: inner.from,
            },
            smaller,
        ));
    }
    if range.to.is_some() && inner.to < range.to {
        cut.extend(parts(
            Range {
                from: inner.to,
                to: range.to,
            },
            smaller,
        ));
    }
    cut
}

impl Ledger {
    /// Sums the ledger up. `day` is a day in the ledger's time zone.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, LedgerError> {
        let zone = self.time_zone().clone();
        let has_columns = query
            .by
            .iter()
            .all(|by| *by == GroupBy::Day || by.column(Source::Rollup).is_some());
        // The roll-up's days are those of UTC; elsewhere a day is put together from quarters of an
        // hour.
        let days_fit = !query.by.contains(&GroupBy::Day) || zone == jiff::tz::TimeZone::UTC;
        let buckets: &[i64] = match (has_columns && query.filters.fits_rollup(), days_fit) {
            (true, true) => &[DAY_MICROS, BUCKET_MICROS],
            (true, false) => &[BUCKET_MICROS],
            (false, _) => &[],
        };
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let asked = Range {
            from: micros(query.since),
            to: micros(query.until),
        };
        let mut groups = Groups {
            zone,
            query,
            rows: BTreeMap::new(),
            total: UsageSums::default(),
        };
        if asked
            .from
            .zip(asked.to)
            .is_some_and(|(from, to)| from >= to)
        {
            return Ok(groups.report());
        }
        let mut connection = self.pool().acquire().await?;
        for part in parts(asked, buckets) {
            groups.sum(&mut connection.link(), part).await?;
        }
        Ok(groups.report())
    }
}

struct Groups<'q> {
    zone: jiff::tz::TimeZone,
    query: &'q UsageQuery,
    rows: BTreeMap<Vec<Option<String>>, UsageSums>,
    total: UsageSums,
}

impl Groups<'_> {
    async fn sum(&mut self, link: &mut Link<'_>, part: Part) -> Result<(), LedgerError> {
        let bucket = part.bucket.unwrap_or(BUCKET_MICROS);
        for row in statement(self.query, part).fetch(link).await? {
            self.add(&row, bucket)?;
        }
        Ok(())
    }

    /// Columns: billing, the ten sums, then the keys in the order asked for, the day as a bucket.
    fn add(&mut self, row: &Row, bucket: i64) -> Result<(), LedgerError> {
        let billing = Billing::parse(&row.some_text(0)?).ok_or_else(|| {
            LedgerError::bare(LedgerErrorKind::Corrupt, "a stored billing is unknown")
        })?;
        let sums = Sums {
            requests: row.some_int(1)?,
            input: row.some_int(2)?,
            cached_input: row.some_int(3)?,
            cache_write: row.some_int(4)?,
            output: row.some_int(5)?,
            reasoning: row.some_int(6)?,
            cost_nanos: row.some_int(7)?,
            unpriced: row.some_int(8)?,
            estimated: row.some_int(9)?,
            unknown: row.some_int(10)?,
        };
        self.total.add(&sums, billing);
        if self.query.by.is_empty() {
            return Ok(());
        }
        let mut keys = Vec::with_capacity(self.query.by.len());
        for (index, by) in self.query.by.iter().enumerate() {
            keys.push(match by {
                GroupBy::Day => Some(self.day(row.some_int(11 + index)?.saturating_mul(bucket))?),
                GroupBy::Model
                | GroupBy::Route
                | GroupBy::Key
                | GroupBy::Team
                | GroupBy::Session
                | GroupBy::Turn
                | GroupBy::Kind
                | GroupBy::Endpoint
                | GroupBy::Decision
                | GroupBy::Upstream => row.text(11 + index)?.filter(|text| !text.is_empty()),
            });
        }
        self.rows.entry(keys).or_default().add(&sums, billing);
        Ok(())
    }

    fn day(&self, micros: i64) -> Result<String, LedgerError> {
        let start = Timestamp::from_microsecond(micros).map_err(|_| {
            LedgerError::bare(LedgerErrorKind::Corrupt, "a stored time is out of range")
        })?;
        Ok(start.to_zoned(self.zone.clone()).date().to_string())
    }

    fn report(self) -> UsageReport {
        let by = &self.query.by;
        let row = |(keys, sums): (Vec<Option<String>>, UsageSums)| UsageRow {
            keys: by.iter().copied().zip(keys).collect(),
            sums,
        };
        UsageReport {
            rows: self.rows.into_iter().map(row).collect(),
            total: self.total,
        }
    }
}

fn statement(query: &UsageQuery, part: Part) -> Statement {
    let (source, table, bucket, counts) = match part.bucket {
        None => (
            Source::Entries,
            "entries",
            "started_at / 900000000",
            ["n_requests", "n_unpriced", "n_estimated", "n_unknown"],
        ),
        Some(_) => (
            Source::Rollup,
            "rollup",
            "bucket",
            ["requests", "unpriced", "estimated", "unknown"],
        ),
    };
    let [requests, unpriced, estimated, unknown] = counts;
    let sums = [
        requests,
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cost_nanos",
        unpriced,
        estimated,
        unknown,
    ]
    .map(|column| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"));
    let keys: Vec<&str> = query
        .by
        .iter()
        .map(|by| by.column(source).unwrap_or(bucket))
        .collect();
    let grouped = std::iter::once("billing")
        .chain(keys.iter().copied())
        .collect::<Vec<_>>()
        .join(", ");
    let selected = std::iter::once("billing")
        .chain(sums.iter().map(String::as_str))
        .chain(keys.iter().copied())
        .collect::<Vec<_>>()
        .join(", ");
    let mut statement = Statement::new(format!("SELECT {selected} FROM {table} WHERE "));
    let (time, unit) = match part.bucket {
        None => ("started_at", 1),
        Some(micros) => {
            statement
                .push("level = ")
                .bind(i64::from(micros == DAY_MICROS))
                .push(" AND ");
            ("bucket", micros)
        }
    };
    statement.push("1 = 1");
    for (bound, comparison) in [(part.range.from, " >= "), (part.range.to, " < ")] {
        if let Some(bound) = bound {
            statement
                .push(" AND ")
                .push(time)
                .push(comparison)
                .bind(bound.div_euclid(unit));
        }
    }
    query.filters.append(source, &mut statement);
    statement.push(" GROUP BY ").push(&grouped);
    statement
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends() -> impl Strategy<Value = Option<i64>> {
        proptest::option::of(prop_oneof![
            0..400_i64,
            (0..40_i64).prop_map(|end| end * 10)
        ])
    }

    proptest! {
        #[test]
        fn the_parts_of_a_range_are_the_range(from in ends(), to in ends(), small in 1..7_i64, times in 2..9_i64) {
            prop_assume!(from.zip(to).is_none_or(|(from, to)| from < to));
            let cut = parts(Range { from, to }, &[small * times, small]);
            for moment in -20..500 {
                let inside = |range: Range| range.from.is_none_or(|from| from <= moment) && range.to.is_none_or(|to| moment < to);
                let count = cut.iter().filter(|part| inside(part.range)).count();
                prop_assert_eq!(count, usize::from(inside(Range { from, to })), "{} in {:?}", moment, cut);
            }
            for part in cut {
                if let Some(bucket) = part.bucket {
                    prop_assert!(part.range.from.is_none_or(|from| from % bucket == 0));
                    prop_assert!(part.range.to.is_none_or(|to| to % bucket == 0));
                }
            }
        }
    }
}
