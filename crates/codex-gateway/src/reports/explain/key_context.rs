//! What the store says of a key and a team: the part of the answer that `key_report.rs` fills in.

use gateway_policy::limit::Limits;
use serde::Serialize;
use utoipa::ToSchema;

use crate::administration::budget_lines::BudgetLine;
use crate::administration::keys::KeyState;

/// What the store says of the key and the team that were named.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct KeyContext {
    /// The key; absent when none was named.
    pub key: Option<FoundKey>,
    /// Why the request would be refused on their account.
    pub refused: Option<Refused>,
    /// The budgets that count it, the one of the whole gateway included.
    pub budgets: Vec<BudgetLine>,
    /// The limits on speed that count it.
    pub limits: Vec<SpeedLine>,
}

/// A key that was named.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FoundKey {
    /// Absent when the store knows none of that name or id.
    pub id: Option<String>,
    pub name: String,
    pub team: Option<String>,
    pub state: KeyState,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refused {
    pub code: &'static str,
    pub message: String,
}

/// The limits of one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpeedLine {
    pub scope: String,
    #[serde(flatten)]
    pub limits: Limits,
}
