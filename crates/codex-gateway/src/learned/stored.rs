//! Learned refusals as the store keeps them.

use std::sync::Arc;

use gateway_ledger::ModelRefusal;
use gateway_policy::{LearnedRefusal, ModelId, RefusalKey, UpstreamName};

/// Longest evidence that is kept.
const EVIDENCE_CHARS: usize = 300;

/// As the store keeps it.
pub fn to_stored(key: &RefusalKey, refusal: &LearnedRefusal) -> ModelRefusal {
    let said = [refusal.code.as_deref(), refusal.message.as_deref()];
    let evidence: Vec<&str> = said.into_iter().flatten().collect();
    ModelRefusal {
        upstream: key.upstream.to_string(),
        route: key.route,
        plan: key.plan.as_deref().map(str::to_owned),
        credential: key.credential_digest.as_deref().map(str::to_owned),
        model: key.model.to_string(),
        evidence: evidence.join(": ").chars().take(EVIDENCE_CHARS).collect(),
        learned_at: refusal.learned_at,
        expires_at: refusal.expires_at,
    }
}

/// As policy reads it; `None` for an invalid model id.
pub fn from_stored(stored: &ModelRefusal) -> Option<(RefusalKey, LearnedRefusal)> {
    let key = RefusalKey {
        upstream: UpstreamName::new(&stored.upstream),
        route: stored.route,
        plan: stored.plan.as_deref().map(Arc::from),
        credential_digest: stored.credential.as_deref().map(Arc::from),
        model: ModelId::new(&stored.model).ok()?,
    };
    let refusal = LearnedRefusal {
        learned_at: stored.learned_at,
        expires_at: stored.expires_at,
        probed_at: None,
        code: None,
        message: Some(stored.evidence.clone()).filter(|text| !text.is_empty()),
    };
    Some((key, refusal))
}
