//! What recorded usage costs under another price table. Never edits an entry: a correction is an
//! entry of its own that names the one it corrects, counts as no request and no token, and carries
//! the difference, so that every sum stays a plain sum.

use std::collections::BTreeMap;

use gateway_policy::price::billed_tier;
use gateway_policy::{Billing, ModelId, PriceTable, Pricing};
use gateway_wire::Usage;
use jiff::Timestamp;
use serde::Serialize;

use crate::db::{Link, Row, Statement};
use crate::entries;
use crate::entries::row::{ENTRIES, EntryRow, read_entry};
use crate::entry::{Cost, CostSource, EntryResult, LedgerEntry};
use crate::error::LedgerError;
use crate::filter::{Filters, Queried, append_times};
use crate::ids::EntryId;
use crate::ledger::Ledger;

/// Entries read at once, and corrections written per transaction.
const CHUNK: i64 = 500;

/// Which entries to price again.
#[derive(Debug, Clone, Default)]
pub struct RepriceQuery {
    /// Requests that arrived at or after this moment.
    pub since: Option<Timestamp>,
    /// Requests that arrived before this moment.
    pub until: Option<Timestamp>,
    /// Only these.
    pub filters: Filters,
}

/// The difference for one model and kind of money.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RepriceRow {
    /// The served model.
    pub model: String,
    /// `metered` or `plan`.
    pub billing: String,
    /// Entries with known usage.
    pub requests: i64,
    /// Those whose cost differs.
    pub changed: i64,
    /// Those that had no price, corrections included, and have one now.
    pub newly_priced: i64,
    /// Those without a price in the present table; what they cost before stays.
    pub unpriced: i64,
    /// USD × 10⁻⁹ as recorded, corrections included.
    pub before_nanos: i64,
    /// USD × 10⁻⁹ under the present table.
    pub after_nanos: i64,
}

/// The differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepriceReport {
    /// The version of the present table.
    pub price_version: String,
    /// By model and kind of money.
    pub rows: Vec<RepriceRow>,
    /// Correcting entries written.
    pub applied: u64,
}

/// One entry, and its cost with all corrections.
struct RecordedCost {
    entry: LedgerEntry,
    cost: Option<i64>,
    corrections: i64,
}

