//! The sums that are kept beside the entries: what was used per quarter of an hour and day, and
//! what budgets have spent. Written in the transaction of the entries.

use std::collections::BTreeMap;

use gateway_policy::limit::Scope;
use jiff::tz::TimeZone;

use crate::db::{Link, TableSchema, added, int, key, text, without_nul};
use crate::entries::row::EntryRow;
use crate::entries::sums::Sums;
use crate::error::LedgerError;
use crate::time::local_day;

/// Microseconds in the smaller unit of the roll-up: a quarter of an hour. Every time zone's day
/// begins on one.
pub(crate) const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;
/// Microseconds in the larger unit: a day in UTC.
pub(crate) const DAY_MICROS: i64 = 96 * BUCKET_MICROS;
/// The level of the roll-up that sums quarters of an hour, and the one that sums days.
pub(crate) const LEVELS: [(i64, i64); 2] = [(0, BUCKET_MICROS), (1, DAY_MICROS)];

/// What the roll-up is grouped by. Empty text stands for what an entry does not name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Dimensions {
    instance: String,
    route: String,
    upstream: String,
    model: String,
    key: String,
    team: String,
    request_kind: String,
    repo: String,
    endpoint: String,
    decision: String,
    outcome: String,
    billing: String,
}

impl Dimensions {
    fn of(row: &EntryRow) -> Self {
        let (intent, result) = (&row.entry.intent, &row.entry.result);
        let dispatch = &intent.dispatch;
        // As it is stored, so that two keys that are stored as one are one here.
        let text = |text: &Option<String>| text.clone().map(without_nul).unwrap_or_default();
        Self {
            instance: result.instance.as_str().to_owned(),
            route: intent.attribution.route.as_str().to_owned(),
            upstream: text(&dispatch.upstream),
            model: text(&dispatch.model_served),
            key: text(&intent.attribution.key),
            team: text(&intent.attribution.team),
            request_kind: text(&intent.turn.request_kind),
            repo: text(&intent.turn.repo),
            endpoint: intent.endpoint.clone(),
            decision: dispatch.decision.as_str().to_owned(),
            outcome: result.outcome.as_str().to_owned(),
            billing: dispatch.billing.as_str().to_owned(),
        }
    }
}

/// One row of `rollup`.
struct RollupRow {
    level: i64,
    bucket: i64,
    dimensions: Dimensions,
    sums: Sums,
}

const ROLLUP: TableSchema<RollupRow> = TableSchema {
    name: "rollup",
    columns: &[
        key(text("instance", |row| {
            Some(row.dimensions.instance.clone())
        })),
        key(int("level", |row| Some(row.level))),
        key(int("bucket", |row| Some(row.bucket))),
        key(text("route", |row| Some(row.dimensions.route.clone()))),
        key(text("upstream", |row| {
            Some(row.dimensions.upstream.clone())
        })),
        key(text("model", |row| Some(row.dimensions.model.clone()))),
        key(text("key_id", |row| Some(row.dimensions.key.clone()))),
        key(text("team", |row| Some(row.dimensions.team.clone()))),
        key(text("request_kind", |row| {
            Some(row.dimensions.request_kind.clone())
        })),
        key(text("repo", |row| Some(row.dimensions.repo.clone()))),
        key(text("endpoint", |row| {
            Some(row.dimensions.endpoint.clone())
        })),
        key(text("decision", |row| {
            Some(row.dimensions.decision.clone())
        })),
        key(text("outcome", |row| Some(row.dimensions.outcome.clone()))),
        key(text("billing", |row| Some(row.dimensions.billing.clone()))),
        added(int("requests", |row| Some(row.sums.requests))),
        added(int("input_tokens", |row| Some(row.sums.input))),
        added(int("cached_input_tokens", |row| {
            Some(row.sums.cached_input)
        })),
        added(int("cache_write_tokens", |row| Some(row.sums.cache_write))),
        added(int("output_tokens", |row| Some(row.sums.output))),
        added(int("reasoning_tokens", |row| Some(row.sums.reasoning))),
        added(int("cost_nanos", |row| Some(row.sums.cost_nanos))),
        added(int("unpriced", |row| Some(row.sums.unpriced))),
        added(int("estimated", |row| Some(row.sums.estimated))),
        added(int("unknown", |row| Some(row.sums.unknown))),
    ],
    change_if: "",
};

/// Whose money, of which kind, on which local day (0: all days together), recorded by whom.
type SpendKey = (String, &'static str, i64, String);

const SPEND: TableSchema<(SpendKey, i64)> = TableSchema {
    name: "spend",
    columns: &[
        key(text("scope", |(key, _)| Some(key.0.clone()))),
        key(text("billing", |(key, _)| Some(key.1.to_owned()))),
        key(int("day", |(key, _)| Some(key.2))),
        key(text("instance", |(key, _)| Some(key.3.clone()))),
        added(int("nanos", |(_, nanos)| Some(*nanos))),
    ],
    change_if: "",
};

/// What a batch of entries changes in the sums. Sorted by key, so that replicas take row locks in
/// one order.
#[derive(Debug, Default)]
pub(crate) struct SumChanges {
    rollup: BTreeMap<(i64, i64, Dimensions), Sums>,
    spend: BTreeMap<SpendKey, i64>,
}

impl SumChanges {
    pub(crate) fn add(&mut self, row: &EntryRow, zone: &TimeZone) {
        self.apply(row, row.sums, zone);
    }

    /// Takes an entry out of the sums again, before it is replaced.
    pub(crate) fn take_back(&mut self, row: &EntryRow, zone: &TimeZone) {
        self.apply(row, row.sums.negated(), zone);
    }

    fn apply(&mut self, row: &EntryRow, sums: Sums, zone: &TimeZone) {
        let intent = &row.entry.intent;
        let dimensions = Dimensions::of(row);
        for (level, micros) in LEVELS {
            let bucket = intent.started_at.as_microsecond().div_euclid(micros);
            self.rollup
                .entry((level, bucket, dimensions.clone()))
                .or_default()
                .add(&sums);
        }
        if sums.cost_nanos == 0 {
            return;
        }
        let day = local_day(intent.started_at, zone);
        let scopes = [
            Some(Scope::Gateway),
            intent.attribution.key.clone().map(Scope::Key),
            intent.attribution.team.clone().map(Scope::Team),
            intent.turn.repo.clone().map(Scope::Repo),
        ];
        for scope in scopes.into_iter().flatten().map(|scope| scope.as_text()) {
            for day in [0, day] {
                let billing = intent.dispatch.billing.as_str();
                let instance = dimensions.instance.clone();
                let nanos = self
                    .spend
                    .entry((scope.clone(), billing, day, instance))
                    .or_default();
                *nanos = nanos.saturating_add(sums.cost_nanos);
            }
        }
    }

    /// Writes them. Part of the transaction of the entries.
    pub(crate) async fn write(self, link: &mut Link<'_>) -> Result<(), LedgerError> {
        let rows = self.rollup.into_iter();
        let rows: Vec<RollupRow> = rows
            .map(|((level, bucket, dimensions), sums)| RollupRow {
                level,
                bucket,
                dimensions,
                sums,
            })
            .collect();
        link.insert(&ROLLUP, &rows.iter().collect::<Vec<_>>())
            .await?;
        let spend: Vec<(SpendKey, i64)> = self.spend.into_iter().collect();
        link.insert(&SPEND, &spend.iter().collect::<Vec<_>>())
            .await?;
        Ok(())
    }
}
