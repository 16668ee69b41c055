//! Rewrites a Responses `usage` value that Codex could not read. An answer with such a value is
//! bought again by Codex, up to five times.

use serde_json::{Map, Value, json};

use super::count::Count;
use super::read::{UsageCounts, object};
use super::tokens::MAX_COUNT;

/// The text to put in place of a `usage` value, or `None` when Codex can read it as it is.
///
/// Counts become integers; a value without any count becomes `null`, which claims nothing.
pub(crate) fn repair_usage(raw: &[u8]) -> Option<String> {
    if raw == b"null" {
        return None;
    }
    let Some(mut usage) = object(raw) else {
        return Some("null".to_owned());
    };
    if is_readable(&usage) {
        return None;
    }
    let counts = UsageCounts::of(&usage);
    if (counts.input, counts.output, counts.total) == (Count::Absent, Count::Absent, Count::Absent)
    {
        return Some("null".to_owned());
    }
    let input = counts.input_or_rest().unwrap_or_else(|| {
        coerced(
            usage
                .get("input_tokens")
                .or_else(|| usage.get("prompt_tokens")),
        )
    });
    let output = counts.output_or_rest().unwrap_or_else(|| {
        coerced(
            usage
                .get("output_tokens")
                .or_else(|| usage.get("completion_tokens")),
        )
    });
    let total = counts
        .total
        .known()
        .unwrap_or_else(|| (input + output).min(MAX_COUNT));
    repair_details(
        &mut usage,
        "input_tokens_details",
        "cached_tokens",
        Some("cache_write_tokens"),
    );
    repair_details(
        &mut usage,
        "output_tokens_details",
        "reasoning_tokens",
        None,
    );
    for (name, count) in [
        ("input_tokens", input),
        ("output_tokens", output),
        ("total_tokens", total),
    ] {
        usage.insert(name.to_owned(), json!(count));
    }
    Some(Value::Object(usage).to_string())
}

/// Whether Codex's own types accept it and no count is absurd.
fn is_readable(usage: &Map<String, Value>) -> bool {
    let has_details = |group: &str, required: &str, optional: &str| match usage.get(group) {
        None | Some(Value::Null) => true,
        Some(details) => {
            is_count(details.get(required))
                && details
                    .get(optional)
                    .is_none_or(|count| is_count(Some(count)))
        }
    };
    ["input_tokens", "output_tokens", "total_tokens"]
        .iter()
        .all(|name| is_count(usage.get(*name)))
        && has_details(
            "input_tokens_details",
            "cached_tokens",
            "cache_write_tokens",
        )
        && has_details(
            "output_tokens_details",
            "reasoning_tokens",
            "reasoning_tokens",
        )
}

fn is_count(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_u64)
        .is_some_and(|count| count <= MAX_COUNT)
}

fn repair_details(
    usage: &mut Map<String, Value>,
    group: &str,
    required: &str,
    optional: Option<&str>,
) {
    let Some(details) = usage.get_mut(group) else {
        return;
    };
    let Value::Object(details) = details else {
        *details = Value::Null;
        return;
    };
    let optional = optional.filter(|name| details.contains_key(*name));
    for name in std::iter::once(required).chain(optional) {
        let count = coerced(details.get(name));
        details.insert(name.to_owned(), json!(count));
    }
}

/// The nearest count to what is there.
fn coerced(value: Option<&Value>) -> u64 {
    if let Count::Is(count) = Count::of(value) {
        return count;
    }
    let number = value
        .and_then(Value::as_f64)
        .filter(|number| !number.is_nan())
        .unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates: below zero becomes zero, and the rest is bounded"
    )]
    let count = number.round() as u64;
    count.min(MAX_COUNT)
}
