//! The one reader of `usage` objects, for streams and plain answers, whichever wire they speak.
//!
//! Totals decide: a detail that cannot be true is left out and takes nothing else with it. Refuses
//! totals that cannot be true; never guesses a missing one.

use serde_json::{Map, Value};

use super::cost::cost_nanos;
use super::count::Count;
use super::tokens::{Usage, UsageError, UsageReading};

/// Larger `usage` objects are not looked at.
const MAX_OBJECT: usize = 64 * 1024;

/// What a `usage` object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageObject {
    /// Tokens.
    pub usage: UsageReading,
    /// The upstream's own figure for the cost, USD × 10⁻⁹.
    pub cost_nanos: Option<i64>,
    /// Searches of the web that the upstream ran and counts here.
    pub web_searches: u64,
}

/// Reads the JSON text of a `usage` object (`null` reads as missing).
///
/// ```
/// use gateway_wire::usage::{UsageReading, read_usage};
/// let object = br#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":150,"cost":0.25}"#;
/// let read = read_usage(object);
/// let UsageReading::Reported(usage) = read.usage else { panic!() };
/// // The total is larger than its parts: the rest is output that the upstream hides.
/// assert_eq!((usage.input(), usage.output()), (100, 50));
/// assert_eq!(read.cost_nanos, Some(250_000_000));
/// ```
pub fn read_usage(raw: &[u8]) -> UsageObject {
    match object(raw) {
        Some(usage) => UsageObject {
            usage: UsageCounts::of(&usage).reading(),
            cost_nanos: cost_nanos(&usage),
            web_searches: web_searches(&usage),
        },
        None if raw.trim_ascii() == b"null" || raw.trim_ascii().is_empty() => {
            UsageObject::default()
        }
        None => UsageObject {
            usage: UsageReading::Refused(UsageError::NotACount),
            ..UsageObject::default()
        },
    }
}

fn web_searches(usage: &Map<String, Value>) -> u64 {
    let counts = usage.get("server_tool_use");
    let searches = counts.and_then(|counts| counts.get("web_search_requests"));
    Count::of(searches).or_zero()
}

/// The object a text holds, if it is one and not absurdly large.
pub(super) fn object(raw: &[u8]) -> Option<Map<String, Value>> {
    if raw.len() > MAX_OBJECT {
        return None;
    }
    serde_json::from_slice(raw).ok()
}

/// All counts of a `usage` object, under whichever name they go.
pub(super) struct UsageCounts {
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) total: Count,
    cached: Count,
    written: Count,
    reasoning: Count,
    /// The input is said to leave out what was read from or written to the cache, as the names of
    /// the cache counts have it.
    is_cache_beside_input: bool,
}

const INPUT_DETAILS: [&str; 2] = ["input_tokens_details", "prompt_tokens_details"];
const OUTPUT_DETAILS: [&str; 2] = ["output_tokens_details", "completion_tokens_details"];
const CACHE_READ: &str = "cache_read_input_tokens";
const CACHE_CREATION: &str = "cache_creation_input_tokens";

impl UsageCounts {
    pub(super) fn of(usage: &Map<String, Value>) -> Self {
        let top = |names: &[&str]| first(names.iter().map(|name| usage.get(*name)));
        let detail = |groups: [&str; 2], name: &str| {
            first(
                groups
                    .iter()
                    .map(|group| usage.get(*group).and_then(|details| details.get(name))),
            )
        };
        let prompt = top(&["prompt_tokens"]);
        let has_cache_names = [CACHE_READ, CACHE_CREATION]
            .iter()
            .any(|name| Count::of(usage.get(*name)) != Count::Absent);
        Self {
            // Where both names stand, they may differ by the cache; the first is the whole input.
            input: prompt.or(|| top(&["input_tokens"])),
            output: top(&["output_tokens"]).or(|| top(&["completion_tokens"])),
            total: top(&["total_tokens"]),
            cached: detail(INPUT_DETAILS, "cached_tokens")
                .or(|| top(&["prompt_cache_hit_tokens", "cached_tokens", CACHE_READ])),
            written: detail(INPUT_DETAILS, "cache_write_tokens")
                .or(|| top(&["cache_write_tokens", CACHE_CREATION])),
            reasoning: detail(OUTPUT_DETAILS, "reasoning_tokens").or(|| top(&["reasoning_tokens"])),
            is_cache_beside_input: has_cache_names && prompt == Count::Absent,
        }
    }

    /// The input, or what the total leaves for it.
    pub(super) fn input_or_rest(&self) -> Option<u64> {
        self.input
            .known()
            .or_else(|| self.total.known()?.checked_sub(self.output.known()?))
    }

    /// The output, or what the total leaves for it.
    pub(super) fn output_or_rest(&self) -> Option<u64> {
        self.output
            .known()
            .or_else(|| self.total.known()?.checked_sub(self.input.known()?))
    }

    fn reading(&self) -> UsageReading {
        let (Some(input), Some(output)) = (self.input_or_rest(), self.output_or_rest()) else {
            let is_impossible = [self.input, self.output, self.total].contains(&Count::Bad);
            return if is_impossible {
                UsageReading::Refused(UsageError::NotACount)
            } else {
                UsageReading::Missing
            };
        };
        let total = self.total.known();
        let (input, cached, written) = self.with_cache(input, output, total);
        let (output, reasoning) = self.with_reasoning(input, output, total);
        match Usage::new(input, cached, written, output, reasoning) {
            Ok(usage) => UsageReading::Reported(usage),
            Err(error) => UsageReading::Refused(error),
        }
    }

    /// The whole input and its two cache counts.
    fn with_cache(&self, input: u64, output: u64, total: Option<u64>) -> (u64, u64, u64) {
        let (cached, written) = (self.cached.or_zero(), self.written.or_zero());
        let cache = cached + written;
        let is_total_with_cache = cache > 0 && total == Some(input + output + cache);
        if self.is_cache_beside_input || is_total_with_cache {
            return (input + cache, cached, written);
        }
        // Impossible counts are left out: what was cached would make the input cheaper.
        let written = if written > input { 0 } else { written };
        let cached = if cached > input - written { 0 } else { cached };
        (input, cached, written)
    }

    /// The whole output and the reasoning within it.
    fn with_reasoning(&self, input: u64, output: u64, total: Option<u64>) -> (u64, u64) {
        let reasoning = self.reasoning.or_zero();
        let hidden = match total {
            // Some upstreams count reasoning beside the output and give no total.
            None if reasoning > output => reasoning,
            None => 0,
            // Some leave reasoning, or whatever else they bill, out of the output.
            Some(total) => total.saturating_sub(input + output),
        };
        let output = output + hidden;
        (output, reasoning.min(output))
    }
}

fn first<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> Count {
    values
        .map(Count::of)
        .find(|count| *count != Count::Absent)
        .unwrap_or(Count::Absent)
}
