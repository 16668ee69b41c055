//! How an entry lies in its row, and what it adds to the sums kept beside it. The only place that
//! knows both.

use std::collections::BTreeMap;

use gateway_policy::limit::Scope;
use gateway_policy::{AuthRoute, Billing};
use gateway_wire::Usage;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::db::{Cell, Kind, Row, Table};
use crate::entry::{
    Attribution, Cost, CostSource, DispatchRecord, EntryId, EntryResult, InstanceId, Intent,
    LedgerEntry, ModelDecision, Outcome, TurnRecord, UsageSource, usage_from,
};
use crate::error::{LedgerError, LedgerErrorKind};

use Kind::{Int, Text};

/// Microseconds in a bucket of the roll-up: a quarter of an hour.
pub(crate) const BUCKET_MICROS: i64 = 15 * 60 * 1_000_000;
/// Microseconds in a day of the roll-up, in UTC.
pub(crate) const DAY_MICROS: i64 = 96 * BUCKET_MICROS;
/// The level of the roll-up that sums quarters of an hour, and the one that sums days.
pub(crate) const LEVELS: [(i64, i64); 2] = [(0, BUCKET_MICROS), (1, DAY_MICROS)];

/// The columns of `entries` that make a [`LedgerEntry`], in the order of [`entry_of`].
pub(crate) const ENTRY_COLUMNS: &str = "id, started_at, finished_at, route, caller, key_id, team, session_id, thread_id, \
     turn_id, request_kind, endpoint, upstream, model_requested, model_served, decision, rule, attempts, status, outcome, \
     usage_source, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, \
     service_tier_requested, service_tier, price_version, cost_source, cost_nanos, cost_estimated, billing, ttft_ms, \
     duration_ms, upstream_response_id, instance, corrects, is_free";

pub(crate) const ENTRIES: Table = Table {
    name: "entries",
    columns: &[
        ("id", Text),
        ("started_at", Int),
        ("finished_at", Int),
        ("route", Text),
        ("caller", Text),
        ("key_id", Text),
        ("team", Text),
        ("session_id", Text),
        ("thread_id", Text),
        ("turn_id", Text),
        ("request_kind", Text),
        ("endpoint", Text),
        ("upstream", Text),
        ("model_requested", Text),
        ("model_served", Text),
        ("decision", Text),
        ("rule", Text),
        ("attempts", Text),
        ("status", Int),
        ("outcome", Text),
        ("usage_source", Text),
        ("input_tokens", Int),
        ("cached_input_tokens", Int),
        ("cache_write_tokens", Int),
        ("output_tokens", Int),
        ("reasoning_tokens", Int),
        ("service_tier_requested", Text),
        ("service_tier", Text),
        ("price_version", Text),
        ("cost_source", Text),
        ("cost_nanos", Int),
        ("cost_estimated", Int),
        ("billing", Text),
        ("ttft_ms", Int),
        ("duration_ms", Int),
        ("upstream_response_id", Text),
        ("instance", Text),
        ("corrects", Text),
        ("is_free", Int),
        ("correction_no", Int),
        ("n_requests", Int),
        ("n_unpriced", Int),
        ("n_estimated", Int),
        ("n_unknown", Int),
    ],
    conflict: "ON CONFLICT DO NOTHING",
};

pub(crate) const ROLLUP: Table = Table {
    name: "rollup",
    columns: &[
        ("instance", Text),
        ("level", Int),
        ("bucket", Int),
        ("route", Text),
        ("upstream", Text),
        ("model", Text),
        ("key_id", Text),
        ("team", Text),
        ("request_kind", Text),
        ("endpoint", Text),
        ("decision", Text),
        ("outcome", Text),
        ("billing", Text),
        ("requests", Int),
        ("input_tokens", Int),
        ("cached_input_tokens", Int),
        ("cache_write_tokens", Int),
        ("output_tokens", Int),
        ("reasoning_tokens", Int),
        ("cost_nanos", Int),
        ("unpriced", Int),
        ("estimated", Int),
        ("unknown", Int),
    ],
    conflict: "ON CONFLICT (level, bucket, instance, route, upstream, model, key_id, team, request_kind, endpoint, decision, \
               outcome, billing) DO UPDATE SET \
               requests = rollup.requests + excluded.requests, \
               input_tokens = rollup.input_tokens + excluded.input_tokens, \
               cached_input_tokens = rollup.cached_input_tokens + excluded.cached_input_tokens, \
               cache_write_tokens = rollup.cache_write_tokens + excluded.cache_write_tokens, \
               output_tokens = rollup.output_tokens + excluded.output_tokens, \
               reasoning_tokens = rollup.reasoning_tokens + excluded.reasoning_tokens, \
               cost_nanos = rollup.cost_nanos + excluded.cost_nanos, \
               unpriced = rollup.unpriced + excluded.unpriced, \
               estimated = rollup.estimated + excluded.estimated, \
               unknown = rollup.unknown + excluded.unknown",
};