impl Ledger {
    /// Compares recorded costs with a price table; with `is_applied` it writes the differences as
    /// correcting entries. Applying twice changes nothing, and neither does applying from two
    /// processes at once. Costs that a provider reported itself are left alone.
    ///
    /// # Errors
    /// [`LedgerErrorKind::Unavailable`](crate::LedgerErrorKind::Unavailable) when the store does
    /// not answer. Corrections that were written by then stay; running it again adds the rest.
    pub async fn reprice(
        &self,
        query: &RepriceQuery,
        prices: &PriceTable,
        is_applied: bool,
    ) -> Result<RepriceReport, LedgerError> {
        let mut rows: BTreeMap<(String, Billing), RepriceRow> = BTreeMap::new();
        let mut applied = 0;
        let mut after = None;
        let mut connection = self.pool().acquire().await?;
        loop {
            let page = read(&mut connection.link(), query, after.as_ref()).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.entry.intent.started_at, last.entry.id().clone()));
            let mut corrections = Vec::new();
            for known in page {
                corrections.extend(self.compare(&known, prices, &mut rows));
            }
            if is_applied && !corrections.is_empty() {
                connection.note_transaction(true);
                let mut link = connection.link();
                let written = entries::write(&mut link, &corrections, self.time_zone()).await?;
                connection.note_transaction(false);
                applied += written.len() as u64;
            }
        }
        Ok(RepriceReport {
            price_version: prices.version().to_owned(),
            rows: rows.into_values().collect(),
            applied,
        })
    }

    /// Counts an entry in its row, and makes the correction it needs.
    fn compare(
        &self,
        known: &RecordedCost,
        prices: &PriceTable,
        rows: &mut BTreeMap<(String, Billing), RepriceRow>,
    ) -> Option<EntryRow> {
        let entry = &known.entry;
        let usage = entry.result.usage?;
        let model = entry.intent.dispatch.model_served.as_deref()?;
        let billing = entry.intent.dispatch.billing;
        let (price, is_estimated) = self.price(entry, usage, model, prices);
        let row = rows
            .entry((model.to_owned(), billing))
            .or_insert_with(|| RepriceRow {
                model: model.to_owned(),
                billing: billing.as_str().to_owned(),
                ..RepriceRow::default()
            });
        row.requests += 1;
        row.before_nanos = row.before_nanos.saturating_add(known.cost.unwrap_or(0));
        row.after_nanos = row
            .after_nanos
            .saturating_add(price.or(known.cost).unwrap_or(0));
        let Some(price) = price else {
            row.unpriced += 1;
            return None;
        };
        if known.cost == Some(price) {
            return None;
        }
        row.changed += 1;
        row.newly_priced += i64::from(known.cost.is_none());
        let delta = price.saturating_sub(known.cost.unwrap_or(0));
        let cost = Cost {
            price_version: Some(prices.version().to_owned()),
            source: CostSource::Calculated,
            nanos: Some(delta),
            is_estimated,
        };
        let number = known.corrections + 1;
        let correcting = self.correcting(entry, cost);
        Some(EntryRow::correction(
            correcting,
            number,
            known.cost.is_none(),
        ))
    }

    /// What the usage of an entry costs, and whether a substitute rate was used; `None`: the table
    /// has no price.
    fn price(
        &self,
        entry: &LedgerEntry,
        usage: Usage,
        model: &str,
        prices: &PriceTable,
    ) -> (Option<i64>, bool) {
        let (intent, result) = (&entry.intent, &entry.result);
        let tier = billed_tier(
            intent.dispatch.billing,
            intent.service_tier_requested.as_deref(),
            result.service_tier.as_deref(),
        );
        let day = intent.started_at.to_zoned(self.time_zone().clone()).date();
        let tools = result.tool_calls.iter();
        let tools = tools.map(|(tool, calls)| (tool.as_str(), *calls));
        let model = ModelId::new(model).ok();
        match model.map(|model| prices.cost_with_tools(&model, usage, tools, tier, day)) {
            Some(Pricing::Priced {
                nanos, estimated, ..
            }) => (Some(nanos), estimated),
            Some(Pricing::Unpriced { .. }) | None => (None, false),
        }
    }

    fn correcting(&self, entry: &LedgerEntry, cost: Cost) -> LedgerEntry {
        let now = self.timestamp();
        let mut intent = entry.intent.clone();
        intent.id = EntryId::at(now);
        intent.dispatch.attempts = Vec::new();
        let result = EntryResult {
            finished_at: now,
            usage: None,
            tool_calls: BTreeMap::new(),
            cost,
            ttft_ms: None,
            duration_ms: 0,
            instance: self.instance().clone(),
            corrects: Some(entry.id().clone()),
            ..entry.result.clone()
        };
        LedgerEntry { intent, result }
    }
}

async fn read(
    link: &mut Link<'_>,
    query: &RepriceQuery,
    after: Option<&(Timestamp, EntryId)>,
) -> Result<Vec<RecordedCost>, LedgerError> {
    let mut statement = Statement::new(format!(
        "SELECT {}, \
         (SELECT CAST(SUM(fix.cost_nanos) AS BIGINT) FROM entries AS fix \
         WHERE fix.corrects = entries.id) AS corrected_by, \
         (SELECT COUNT(*) FROM entries AS fix WHERE fix.corrects = entries.id) AS corrections \
         FROM entries WHERE corrects IS NULL AND input_tokens IS NOT NULL \
         AND model_served IS NOT NULL AND cost_source <> 'provider_reported'",
        ENTRIES.names()
    ));
    if let Some((started_at, id)) = after {
        statement
            .push(" AND (started_at, id) > (")
            .bind(started_at.as_microsecond());
        statement.push(", ").bind(id.as_str()).push(")");
    }
    append_times(query.since, query.until, &mut statement);
    query.filters.append(Queried::Entries, &mut statement);
    statement
        .push(" ORDER BY started_at, id LIMIT ")
        .bind(CHUNK);
    let rows = statement.fetch(link).await?;
    let known = |row: &Row| {
        let entry = read_entry(row)?;
        let corrected_by = row.int("corrected_by")?;
        let cost = match (entry.result.cost.nanos, corrected_by) {
            (None, None) => None,
            (cost, corrected) => Some(cost.unwrap_or(0).saturating_add(corrected.unwrap_or(0))),
        };
        Ok(RecordedCost {
            entry,
            cost,
            corrections: row.some_int("corrections")?,
        })
    };
    rows.iter().map(known).collect()
}
