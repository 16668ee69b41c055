//! How an entry lies in its row. The only place that knows the columns of `entries`.

use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::Usage;

use crate::db::{Row, TableSchema, int, text};
use crate::entries::sums::{Sums, count};
use crate::entry::{
    Attribution, Cost, CostSource, DispatchRecord, EntryResult, Intent, LedgerEntry, Outcome,
    TurnRecord, UsageSource, usage_from,
};
use crate::error::LedgerError;
use crate::ids::{EntryId, InstanceId};
use crate::time::stored_time;

/// An entry and what its row has beside it.
#[derive(Debug, Clone)]
pub(crate) struct EntryRow {
    pub(crate) entry: LedgerEntry,
    /// Counts the corrections of one entry, from 1 on; `None` for an entry that corrects none.
    correction_number: Option<i64>,
    /// What it adds to the sums.
    pub(crate) sums: Sums,
}

impl From<LedgerEntry> for EntryRow {
    fn from(entry: LedgerEntry) -> Self {
        Self {
            correction_number: None,
            sums: Sums::of(&entry),
            entry,
        }
    }
}

impl EntryRow {
    /// A correcting entry. `is_first_price`: what it corrects had no price until now, and is to be
    /// counted as unpriced no more.
    pub(crate) fn correction(entry: LedgerEntry, number: i64, is_first_price: bool) -> Self {
        let mut sums = Sums::of(&entry);
        sums.unpriced -= i64::from(is_first_price);
        Self {
            entry,
            correction_number: Some(number),
            sums,
        }
    }

    /// Reads a row back. Its sums are those that were added when it was written, also by an earlier
    /// version that counted otherwise.
    pub(crate) fn read(row: &Row) -> Result<Self, LedgerError> {
        let entry = read_entry(row)?;
        let sums = Sums {
            requests: row.some_int("n_requests")?,
            unpriced: row.some_int("n_unpriced")?,
            estimated: row.some_int("n_estimated")?,
            unknown: row.some_int("n_unknown")?,
            ..Sums::of(&entry)
        };
        Ok(Self {
            correction_number: row.int("correction_no")?,
            sums,
            entry,
        })
    }

    const fn intent(&self) -> &Intent {
        &self.entry.intent
    }

    const fn result(&self) -> &EntryResult {
        &self.entry.result
    }

    fn tokens(&self, read: fn(Usage) -> u64) -> Option<i64> {
        self.entry.result.usage.map(|usage| count(read(usage)))
    }
}

pub(crate) const ENTRIES: TableSchema<EntryRow> = TableSchema {
    name: "entries",
    columns: &[
        text("id", |row| Some(row.intent().id.as_str().to_owned())),
        int("started_at", |row| {
            Some(row.intent().started_at.as_microsecond())
        }),
        int("finished_at", |row| {
            Some(row.result().finished_at.as_microsecond())
        }),
        text("route", |row| {
            Some(row.intent().attribution.route.as_str().to_owned())
        }),
        text("caller", |row| row.intent().attribution.caller.clone()),
        text("key_id", |row| row.intent().attribution.key.clone()),
        text("team", |row| row.intent().attribution.team.clone()),
        text("session_id", |row| row.intent().turn.session_id.clone()),
        text("thread_id", |row| row.intent().turn.thread_id.clone()),
        text("turn_id", |row| row.intent().turn.turn_id.clone()),
        text("request_kind", |row| row.intent().turn.request_kind.clone()),
        text("repo", |row| row.intent().turn.repo.clone()),
        text("commit_id", |row| row.intent().turn.commit.clone()),
        text("root_turn", |row| row.intent().turn.root_turn.clone()),
        text("parent", |row| row.intent().turn.parent.clone()),
        text("endpoint", |row| Some(row.intent().endpoint.clone())),
        int("is_free", |row| Some(i64::from(row.intent().is_free))),
        text("upstream", |row| row.intent().dispatch.upstream.clone()),
        text("model_requested", |row| {
            row.intent().model_requested.clone()
        }),
        text("model_served", |row| {
            row.intent().dispatch.model_served.clone()
        }),
        text("decision", |row| {
            Some(row.intent().dispatch.decision.as_str().to_owned())
        }),
        text("rule", |row| row.intent().dispatch.rule.clone()),
        // Plain strings and numbers always serialise.
        text("attempts", |row| {
            serde_json::to_string(&row.intent().dispatch.attempts).ok()
        }),
        int("status", |row| row.result().status.map(i64::from)),
        text("outcome", |row| {
            Some(row.result().outcome.as_str().to_owned())
        }),
        text("usage_source", |row| {
            Some(row.result().usage_source.as_str().to_owned())
        }),
        int("input_tokens", |row| row.tokens(Usage::input)),
        int("cached_input_tokens", |row| row.tokens(Usage::cached_input)),
        int("cache_write_tokens", |row| row.tokens(Usage::cache_write)),
        int("output_tokens", |row| row.tokens(Usage::output)),
        int("reasoning_tokens", |row| row.tokens(Usage::reasoning)),
        text("service_tier_requested", |row| {
            row.intent().service_tier_requested.clone()
        }),
        text("tool_calls", |row| {
            let calls = &row.result().tool_calls;
            // Strings and numbers always serialise.
            let json = || serde_json::to_string(calls).ok();
            (!calls.is_empty()).then(json).flatten()
        }),
        text("service_tier", |row| row.result().service_tier.clone()),
        text("price_version", |row| {
            row.result().cost.price_version.clone()
        }),
        text("cost_source", |row| {
            Some(row.result().cost.source.as_str().to_owned())
        }),
        int("cost_nanos", |row| row.result().cost.nanos),
        int("cost_estimated", |row| {
            Some(i64::from(row.result().cost.is_estimated))
        }),
        text("billing", |row| {
            Some(row.intent().dispatch.billing.as_str().to_owned())
        }),
        int("ttft_ms", |row| row.result().ttft_ms.map(count)),
        int("duration_ms", |row| Some(count(row.result().duration_ms))),
        text("upstream_response_id", |row| {
            row.result().upstream_response_id.clone()
        }),
        text("instance", |row| {
            Some(row.result().instance.as_str().to_owned())
        }),
        text("corrects", |row| {
            row.result().corrects.as_ref().map(ToString::to_string)
        }),
        int("correction_no", |row| row.correction_number),
        int("n_requests", |row| Some(row.sums.requests)),
        int("n_unpriced", |row| Some(row.sums.unpriced)),
        int("n_estimated", |row| Some(row.sums.estimated)),
        int("n_unknown", |row| Some(row.sums.unknown)),
    ],
    change_if: "",
};

