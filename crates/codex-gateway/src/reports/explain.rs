//! What would happen to a request, and why: one report for the command line and for `/api/explain`.

mod answer;
mod key_context;
mod key_report;
mod query;

pub use answer::{Explained, explain};
pub use key_context::{FoundKey, KeyContext, SpeedLine};
pub use key_report::explain_with_key;
pub use query::ExplainQuery;
