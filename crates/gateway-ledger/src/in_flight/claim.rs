//! What a request asks of its limits, and the answer.

use gateway_policy::Billing;
use gateway_policy::limit::{Budget, Refusal, Scope, ScopeLimits};
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::error::LedgerError;
use crate::ids::EntryId;

/// What a request is likely to need, and whose limits it falls under.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The exchange.
    pub id: EntryId,
    /// When its request arrived; decides in which day its money counts.
    pub at: Timestamp,
    /// Which budgets count it.
    pub billing: Billing,
    /// Likely cost, USD × 10⁻⁹.
    pub nanos: i64,
    /// Likely tokens, input and output.
    pub tokens: u64,
    /// The limits of its key, its team and the gateway.
    pub scopes: Vec<ScopeLimits>,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is admitted.
    Granted {
        /// Budgets whose soft threshold is reached with it.
        soft_crossed: Vec<(Scope, Budget)>,
    },
    /// It is refused; nothing is reserved for it.
    Refused(Refusal),
}

/// A claim on its way through the lane.
pub(crate) struct PendingClaim {
    pub(crate) claim: Claim,
    /// Whether it replaces what is reserved for the same exchange, after a fallback to another
    /// model.
    pub(crate) is_repriced: bool,
    pub(crate) reply: oneshot::Sender<Result<Admission, LedgerError>>,
}
