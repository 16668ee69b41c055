//! The answer of policy to one request.

use serde::Serialize;
use utoipa::ToSchema;

use crate::attempt_plan::AttemptPlan;
use crate::auth_route::AuthRoute;
use crate::model_id::ModelId;
use crate::rule::RuleRef;

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It is sent.
    Forward(AttemptPlan),
    /// A rule refuses it.
    Reject(Rejection),
    /// No upstream is configured for its route, and no rule sends it elsewhere.
    Unrouted(AuthRoute),
}

/// A rule's refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rejection {
    /// The rule that refuses.
    pub rule: RuleRef,
    /// Its reason.
    pub reason: String,
    /// The refused model: the requested one, or what a rewrite made of it.
    pub model: ModelId,
    /// The route of the request.
    pub route: AuthRoute,
    /// Models that work on this route, the likeliest replacement first.
    pub allowed: Vec<ModelId>,
}

impl Rejection {
    /// The text for the user: which rule rejects the model, why, and what works instead.
    pub fn message(&self) -> String {
        let reason = self.reason.trim().trim_end_matches('.');
        let mut text = format!(
            "Rule \"{}\" rejects {} on the {} route: {reason}.",
            self.rule.name, self.model, self.route
        );
        if self.allowed.is_empty() {
            text.push_str(" Ask the operator of this gateway which models work here.");
        } else {
            let names: Vec<&str> = self.allowed.iter().map(ModelId::as_str).collect();
            text.push_str(" Models that work: ");
            text.push_str(&names.join(", "));
        }
        text
    }
}
