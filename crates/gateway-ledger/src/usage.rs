//! Sums of the ledger. Always exact: whole days and quarters of an hour come from the roll-up, the
//! edges and what the roll-up has no column for from the entries themselves.

mod ranges;
pub(crate) mod report;

use std::collections::BTreeMap;

use gateway_policy::Billing;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::db::{Link, Row, Statement};
use crate::entries::rollup::{BUCKET_MICROS, DAY_MICROS};
use crate::entries::sums::Sums;
use crate::error::LedgerError;
use crate::filter::Queried;
use crate::ledger::Ledger;
use crate::time::stored_time;

use ranges::{Part, Range, parts};
use report::{GroupBy, UsageQuery, UsageReport, UsageRow, UsageSums};

impl Ledger {
    /// Sums the ledger up. `day` is a day in the ledger's time zone.
    ///
    /// ```
    /// # async fn report(
    /// #     ledger: &gateway_ledger::Ledger,
    /// #     monday: jiff::Timestamp,
    /// # ) -> Result<(), gateway_ledger::LedgerError> {
    /// use gateway_ledger::{GroupBy, UsageQuery};
    ///
    /// let query = UsageQuery {
    ///     by: vec![GroupBy::Day, GroupBy::Model],
    ///     since: Some(monday),
    ///     ..UsageQuery::default()
    /// };
    /// let report = ledger.usage(&query).await?;
    /// for row in &report.rows {
    ///     println!("{:?}: {} tokens in", row.keys, row.sums.input_tokens);
    /// }
    /// println!("{} USD x 10^-9 on the bill", report.total.cost_nanos_metered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer.
    pub async fn usage(&self, query: &UsageQuery) -> Result<UsageReport, LedgerError> {
        let mut groups = Groups {
            zone: self.time_zone().clone(),
            query,
            rows: BTreeMap::new(),
            total: UsageSums::default(),
        };
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let asked = Range {
            from: micros(query.since),
            to: micros(query.until),
        };
        let is_empty = asked
            .from
            .zip(asked.to)
            .is_some_and(|(from, to)| from >= to);
        if !is_empty {
            let mut connection = self.pool().acquire().await?;
            for part in parts(asked, buckets(query, &groups.zone)) {
                groups.sum(&mut connection.link(), part).await?;
            }
        }
        let mut report = groups.report();
        if query.by.contains(&GroupBy::Key) {
            self.name_keys(&mut report).await?;
        }
        Ok(report)
    }

    /// Adds the names and owners of the keys that rows are about.
    async fn name_keys(&self, report: &mut UsageReport) -> Result<(), LedgerError> {
        let directory = self.directory().await?;
        for row in &mut report.rows {
            let mut keys = row.keys.iter();
            let id = keys.find_map(|(by, id)| id.as_deref().filter(|_| *by == GroupBy::Key));
            if let Some(key) = id.and_then(|id| directory.key(id)) {
                row.key_name = Some(key.name.clone());
                row.key_owner.clone_from(&key.owner);
            }
        }
        Ok(())
    }
}

/// The sizes of the roll-up's buckets that a query can be answered from, largest first.
fn buckets(query: &UsageQuery, zone: &TimeZone) -> &'static [i64] {
    let mut by = query.by.iter();
    let has_columns = by.all(|by| *by == GroupBy::Day || column(*by, Queried::Rollup).is_some());
    // The roll-up's days are those of UTC; elsewhere a day is put together from quarters of an
    // hour.
    let days_fit = !query.by.contains(&GroupBy::Day) || *zone == TimeZone::UTC;
    match (has_columns && query.filters.fits_rollup(), days_fit) {
        (true, true) => &[DAY_MICROS, BUCKET_MICROS],
        (true, false) => &[BUCKET_MICROS],
        (false, _) => &[],
    }
}

/// The column of a key; `None` where the table has none, or where the day is computed from the
/// bucket.
const fn column(by: GroupBy, queried: Queried) -> Option<&'static str> {
    match (by, queried) {
        (GroupBy::Model, Queried::Entries) => Some("model_served"),
        (GroupBy::Model, Queried::Rollup) => Some("model"),
        (GroupBy::Route, _) => Some("route"),
        (GroupBy::Key, _) => Some("key_id"),
        (GroupBy::Team, _) => Some("team"),
        (GroupBy::Session, Queried::Entries) => Some("session_id"),
        (GroupBy::Turn, Queried::Entries) => Some("turn_id"),
        (GroupBy::RootTurn, Queried::Entries) => Some("root_turn"),
        (GroupBy::Kind, _) => Some("request_kind"),
        (GroupBy::Repo, _) => Some("repo"),
        (GroupBy::Endpoint, _) => Some("endpoint"),
        (GroupBy::Decision, _) => Some("decision"),
        (GroupBy::Upstream, _) => Some("upstream"),
        (GroupBy::Session | GroupBy::Turn | GroupBy::RootTurn, Queried::Rollup)
        | (GroupBy::Day, _) => None,
    }
}

