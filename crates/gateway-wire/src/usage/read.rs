//! The one reader of `usage` objects, for streams and plain answers, whichever wire they speak.
//! Refuses what cannot be true; never guesses a missing figure.

use serde_json::{Map, Value};

use super::tokens::{MAX_COUNT, Usage, UsageError, UsageReading};

/// Larger `usage` objects are not looked at.
const MAX_OBJECT: usize = 64 * 1024;

/// What a `usage` object says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageObject {
    /// Tokens.
    pub usage: UsageReading,
    /// The upstream's own figure for the cost, USD × 10⁻⁹.
    pub cost_nanos: Option<i64>,
}

/// One count as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// Not there, or null.
    Absent,
    /// A whole number between 0 and 2^53, also when written as `12.0` or `"12"`.
    Is(u64),
    /// Anything else.
    Bad,
}

/// Reads the JSON text of a `usage` object (`null` reads as missing).
pub fn read_usage(raw: &[u8]) -> UsageObject {
    match object(raw) {
        Some(usage) => read_object(&usage),
        None if raw.trim_ascii() == b"null" || raw.trim_ascii().is_empty() => {
            UsageObject::default()
        }
        None => UsageObject {
            usage: UsageReading::Refused(UsageError::NotACount),
            cost_nanos: None,
        },
    }
}

/// The object a text holds, if it is one and not absurdly large.
pub(super) fn object(raw: &[u8]) -> Option<Map<String, Value>> {
    if raw.len() > MAX_OBJECT {
        return None;
    }
    serde_json::from_slice(raw).ok()
}

fn read_object(usage: &Map<String, Value>) -> UsageObject {
    UsageObject {
        usage: tokens(usage),
        cost_nanos: usage.get("cost").and_then(nanos),
    }
}

fn tokens(usage: &Map<String, Value>) -> UsageReading {
    let counts = Counts::of(usage);
    let all = [
        counts.input,
        counts.output,
        counts.total,
        counts.cached,
        counts.written,
        counts.reasoning,
    ];
    if all.contains(&Count::Bad) {
        return UsageReading::Refused(UsageError::NotACount);
    }
    let (Some(input), Some(output)) = (counts.input_or_rest(), counts.output_or_rest()) else {
        return UsageReading::Missing;
    };
    let (cached, written, reasoning) = (
        counts.cached.or_zero(),
        counts.written.or_zero(),
        counts.reasoning.or_zero(),
    );
    // Some upstreams count reasoning beside the output instead of inside it; only then does the
    // total come out like this.
    let is_beside = reasoning > 0 && counts.total == Count::Is(input + output + reasoning);
    let output = if is_beside {
        output + reasoning
    } else {
        output
    };
    match Usage::new(input, cached, written, output, reasoning) {
        Ok(usage) => UsageReading::Reported(usage),
        Err(error) => UsageReading::Refused(error),
    }
}

/// All counts of a `usage` object, under whichever name they go.
pub(super) struct Counts {
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) total: Count,
    pub(super) cached: Count,
    pub(super) written: Count,
    pub(super) reasoning: Count,
}

const INPUT_DETAILS: [&str; 2] = ["input_tokens_details", "prompt_tokens_details"];
const OUTPUT_DETAILS: [&str; 2] = ["output_tokens_details", "completion_tokens_details"];

impl Counts {
    pub(super) fn of(usage: &Map<String, Value>) -> Self {
        let top = |names: &[&str]| first(names.iter().map(|name| usage.get(*name)));
        let detail = |groups: [&str; 2], name: &str| {
            first(
                groups
                    .iter()
                    .map(|group| usage.get(*group).and_then(|details| details.get(name))),
            )
        };
        Self {
            input: top(&["input_tokens", "prompt_tokens"]),
            output: top(&["output_tokens", "completion_tokens"]),
            total: top(&["total_tokens"]),
            cached: detail(INPUT_DETAILS, "cached_tokens")
                .or(|| top(&["prompt_cache_hit_tokens", "cached_tokens"])),
            written: detail(INPUT_DETAILS, "cache_write_tokens")
                .or(|| top(&["cache_write_tokens"])),
            reasoning: detail(OUTPUT_DETAILS, "reasoning_tokens"),
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
}

fn first<'a>(values: impl Iterator<Item = Option<&'a Value>>) -> Count {
    values
        .map(Count::of)
        .find(|count| *count != Count::Absent)
        .unwrap_or(Count::Absent)
}

impl Count {
    pub(super) fn of(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::Number(number)) => number
                .as_u64()
                .or_else(|| whole(number.as_f64()?))
                .map_or(Self::Bad, Self::bounded),
            Some(Value::String(text)) => text.trim().parse().map_or(Self::Bad, Self::bounded),
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Self::Bad,
        }
    }

    const fn bounded(count: u64) -> Self {
        if count > MAX_COUNT {
            Self::Bad
        } else {
            Self::Is(count)
        }
    }

    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::Absent { other() } else { self }
    }

    pub(super) const fn known(self) -> Option<u64> {
        match self {
            Self::Is(count) => Some(count),
            Self::Absent | Self::Bad => None,
        }
    }

    const fn or_zero(self) -> u64 {
        match self {
            Self::Is(count) => count,
            Self::Absent | Self::Bad => 0,
        }
    }
}

/// `12.0` as 12. Every whole number up to 2^53 has an exact `f64`.
fn whole(number: f64) -> Option<u64> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
    let is_count = number.fract() == 0.0 && (0.0..=MAX_COUNT as f64).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number between 0 and 2^53"
    )]
    is_count.then_some(number as u64)
}

/// Dollars as nano-dollars, rounded to the nearest.
fn nanos(cost: &Value) -> Option<i64> {
    /// More than a million dollars for one answer is not believed.
    const MAX_DOLLARS: f64 = 1e6;
    let dollars = cost
        .as_f64()
        .or_else(|| cost.as_str()?.trim().parse().ok())?;
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^15")]
    (0.0..=MAX_DOLLARS)
        .contains(&dollars)
        .then(|| (dollars * 1e9).round() as i64)
}
