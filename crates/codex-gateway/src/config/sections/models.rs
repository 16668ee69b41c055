//! `[models]`: how fallback behaves.

use std::time::Duration;

use gateway_policy::EncryptedReasoning;
use gateway_policy::fallback::learned::DEFAULT_TTL;
use gateway_policy::problem::Problem;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::config::key::Key;
use crate::config::values;

/// Default of `learned_ttl`.
pub const LEARNED_TTL: Duration = DEFAULT_TTL;

/// When a change of each key takes effect.
pub const KEYS: &[Key<ModelsSettings>] =
    &[Key::now("encrypted_reasoning"), Key::now("learned_ttl")];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSpec {
    pub encrypted_reasoning: Option<EncryptedReasoning>,
    pub learned_ttl: Option<Spanned<String>>,
}

/// The checked values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelsSettings {
    /// What becomes of encrypted reasoning that the next upstream cannot read.
    pub encrypted_reasoning: EncryptedReasoning,
    /// How long an upstream's refusal of a model is remembered.
    pub learned_ttl: Duration,
}

/// Checks the table and fills in the defaults.
pub fn compile(spec: &ModelsSpec, problems: &mut Vec<Problem>) -> ModelsSettings {
    ModelsSettings {
        encrypted_reasoning: spec.encrypted_reasoning.unwrap_or_default(),
        learned_ttl: values::duration(spec.learned_ttl.as_ref(), LEARNED_TTL, problems),
    }
}
