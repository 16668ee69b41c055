//! The arithmetic of budgets and rate limits: what fits, what has to wait and for how long, what is
//! spent and until when. Pure: whoever keeps the counts (the ledger) asks here and stores the
//! answer in the same transaction.

mod admission;
mod budget;
mod rate;
mod scope;
mod window;

pub use admission::{
    Admitted, Estimate, Limits, RETRY_SOON, Refusal, RefusedBy, ScopeLimits, ScopeState,
};
pub use budget::{Budget, BudgetCheck, BudgetError, Position};
pub use rate::RateLimit;
pub use scope::Scope;
pub use window::{Period, Window};

#[cfg(test)]
mod tests;