pub(crate) const SPEND: Table = Table {
    name: "spend",
    columns: &[
        ("scope", Text),
        ("billing", Text),
        ("day", Int),
        ("instance", Text),
        ("nanos", Int),
    ],
    conflict: "ON CONFLICT (scope, billing, day, instance) DO UPDATE SET nanos = spend.nanos + excluded.nanos",
};

/// An entry with what only corrections need beside it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) entry: LedgerEntry,
    pub(crate) correction: Option<Correction>,
}

/// How a correcting entry counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Correction {
    pub(crate) number: i64,
    pub(crate) takes_unpriced_back: bool,
}

impl From<LedgerEntry> for Stored {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            entry,
            correction: None,
        }
    }
}

/// Additive figures of one or many entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: i64,
    pub(crate) input: i64,
    pub(crate) cached_input: i64,
    pub(crate) cache_write: i64,
    pub(crate) output: i64,
    pub(crate) reasoning: i64,
    pub(crate) cost_nanos: i64,
    pub(crate) unpriced: i64,
    pub(crate) estimated: i64,
    pub(crate) unknown: i64,
}

impl Sums {
    /// Saturates: a sum that long has stopped meaning anything, and wrapping would make it look
    /// small.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.input = self.input.saturating_add(other.input);
        self.cached_input = self.cached_input.saturating_add(other.cached_input);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.cost_nanos = self.cost_nanos.saturating_add(other.cost_nanos);
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.unknown = self.unknown.saturating_add(other.unknown);
    }

    fn negated(self) -> Self {
        Self {
            requests: -self.requests,
            input: -self.input,
            cached_input: -self.cached_input,
            cache_write: -self.cache_write,
            output: -self.output,
            reasoning: -self.reasoning,
            cost_nanos: -self.cost_nanos,
            unpriced: -self.unpriced,
            estimated: -self.estimated,
            unknown: -self.unknown,
        }
    }

    fn cells(self) -> [Cell; 10] {
        [
            self.requests,
            self.input,
            self.cached_input,
            self.cache_write,
            self.output,
            self.reasoning,
            self.cost_nanos,
            self.unpriced,
            self.estimated,
            self.unknown,
        ]
        .map(Cell::from)
    }
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl Stored {
    pub(crate) fn sums(&self) -> Sums {
        let result = &self.entry.result;
        let usage = result.usage.unwrap_or_default();
        let is_request = result.corrects.is_none();
        let takes_back = self
            .correction
            .is_some_and(|correction| correction.takes_unpriced_back);
        let is_estimated = is_request
            && (result.usage_source == UsageSource::Estimated || result.cost.is_estimated);
        Sums {
            requests: i64::from(is_request),
            input: count(usage.input()),
            cached_input: count(usage.cached_input()),
            cache_write: count(usage.cache_write()),
            output: count(usage.output()),
            reasoning: count(usage.reasoning()),
            cost_nanos: result.cost.nanos.unwrap_or(0),
            unpriced: i64::from(self.entry.is_unpriced()) - i64::from(takes_back),
            estimated: i64::from(is_estimated),
            unknown: i64::from(self.entry.is_unknown()),
        }
    }

    pub(crate) fn cells(&self) -> Vec<Cell> {
        let LedgerEntry { intent, result } = &self.entry;
        let Intent {
            attribution,
            turn,
            dispatch,
            ..
        } = intent;
        let sums = self.sums();
        let tokens =
            |read: fn(Usage) -> u64| Cell::Int(result.usage.map(|usage| count(read(usage))));
        vec![
            intent.id.as_str().into(),
            intent.started_at.as_microsecond().into(),
            result.finished_at.as_microsecond().into(),
            attribution.route.as_str().into(),
            attribution.caller.as_deref().into(),
            attribution.key.as_deref().into(),
            attribution.team.as_deref().into(),
            turn.session_id.as_deref().into(),
            turn.thread_id.as_deref().into(),
            turn.turn_id.as_deref().into(),
            turn.request_kind.as_deref().into(),
            intent.endpoint.as_str().into(),
            dispatch.upstream.as_deref().into(),
            intent.model_requested.as_deref().into(),
            dispatch.model_served.as_deref().into(),
            dispatch.decision.as_str().into(),
            dispatch.rule.as_deref().into(),
            // Plain strings and numbers always serialise.
            serde_json::to_string(&dispatch.attempts)
                .unwrap_or_default()
                .into(),
            result.status.map(i64::from).into(),
            result.outcome.as_str().into(),
            result.usage_source.as_str().into(),
            tokens(Usage::input),
            tokens(Usage::cached_input),
            tokens(Usage::cache_write),
            tokens(Usage::output),
            tokens(Usage::reasoning),
            intent.service_tier_requested.as_deref().into(),
            result.service_tier.as_deref().into(),
            result.cost.price_version.as_deref().into(),
            result.cost.source.as_str().into(),
            result.cost.nanos.into(),
            i64::from(result.cost.is_estimated).into(),
            dispatch.billing.as_str().into(),
            result.ttft_ms.map(count).into(),
            count(result.duration_ms).into(),
            result.upstream_response_id.as_deref().into(),
            result.instance.as_str().into(),
            result.corrects.as_ref().map(EntryId::as_str).into(),
            i64::from(intent.is_free).into(),
            self.correction.map(|correction| correction.number).into(),
            sums.requests.into(),
            sums.unpriced.into(),
            sums.estimated.into(),
            sums.unknown.into(),
        ]
    }
}

