//! Request parameters that both wires have under one name: one table, read in both directions.

use serde_json::value::RawValue;

use super::error::TranslateError;
use super::loss_kind::LossKind;
use super::losses::Losses;
use crate::dialect::Dialect;
use crate::json::raw::{Fields, text_of};
use crate::json::write::JsonWriter;

/// A parameter that is copied as it is.
struct SharedParameter {
    name: &'static str,
    /// Whether this upstream accepts it.
    is_accepted: fn(&Dialect) -> bool,
    /// What leaving it out loses; `None` where it means nothing to another upstream.
    loss: Option<LossKind>,
}

const SHARED: [SharedParameter; 8] = [
    SharedParameter {
        name: "temperature",
        is_accepted: |dialect| dialect.temperature,
        loss: Some(LossKind::Sampling),
    },
    SharedParameter {
        name: "top_p",
        is_accepted: |dialect| dialect.top_p,
        loss: Some(LossKind::Sampling),
    },
    SharedParameter {
        name: "service_tier",
        is_accepted: |dialect| dialect.service_tier,
        loss: Some(LossKind::ServiceTier),
    },
    SharedParameter {
        name: "prompt_cache_key",
        is_accepted: |dialect| dialect.prompt_cache_key,
        loss: None,
    },
    SharedParameter {
        name: "prompt_cache_retention",
        is_accepted: |dialect| dialect.prompt_cache_retention,
        loss: Some(LossKind::Parameter),
    },
    SharedParameter {
        name: "metadata",
        is_accepted: |dialect| dialect.metadata,
        loss: Some(LossKind::Parameter),
    },
    SharedParameter {
        name: "safety_identifier",
        is_accepted: |dialect| dialect.safety_identifier,
        loss: None,
    },
    SharedParameter {
        name: "user",
        is_accepted: |dialect| dialect.safety_identifier,
        loss: None,
    },
];

/// Parameters that are read where requests are translated, whichever way, or that mean nothing to
/// another upstream.
const HANDLED: [&str; 14] = [
    "model",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "top_logprobs",
    "reasoning",
    "store",
    "text",
    "max_output_tokens",
    "max_tokens",
    "max_completion_tokens",
    "verbosity",
];

/// Parameters that shape how tokens are drawn.
const SAMPLING: [&str; 5] = [
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
];

/// Writes the parameters that both wires have, as far as the upstream accepts them.
pub(crate) fn write_shared(
    json: &mut JsonWriter,
    request: &Fields<'_>,
    dialect: &Dialect,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    for parameter in &SHARED {
        let Some(value) = request.get(parameter.name) else {
            continue;
        };
        if (parameter.is_accepted)(dialect) {
            json.field_raw(parameter.name, value.get());
            continue;
        }
        let loss = parameter.loss.filter(|_| !is_default(value));
        if let Some(loss) = loss {
            losses.note(loss, parameter.name)?;
        }
    }
    Ok(())
}

/// Notes every parameter of a request that nothing carries. `own` are those that this direction
/// reads itself.
pub(crate) fn note_unknown(
    request: &Fields<'_>,
    own: &[&str],
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    for (name, value) in &request.0 {
        let name = &**name;
        let is_known = own.contains(&name)
            || HANDLED.contains(&name)
            || SHARED.iter().any(|parameter| parameter.name == name);
        if is_known || is_default(value) {
            continue;
        }
        let kind = if SAMPLING.contains(&name) {
            LossKind::Sampling
        } else {
            LossKind::Parameter
        };
        losses.note(kind, name)?;
    }
    Ok(())
}

/// Values that say nothing, so that leaving them out loses nothing.
fn is_default(value: &RawValue) -> bool {
    matches!(
        value.get(),
        "null" | "0" | "0.0" | "{}" | "[]" | "false" | "\"\""
    ) || text_of(value).is_some_and(|text| matches!(&*text, "auto" | "default" | "disabled"))
}
