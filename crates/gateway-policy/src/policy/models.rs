//! What a caller may use, for the `models` command and the client's picker.

use serde::Serialize;
use utoipa::ToSchema;

use super::Policy;
use super::order::ProbeMode;
use crate::catalog::ModelEntry;
use crate::decision::Decision;
use crate::memory::{Memory, RefusalState};
use crate::model_id::ModelId;
use crate::request::Subject;
use crate::rule::RuleRef;
use crate::upstream::UpstreamName;

/// What happens to an ordinary turn for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "access")]
pub enum Access {
    /// It is served.
    Served {
        /// The upstream that serves it.
        upstream: UpstreamName,
    },
    /// Another model serves it, by a rule.
    Rewritten {
        /// The model that serves it.
        to: ModelId,
        /// The upstream that serves it.
        upstream: UpstreamName,
        /// The rule that says so.
        rule: RuleRef,
    },
    /// A rule refuses it.
    Rejected {
        /// The rule that refuses it.
        rule: RuleRef,
        /// Its reason.
        reason: String,
    },
    /// The upstream refused it recently.
    Refused {
        /// The upstream.
        upstream: UpstreamName,
        /// The model that serves it meanwhile, if there is one.
        instead: Option<ModelId>,
    },
    /// The route has no upstream.
    Unrouted,
}

impl Access {
    /// Whether an accurate model picker lists it.
    pub const fn is_visible(&self) -> bool {
        match self {
            Self::Served { .. } | Self::Rewritten { .. } => true,
            Self::Rejected { .. } | Self::Refused { .. } | Self::Unrouted => false,
        }
    }
}

/// One line of a list of models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelView<'p> {
    /// The model.
    pub model: ModelId,
    /// What happens to an ordinary turn for it.
    #[serde(flatten)]
    pub access: Access,
    /// What would follow on a refusal, in order.
    pub fallbacks: Vec<ModelId>,
    /// Its catalogue entry; absent for a model that only a rule names.
    pub entry: Option<&'p ModelEntry>,
}

impl Policy {
    /// What happens to an ordinary turn of this caller for any model, known or not.
    pub fn access(&self, subject: Subject<'_>, model: &ModelId, memory: &dyn Memory) -> Access {
        self.view(subject, model, memory).access
    }

    /// Every model of the catalogue, in the order of the data file, then those that only rules name;
    /// visible or not.
    pub fn models_for(&self, subject: Subject<'_>, memory: &dyn Memory) -> Vec<ModelView<'_>> {
        let mut models: Vec<ModelId> = self
            .catalog()
            .entries()
            .iter()
            .map(|entry| entry.id.clone())
            .collect();
        for model in self.named_by_rules() {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
            .iter()
            .map(|model| self.view(subject, model, memory))
            .collect()
    }

    fn view(&self, subject: Subject<'_>, model: &ModelId, memory: &dyn Memory) -> ModelView<'_> {
        let request = subject.request(model);
        let decision = self.trace(&request, memory, ProbeMode::Observe).decision;
        let (access, fallbacks) = match decision {
            Decision::Unrouted(_) => (Access::Unrouted, Vec::new()),
            Decision::Reject(rejection) => (
                Access::Rejected {
                    rule: rejection.rule,
                    reason: rejection.reason,
                },
                Vec::new(),
            ),
            Decision::Forward(plan) => {
                let upstream = plan.head.upstream.name.clone();
                let refused = memory.refused(&upstream, &plan.head.model) == RefusalState::Refused;
                let instead =
                    Some(plan.first.model.clone()).filter(|first| *first != plan.head.model);
                let access = match plan.rule {
                    _ if refused => Access::Refused { upstream, instead },
                    Some(rule) if plan.head.model != plan.requested => Access::Rewritten {
                        to: plan.head.model,
                        upstream,
                        rule,
                    },
                    Some(_) | None => Access::Served { upstream },
                };
                (
                    access,
                    plan.rest.into_iter().map(|attempt| attempt.model).collect(),
                )
            }
        };
        ModelView {
            model: model.clone(),
            access,
            fallbacks,
            entry: self.catalog().entry(model),
        }
    }
}