/// Reads a row of [`ENTRY_COLUMNS`].
pub(crate) fn entry_of(row: &Row) -> Result<LedgerEntry, LedgerError> {
    Ok(LedgerEntry {
        intent: intent_of(row)?,
        result: result_of(row)?,
    })
}

fn corrupt(context: &'static str) -> LedgerError {
    LedgerError::bare(LedgerErrorKind::Corrupt, context)
}

fn time_of(row: &Row, index: usize) -> Result<Timestamp, LedgerError> {
    let micros = row.some_int(index)?;
    Timestamp::from_microsecond(micros).map_err(|_| corrupt("a stored time is out of range"))
}

fn id_of(text: &str) -> Result<EntryId, LedgerError> {
    EntryId::parse(text).map_err(|_| corrupt("a stored id is not a UUID"))
}

fn count_of(row: &Row, index: usize) -> Result<Option<u64>, LedgerError> {
    Ok(row
        .int(index)?
        .and_then(|number| u64::try_from(number).ok()))
}

fn intent_of(row: &Row) -> Result<Intent, LedgerError> {
    let word = |index| row.some_text(index);
    Ok(Intent {
        id: id_of(&word(0)?)?,
        started_at: time_of(row, 1)?,
        attribution: Attribution {
            route: AuthRoute::parse(&word(3)?)
                .ok_or_else(|| corrupt("a stored route is unknown"))?,
            caller: row.text(4)?,
            key: row.text(5)?,
            team: row.text(6)?,
        },
        turn: TurnRecord {
            session_id: row.text(7)?,
            thread_id: row.text(8)?,
            turn_id: row.text(9)?,
            request_kind: row.text(10)?,
        },
        endpoint: word(11)?,
        is_free: row.some_int(38)? != 0,
        model_requested: row.text(13)?,
        service_tier_requested: row.text(26)?,
        dispatch: DispatchRecord {
            upstream: row.text(12)?,
            model_served: row.text(14)?,
            decision: ModelDecision::parse(&word(15)?)
                .ok_or_else(|| corrupt("a stored decision is unknown"))?,
            rule: row.text(16)?,
            attempts: serde_json::from_str(&word(17)?)
                .map_err(|_| corrupt("stored attempts cannot be read"))?,
            billing: Billing::parse(&word(32)?)
                .ok_or_else(|| corrupt("a stored billing is unknown"))?,
        },
    })
}

