//! The additive figures of one or many entries.

use gateway_wire::Usage;

use crate::entry::{LedgerEntry, UsageSource};

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

/// Token counts as they are stored. No exchange comes near the limit.
pub(crate) fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl Sums {
    /// What an entry adds. A correcting entry is no request.
    pub(crate) fn of(entry: &LedgerEntry) -> Self {
        let result = &entry.result;
        let usage: Usage = result.usage.unwrap_or_default();
        let is_request = result.corrects.is_none();
        let is_estimated = is_request
            && (result.usage_source == UsageSource::Estimated || result.cost.is_estimated);
        Self {
            requests: i64::from(is_request),
            input: count(usage.input()),
            cached_input: count(usage.cached_input()),
            cache_write: count(usage.cache_write()),
            output: count(usage.output()),
            reasoning: count(usage.reasoning()),
            cost_nanos: result.cost.nanos.unwrap_or(0),
            unpriced: i64::from(entry.is_unpriced()),
            estimated: i64::from(is_estimated),
            unknown: i64::from(entry.is_unknown()),
        }
    }

    /// Saturates: a sum that long has stopped meaning anything, and wrapping would make it look
    /// small.
    pub(crate) fn add(&mut self, other: &Self) {
        let add = |total: &mut i64, part: i64| *total = total.saturating_add(part);
        add(&mut self.requests, other.requests);
        add(&mut self.input, other.input);
        add(&mut self.cached_input, other.cached_input);
        add(&mut self.cache_write, other.cache_write);
        add(&mut self.output, other.output);
        add(&mut self.reasoning, other.reasoning);
        add(&mut self.cost_nanos, other.cost_nanos);
        add(&mut self.unpriced, other.unpriced);
        add(&mut self.estimated, other.estimated);
        add(&mut self.unknown, other.unknown);
    }

    pub(crate) const fn negated(self) -> Self {
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
}
