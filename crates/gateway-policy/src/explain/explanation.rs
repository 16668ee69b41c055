//! Why a request is decided as it is, as data: the answer of `explain`.

use std::sync::Arc;

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use serde::Serialize;
use utoipa::ToSchema;

use crate::attempt::AttemptReason;
use crate::attempt_plan::DecisionKind;
use crate::auth_route::AuthRoute;
use crate::decision::Rejection;
use crate::model_id::ModelId;
use crate::rule::{RuleOrigin, RuleRef, byte_range};
use crate::upstream::UpstreamName;

/// A rule that took part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedRule {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleRef,
    /// What it did, in words.
    pub did: String,
    /// Where it is written, such as `gateway.toml:12`; filled in by [`Explanation::locate`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A fallback that would follow, or why it would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedFallback {
    /// The model.
    pub model: ModelId,
    /// The upstream that would be asked; absent when it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamName>,
    /// Why it is skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// Where a chain comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "origin")]
pub enum ExplainedChain {
    /// The configuration file.
    Operator {
        /// Byte range of the chain's key in that file.
        #[schema(schema_with = byte_range)]
        span: std::ops::Range<usize>,
        /// Where it is written; filled in by [`Explanation::locate`].
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// The catalogue.
    BuiltIn {
        /// The short name of the source.
        #[schema(value_type = String)]
        source: Arc<str>,
        /// When that source said so.
        #[schema(value_type = String)]
        date: Arc<str>,
    },
}

/// One statement of the catalogue that concerns the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ExplainedStatement {
    /// The model it is about.
    pub model: ModelId,
    /// What is said.
    pub text: String,
    /// The short name of the source.
    #[schema(value_type = String)]
    pub source: Arc<str>,
    /// What that source is.
    pub title: String,
    /// When it said so.
    #[schema(value_type = String)]
    pub date: Arc<str>,
    /// Whether a later statement says otherwise.
    pub is_superseded: bool,
}

/// A decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The route.
    pub route: AuthRoute,
    /// The endpoint the client uses.
    pub endpoint: WireApi,
    /// What the request is for.
    pub kind: RequestKind,
    /// The requested model.
    pub model_requested: ModelId,
    /// What is decided; absent when the route has no upstream.
    pub decision: Option<DecisionKind>,
    /// The model that would be asked first.
    pub model_served: Option<ModelId>,
    /// The upstream that would be asked.
    pub upstream: Option<UpstreamName>,
    /// The base URL of that upstream.
    pub base_url: Option<String>,
    /// The protocol spoken there.
    pub wire: Option<WireApi>,
    /// Why this model at this upstream.
    #[serde(rename = "because")]
    pub reason: Option<AttemptReason>,
    /// The rules that took part, in order.
    pub rules: Vec<ExplainedRule>,
    /// The refusal, when there is one.
    pub rejection: Option<Rejection>,
    /// The text that the user would see, when there is a refusal.
    pub message: Option<String>,
    /// Where the chain of the decided model comes from.
    pub chain: Option<ExplainedChain>,
    /// What would follow on a refusal of the model.
    pub fallbacks: Vec<ExplainedFallback>,
    /// The dated statements behind it, the newest first.
    pub statements: Vec<ExplainedStatement>,
    /// Further remarks, in words.
    pub notes: Vec<String>,
}

impl Explanation {
    /// Fills in where rules and chains are written, given the name of a byte range of the
    /// configuration.
    pub fn locate(&mut self, name: impl Fn(&std::ops::Range<usize>) -> String) {
        for rule in &mut self.rules {
            if let RuleOrigin::Operator { span } = &rule.rule.origin {
                rule.place = Some(name(span));
            }
        }
        if let Some(ExplainedChain::Operator { span, place }) = &mut self.chain {
            *place = Some(name(span));
        }
    }
}