fn result_of(row: &Row) -> Result<EntryResult, LedgerError> {
    let word = |index| row.some_text(index);
    Ok(EntryResult {
        finished_at: time_of(row, 2)?,
        status: row.int(18)?.and_then(|status| u16::try_from(status).ok()),
        outcome: Outcome::parse(&word(19)?)
            .ok_or_else(|| corrupt("a stored outcome is unknown"))?,
        usage_source: UsageSource::parse(&word(20)?)
            .ok_or_else(|| corrupt("a stored usage source is unknown"))?,
        usage: usage_from([
            count_of(row, 21)?,
            count_of(row, 22)?,
            count_of(row, 23)?,
            count_of(row, 24)?,
            count_of(row, 25)?,
        ]),
        service_tier: row.text(27)?,
        cost: Cost {
            price_version: row.text(28)?,
            source: CostSource::parse(&word(29)?)
                .ok_or_else(|| corrupt("a stored cost source is unknown"))?,
            nanos: row.int(30)?,
            is_estimated: row.some_int(31)? != 0,
        },
        ttft_ms: count_of(row, 33)?,
        duration_ms: count_of(row, 34)?.unwrap_or(0),
        upstream_response_id: row.text(35)?,
        instance: InstanceId::new(word(36)?),
        corrects: row.text(37)?.map(|id| id_of(&id)).transpose()?,
    })
}

/// The day of a moment in a time zone, as the number `yyyymmdd`.
pub(crate) fn local_day(at: Timestamp, zone: &TimeZone) -> i64 {
    day_number(at.to_zoned(zone.clone()).date())
}

/// A date as the number `yyyymmdd`.
pub(crate) fn day_number(date: jiff::civil::Date) -> i64 {
    i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
}

type RollupKey = (i64, i64, [String; 11]);
type SpendKey = (String, &'static str, i64, String);

/// What a batch of entries adds to the sums. Sorted by key, so that replicas take row locks in one
/// order.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    rollup: BTreeMap<RollupKey, Sums>,
    spend: BTreeMap<SpendKey, i64>,
}

impl Additions {
    pub(crate) fn add(&mut self, stored: &Stored, zone: &TimeZone) {
        self.apply(stored, stored.sums(), zone);
    }

    /// Takes an entry out of the sums again, before it is replaced.
    pub(crate) fn take_back(&mut self, stored: &Stored, zone: &TimeZone) {
        self.apply(stored, stored.sums().negated(), zone);
    }

    fn apply(&mut self, stored: &Stored, sums: Sums, zone: &TimeZone) {
        let LedgerEntry { intent, result } = &stored.entry;
        let Intent {
            attribution,
            dispatch,
            ..
        } = intent;
        let text =
            |text: &Option<String>| text.clone().unwrap_or_default().replace('\0', "\u{fffd}");
        let dimensions = [
            result.instance.as_str().to_owned(),
            attribution.route.as_str().to_owned(),
            text(&dispatch.upstream),
            text(&dispatch.model_served),
            text(&attribution.key),
            text(&attribution.team),
            text(&intent.turn.request_kind),
            intent.endpoint.clone(),
            dispatch.decision.as_str().to_owned(),
            result.outcome.as_str().to_owned(),
            dispatch.billing.as_str().to_owned(),
        ];
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
            attribution.key.clone().map(Scope::Key),
            attribution.team.clone().map(Scope::Team),
        ];
        for scope in scopes.into_iter().flatten().map(|scope| scope.as_text()) {
            for day in [0, day] {
                let key = (
                    scope.clone(),
                    dispatch.billing.as_str(),
                    day,
                    result.instance.as_str().to_owned(),
                );
                let nanos = self.spend.entry(key).or_default();
                *nanos = nanos.saturating_add(sums.cost_nanos);
            }
        }
    }

    pub(crate) fn rollup_rows(&self) -> Vec<Vec<Cell>> {
        let row = |((level, bucket, dimensions), sums): (&RollupKey, &Sums)| {
            let mut dimensions = dimensions.iter().map(|text| Cell::from(text.as_str()));
            let mut cells: Vec<Cell> = dimensions.next().into_iter().collect();
            cells.extend([Cell::from(*level), Cell::from(*bucket)]);
            cells.extend(dimensions);
            cells.extend(sums.cells());
            cells
        };
        self.rollup.iter().map(row).collect()
    }

    pub(crate) fn spend_rows(&self) -> Vec<Vec<Cell>> {
        let row = |((scope, billing, day, instance), nanos): (&SpendKey, &i64)| {
            vec![
                scope.as_str().into(),
                (*billing).into(),
                (*day).into(),
                instance.as_str().into(),
                (*nanos).into(),
            ]
        };
        self.spend.iter().map(row).collect()
    }
}
