//! One operator decision: what the TOML says and what it compiles to.

mod action;
pub(crate) mod compile;
mod condition;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use crate::model_id::ModelId;
use condition::Conditions;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

pub use action::{Action, ActionSpec};
pub use condition::ConditionsSpec;

/// `[[rules]]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// What the rule is called in headers, logs and messages; must be unique.
    pub name: Spanned<String>,
    /// Which requests it matches; all requests when left out.
    #[serde(default)]
    pub when: ConditionsSpec,
    /// What happens to these requests.
    pub then: Spanned<ActionSpec>,
}

/// Where a rule comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "origin")]
pub enum RuleOrigin {
    /// The configuration file.
    Operator {
        /// Byte range of the rule in that file.
        #[schema(schema_with = byte_range)]
        span: Range<usize>,
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

/// Bytes from `start` up to `end`, in a description of an API.
pub(crate) fn byte_range() -> Object {
    let byte = || {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
    };
    ObjectBuilder::new()
        .property("start", byte())
        .required("start")
        .property("end", byte())
        .required("end")
        .build()
}

/// A rule as messages and reports name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleRef {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Arc<str>,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: RuleOrigin,
}

impl RuleRef {
    /// Whether it comes with the catalogue.
    pub fn is_built_in(&self) -> bool {
        matches!(self.origin, RuleOrigin::BuiltIn { .. })
    }
}

/// A compiled rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) reference: RuleRef,
    pub(crate) conditions: Conditions,
    pub(crate) action: Action,
    /// Models that a rejection names before all others.
    pub(crate) instead: Vec<ModelId>,
    /// The place of the action, for problems.
    pub(crate) action_span: Option<Range<usize>>,
}

impl Rule {
    /// Whether it replaces the requested model.
    pub(crate) const fn is_rewrite(&self) -> bool {
        matches!(self.action, Action::Rewrite(_))
    }
}
