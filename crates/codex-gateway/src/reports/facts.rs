//! Learned refusals as people see them and as the store keeps them.

use std::sync::Arc;

use gateway_ledger::ModelRefusal as StoredFact;
use gateway_policy::{LearnedRefusal, ModelId, RefusalKey, UpstreamName};
use serde::Serialize;
use utoipa::ToSchema;

/// Longest evidence that is kept.
const EVIDENCE_CHARS: usize = 300;

/// The refusals that are believed at present, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactsReport {
    pub facts: Vec<StoredFact>,
}

/// How many were forgotten.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Cleared {
    pub cleared: u64,
}

/// As the store keeps it.
pub fn to_stored(key: &RefusalKey, fact: &LearnedRefusal) -> StoredFact {
    let said = [fact.code.as_deref(), fact.message.as_deref()];
    let evidence: Vec<&str> = said.into_iter().flatten().collect();
    StoredFact {
        upstream: key.upstream.to_string(),
        route: key.route,
        plan: key.plan.as_deref().map(str::to_owned),
        credential: key.credential_digest.as_deref().map(str::to_owned),
        model: key.model.to_string(),
        evidence: evidence.join(": ").chars().take(EVIDENCE_CHARS).collect(),
        learned_at: fact.learned_at,
        expires_at: fact.expires_at,
    }
}

/// As policy reads it; `None` for an invalid model id.
pub fn from_stored(stored: &StoredFact) -> Option<(RefusalKey, LearnedRefusal)> {
    let key = RefusalKey {
        upstream: UpstreamName::new(&stored.upstream),
        route: stored.route,
        plan: stored.plan.as_deref().map(Arc::from),
        credential_digest: stored.credential.as_deref().map(Arc::from),
        model: ModelId::new(&stored.model).ok()?,
    };
    let fact = LearnedRefusal {
        learned_at: stored.learned_at,
        expires_at: stored.expires_at,
        probed_at: None,
        code: None,
        message: Some(stored.evidence.clone()).filter(|text| !text.is_empty()),
    };
    Some((key, fact))
}