/// The sums: the name in the answer, the column of the entries, and that of the roll-up.
const SUMS: [(&str, &str, &str); 10] = [
    ("requests", "n_requests", "requests"),
    ("input_tokens", "input_tokens", "input_tokens"),
    (
        "cached_input_tokens",
        "cached_input_tokens",
        "cached_input_tokens",
    ),
    (
        "cache_write_tokens",
        "cache_write_tokens",
        "cache_write_tokens",
    ),
    ("output_tokens", "output_tokens", "output_tokens"),
    ("reasoning_tokens", "reasoning_tokens", "reasoning_tokens"),
    ("cost_nanos", "cost_nanos", "cost_nanos"),
    ("unpriced", "n_unpriced", "unpriced"),
    ("estimated", "n_estimated", "estimated"),
    ("unknown", "n_unknown", "unknown"),
];

/// Where the keys begin in an answer: behind the billing and the sums.
const FIRST_KEY: usize = 1 + SUMS.len();

/// Sums up one part: a row for each kind of money and group.
fn statement(query: &UsageQuery, part: Part) -> Statement {
    let (queried, table, time, bucket) = match part.bucket {
        None => (
            Queried::Entries,
            "entries",
            "started_at",
            "started_at / 900000000",
        ),
        Some(_) => (Queried::Rollup, "rollup", "bucket", "bucket"),
    };
    let sums = SUMS.iter().map(|(name, of_entries, of_rollup)| {
        let column = match queried {
            Queried::Entries => of_entries,
            Queried::Rollup => of_rollup,
        };
        format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT) AS {name}")
    });
    let keys = query.by.iter();
    let keys = keys.map(|by| column(*by, queried).unwrap_or(bucket));
    let grouped: Vec<&str> = std::iter::once("billing").chain(keys.clone()).collect();
    let selected: Vec<String> = std::iter::once("billing".to_owned())
        .chain(sums)
        .chain(keys.map(str::to_owned))
        .collect();
    let selected = selected.join(", ");
    let mut statement = Statement::new(format!("SELECT {selected} FROM {table} WHERE 1 = 1"));
    if let Some(micros) = part.bucket {
        let level = i64::from(micros == DAY_MICROS);
        statement.push(" AND level = ").bind(level);
    }
    let unit = part.bucket.unwrap_or(1);
    for (bound, comparison) in [(part.range.from, " >= "), (part.range.to, " < ")] {
        if let Some(bound) = bound {
            statement
                .push(" AND ")
                .push(time)
                .push(comparison)
                .bind(bound.div_euclid(unit));
        }
    }
    query.filters.append(queried, &mut statement);
    statement.push(" GROUP BY ").push(&grouped.join(", "));
    statement
}

fn add(total: &mut UsageSums, sums: &Sums, billing: Billing) {
    let add = |total: &mut i64, part: i64| *total = total.saturating_add(part);
    add(&mut total.requests, sums.requests);
    add(&mut total.input_tokens, sums.input);
    add(&mut total.cached_input_tokens, sums.cached_input);
    add(&mut total.cache_write_tokens, sums.cache_write);
    add(&mut total.output_tokens, sums.output);
    add(&mut total.reasoning_tokens, sums.reasoning);
    match billing {
        Billing::Metered => add(&mut total.cost_nanos_metered, sums.cost_nanos),
        Billing::Plan => add(&mut total.cost_nanos_plan, sums.cost_nanos),
    }
    add(&mut total.unpriced_requests, sums.unpriced);
    add(&mut total.estimated_requests, sums.estimated);
    add(&mut total.unknown_requests, sums.unknown);
}

struct Groups<'q> {
    zone: TimeZone,
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

    fn add(&mut self, row: &Row, bucket: i64) -> Result<(), LedgerError> {
        let billing = row.word("billing", Billing::parse)?;
        let sums = Sums {
            requests: row.some_int("requests")?,
            input: row.some_int("input_tokens")?,
            cached_input: row.some_int("cached_input_tokens")?,
            cache_write: row.some_int("cache_write_tokens")?,
            output: row.some_int("output_tokens")?,
            reasoning: row.some_int("reasoning_tokens")?,
            cost_nanos: row.some_int("cost_nanos")?,
            unpriced: row.some_int("unpriced")?,
            estimated: row.some_int("estimated")?,
            unknown: row.some_int("unknown")?,
        };
        add(&mut self.total, &sums, billing);
        if self.query.by.is_empty() {
            return Ok(());
        }
        let mut keys = Vec::with_capacity(self.query.by.len());
        for (place, by) in (FIRST_KEY..).zip(&self.query.by) {
            keys.push(if *by == GroupBy::Day {
                Some(self.day(row.some_int(place)?.saturating_mul(bucket))?)
            } else {
                row.text(place)?.filter(|text| !text.is_empty())
            });
        }
        add(self.rows.entry(keys).or_default(), &sums, billing);
        Ok(())
    }

    fn day(&self, micros: i64) -> Result<String, LedgerError> {
        let start = stored_time(micros)?;
        Ok(start.to_zoned(self.zone.clone()).date().to_string())
    }

    fn report(self) -> UsageReport {
        let by = &self.query.by;
        let row = |(keys, sums): (Vec<Option<String>>, UsageSums)| UsageRow {
            keys: by.iter().copied().zip(keys).collect(),
            key_name: None,
            key_owner: None,
            sums,
        };
        UsageReport {
            rows: self.rows.into_iter().map(row).collect(),
            total: self.total,
        }
    }
}
