//! Learned refusals as people see them.

use gateway_ledger::ModelRefusal;
use serde::Serialize;
use utoipa::ToSchema;

/// The refusals that are believed at present, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactsReport {
    pub facts: Vec<ModelRefusal>,
}

/// How many were forgotten.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Cleared {
    pub cleared: u64,
}