/// Reads a row that has the columns of [`ENTRIES`].
pub(crate) fn read_entry(row: &Row) -> Result<LedgerEntry, LedgerError> {
    Ok(LedgerEntry {
        intent: read_intent(row)?,
        result: read_result(row)?,
    })
}

fn read_intent(row: &Row) -> Result<Intent, LedgerError> {
    Ok(Intent {
        id: EntryId::stored(&row.some_text("id")?)?,
        started_at: stored_time(row.some_int("started_at")?)?,
        attribution: Attribution {
            route: row.word("route", AuthRoute::parse)?,
            caller: row.text("caller")?,
            key: row.text("key_id")?,
            team: row.text("team")?,
        },
        turn: TurnRecord {
            session_id: row.text("session_id")?,
            thread_id: row.text("thread_id")?,
            turn_id: row.text("turn_id")?,
            request_kind: row.text("request_kind")?,
            repo: row.text("repo")?,
            commit: row.text("commit_id")?,
            root_turn: row.text("root_turn")?,
            parent: row.text("parent")?,
        },
        endpoint: row.some_text("endpoint")?,
        is_free: row.some_int("is_free")? != 0,
        model_requested: row.text("model_requested")?,
        service_tier_requested: row.text("service_tier_requested")?,
        dispatch: DispatchRecord {
            upstream: row.text("upstream")?,
            model_served: row.text("model_served")?,
            decision: row.word("decision", DecisionKind::parse)?,
            rule: row.text("rule")?,
            attempts: row.json("attempts")?,
            billing: row.word("billing", Billing::parse)?,
        },
    })
}

fn read_result(row: &Row) -> Result<EntryResult, LedgerError> {
    let count = |column: &str| {
        Ok::<_, LedgerError>(
            row.int(column)?
                .and_then(|number| u64::try_from(number).ok()),
        )
    };
    Ok(EntryResult {
        finished_at: stored_time(row.some_int("finished_at")?)?,
        status: row
            .int("status")?
            .and_then(|status| u16::try_from(status).ok()),
        outcome: row.word("outcome", Outcome::parse)?,
        usage_source: row.word("usage_source", UsageSource::parse)?,
        usage: usage_from([
            count("input_tokens")?,
            count("cached_input_tokens")?,
            count("cache_write_tokens")?,
            count("output_tokens")?,
            count("reasoning_tokens")?,
        ]),
        tool_calls: row
            .text("tool_calls")?
            .map(|_| row.json("tool_calls"))
            .transpose()?
            .unwrap_or_default(),
        service_tier: row.text("service_tier")?,
        cost: Cost {
            price_version: row.text("price_version")?,
            source: row.word("cost_source", CostSource::parse)?,
            nanos: row.int("cost_nanos")?,
            is_estimated: row.some_int("cost_estimated")? != 0,
        },
        ttft_ms: count("ttft_ms")?,
        duration_ms: count("duration_ms")?.unwrap_or(0),
        upstream_response_id: row.text("upstream_response_id")?,
        instance: InstanceId::new(row.some_text("instance")?),
        corrects: row
            .text("corrects")?
            .map(|id| EntryId::stored(&id))
            .transpose()?,
    })
}
