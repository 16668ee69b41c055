//! Fees for what an upstream runs itself and bills by the call, beside the tokens. A tool without a
//! fee is said to be missing, never free.

use serde::Serialize;

use super::rate::Rate;
use crate::model_id::ModelId;
use crate::model_pattern::ModelPattern;

/// What a tool costs with some models.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Fee {
    /// The word of the tool, as entries have it.
    pub(super) tool: String,
    /// The globs, as written.
    pub(super) models: Vec<String>,
    /// USD per thousand calls, which are as many nano-dollars per call as a [`Rate`] holds units.
    pub(super) per_thousand: Rate,
    /// Whether the figure is taken from other models.
    pub(super) is_estimated: bool,
    pub(super) source: String,
    #[serde(skip)]
    pub(super) patterns: Vec<ModelPattern>,
}

/// What the tools of one answer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ToolCost {
    /// USD × 10⁻⁹, of the tools that have a fee.
    pub(super) nanos: i64,
    /// Whether a tool has no fee, or one that is taken from other models.
    pub(super) is_estimated: bool,
}

/// Sums what `tools`, words with their calls, cost by the first fee that fits each; `None` when the
/// sum does not fit.
pub(super) fn tool_cost<'f, 't>(
    fees: &(impl Iterator<Item = &'f Fee> + Clone),
    model: &ModelId,
    tools: impl Iterator<Item = (&'t str, u64)>,
) -> Option<ToolCost> {
    let mut sum = ToolCost::default();
    for (tool, calls) in tools.filter(|(_, calls)| *calls > 0) {
        let fits = |fee: &&Fee| {
            fee.tool == tool && fee.patterns.iter().any(|pattern| pattern.matches(model))
        };
        let Some(fee) = fees.clone().find(fits) else {
            sum.is_estimated = true;
            continue;
        };
        sum.nanos = sum.nanos.checked_add(fee.per_thousand.nanos_of(calls)?)?;
        sum.is_estimated |= fee.is_estimated;
    }
    Some(sum)
}
