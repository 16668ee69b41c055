//! Turns operator intent into decisions: a pure function from (who, which model) to a plan or a
//! refusal, and from (model, usage) to a cost. No files, no environment, no HTTP, no SQL, no
//! clocks.
//!
//! ```text
//! config + catalogue --Policy::compile--> Policy (or every Problem at once)
//! Ask + Memory       --Policy::decide---> Decision: Forward(Plan) | Reject(Rejection) | Unrouted
//! Plan + Failure     --Plan::next-------> the next attempt, the same again in another shape, or stop
//! ```

pub mod ask;
pub mod auth_route;
pub mod catalog;
pub mod explain;
pub mod fallback;
pub mod limit;
pub mod model_id;
pub mod pattern;
pub mod plan;
pub mod policy;
pub mod price;
pub mod problem;
pub mod rule;
pub mod units;
pub mod upstream;
pub mod words;

pub use ask::{Ask, Endpoint, Memory, NoMemory, Refusal, RequestKind, RequestNeeds, Sticky};
pub use auth_route::AuthRoute;
pub use catalog::{Catalog, ModelCard, Said, Statement};
pub use explain::Explanation;
pub use fallback::FallbackSpec;
pub use fallback::learned::{Fact, FactKey, LearnedFacts};
pub use fallback::sessions::{SessionKey, Sessions};
pub use model_id::{ModelId, ModelIdError, ModelPattern};
pub use pattern::PatternSpec;
pub use plan::{
    Adjustment, Attempt, Because, Decision, DecisionKind, EncryptedReasoning, Next, Plan, Rejection,
};
pub use policy::{Access, Asker, ModelView, Policy, PolicyInput, RoutesSpec};
pub use price::{Billing, PriceProblem, PriceRow, PriceTable, Pricing, Tier};
pub use problem::{Problem, Severity};
pub use rule::{ActionSpec, MatchSpec, RuleOrigin, RuleRef, RuleSpec};
pub use upstream::{
    CredentialSource, CredentialSpec, Encoding, HeaderKind, SecretPlace, Upstream, UpstreamName,
    UpstreamSpec,
};
