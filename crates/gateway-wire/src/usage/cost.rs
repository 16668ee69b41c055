//! What an upstream itself says that an answer cost.

use serde_json::{Map, Value};

/// Members that hold the whole cost in dollars; the first that holds a figure counts.
const COSTS: [&str; 5] = [
    "cost",
    "total_cost",
    "cost_usd",
    "total_cost_usd",
    "estimated_cost",
];

/// The same within an object of costs.
const TOTALS: [&str; 6] = [
    "total_cost",
    "total",
    "cost",
    "amount",
    "usd",
    "total_cost_usd",
];

/// One tick is 10⁻¹⁰ USD (xAI's cost tracking, 2026).
const TICKS: &str = "cost_in_usd_ticks";

/// The cost that a `usage` object names, USD × 10⁻⁹, rounded to the nearest.
pub(super) fn cost_nanos(usage: &Map<String, Value>) -> Option<i64> {
    if let Some(ticks) = usage.get(TICKS).and_then(Value::as_i64) {
        let is_cost = (0..=MAX_NANOS * 10).contains(&ticks);
        return is_cost.then_some((ticks + 5) / 10);
    }
    let named = COSTS.iter().find_map(|name| dollars(usage.get(*name)?))?;
    nanos(named + own_key_cost(usage))
}

/// With the user's own key at the provider behind the upstream, the cost is the upstream's fee
/// alone, and the provider's bill stands beside it.
fn own_key_cost(usage: &Map<String, Value>) -> f64 {
    if usage.get("is_byok") != Some(&Value::Bool(true)) {
        return 0.0;
    }
    usage
        .get("cost_details")
        .and_then(|details| number(details.get("upstream_inference_cost")?))
        .unwrap_or(0.0)
}

/// A figure, or the total of an object of figures.
fn dollars(value: &Value) -> Option<f64> {
    let Value::Object(parts) = value else {
        return number(value);
    };
    let is_foreign = parts
        .get("currency")
        .and_then(Value::as_str)
        .is_some_and(|currency| !currency.eq_ignore_ascii_case("usd"));
    if is_foreign {
        return None;
    }
    let total = TOTALS.iter().find_map(|name| number(parts.get(*name)?));
    total.or_else(|| {
        let costs: Vec<f64> = parts
            .iter()
            .filter(|(name, _)| name.ends_with("cost"))
            .filter_map(|(_, value)| number(value))
            .collect();
        (!costs.is_empty()).then(|| costs.iter().sum())
    })
}

fn number(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// More than a million dollars for one answer is not believed.
const MAX_NANOS: i64 = 1_000_000_000_000_000;

fn nanos(dollars: f64) -> Option<i64> {
    #[expect(clippy::cast_precision_loss, reason = "10^15 is exact")]
    let max = MAX_NANOS as f64 / 1e9;
    #[expect(clippy::cast_possible_truncation, reason = "at most 10^15")]
    (0.0..=max)
        .contains(&dollars)
        .then(|| (dollars * 1e9).round() as i64)
}
