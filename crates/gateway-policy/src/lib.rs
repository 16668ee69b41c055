//! Turns operator intent into decisions: a pure function from (who, which model) to a plan of
//! attempts or a refusal, and from (model, usage) to a cost. No files, no environment, no HTTP, no
//! SQL, no clocks.
//!
//! ```text
//! config + catalogue     --Policy::compile---> Policy (or every Problem at once)
//! PolicyRequest + Memory --Policy::decide----> Decision: Forward(AttemptPlan) | Reject(Rejection) | Unrouted
//! AttemptPlan + Failure  --AttemptPlan::next-> NextStep: another attempt, the same in another shape, or stop
//! ```

pub mod attempt;
pub mod attempt_plan;
pub mod auth_route;
pub mod catalog;
pub mod decision;
mod degrees;
pub mod error_pattern;
pub mod explain;
pub mod fallback;
pub mod lenient_parse;
pub mod limit;
pub mod memory;
pub mod model_id;
pub mod model_pattern;
pub mod money;
pub mod policy;
pub mod price;
pub mod problem;
pub mod request;
pub mod rule;
pub mod string_list;
pub mod units;
pub mod upstream;

pub use attempt::{Attempt, AttemptReason};
pub use attempt_plan::{Adjustment, AttemptPlan, DecisionKind, EncryptedReasoning, NextStep};
pub use auth_route::AuthRoute;
pub use catalog::{Catalog, DatedValue, ModelEntry, Sourced};
pub use decision::{Decision, Rejection};
pub use error_pattern::ErrorPatternSpec;
pub use explain::Explanation;
pub use fallback::FallbackSpec;
pub use fallback::learned::{LearnedRefusal, LearnedRefusals, RefusalKey};
pub use fallback::sessions::{SessionKey, Sessions};
pub use memory::{Memory, NoMemory, RefusalState, Sticky};
pub use model_id::{ModelId, ModelIdError};
pub use model_pattern::ModelPattern;
pub use policy::models::{Access, ModelView};
pub use policy::{Policy, PolicyInput, RoutesSpec};
pub use price::{Billing, PriceRow, PriceTable, Pricing, Tier};
pub use problem::{Problem, Severity};
pub use request::{PolicyRequest, RequestNeeds, Subject};
pub use rule::{ActionSpec, ConditionsSpec, RuleOrigin, RuleRef, RuleSpec};
pub use upstream::{
    CredentialSource, CredentialSpec, HeaderKind, RequestEncoding, SecretPlace, Upstream,
    UpstreamName, UpstreamSpec,
};
