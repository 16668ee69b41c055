//! What only Codex says and reads: who a turn belongs to, what kind of request it is, plan limits,
//! and the claims of a ChatGPT token.
//!
//! Labels, not proof: nothing here is verified, so nothing here may authorise.

mod claims;
mod plan;
mod repository;
mod turn;

pub use claims::ChatgptClaims;
pub use plan::{PlanCredits, PlanLimit, PlanLimits, PlanWindow, WindowSlot};
pub use repository::{repository, without_workspaces};
pub use turn::{METADATA as TURN_METADATA, RequestKind, TurnMetadata};

#[cfg(test)]
mod tests;
