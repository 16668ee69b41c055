//! What a caller may use, for the `models` command and the client's picker.

use serde::Serialize;

use super::Policy;
use crate::ask::{Ask, Memory, Refusal};
use crate::catalog::ModelCard;
use crate::plan::Decision;
use crate::rule::RuleRef;
use crate::upstream::UpstreamName;
use crate::{AuthRoute, ModelId};

/// Who looks at a list of models.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The route.
    pub route: AuthRoute,
    /// The plan that the token claims.
    pub plan: Option<&'a str>,
    /// The team of the gateway key.
    pub team: Option<&'a str>,
    /// The name of the gateway key.
    pub key: Option<&'a str>,
    /// The client's `originator`.
    pub client: Option<&'a str>,
}

impl<'a> Asker<'a> {
    /// Somebody on this route of whom nothing else is known.
    pub const fn new(route: AuthRoute) -> Self {
        Self {
            route,
            plan: None,
            team: None,
            key: None,
            client: None,
        }
    }

    /// An ordinary turn of this caller for a model.
    pub const fn ask(self, model: &'a ModelId) -> Ask<'a> {
        Ask {
            plan: self.plan,
            team: self.team,
            key: self.key,
            client: self.client,
            ..Ask::new(self.route, model)
        }
    }
}

/// What becomes of an ordinary turn for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "access")]
pub enum Access {
    /// It is served.
    Served {
        /// Where.
        upstream: UpstreamName,
    },
    /// Another model serves it, by a rule.
    Rewritten {
        /// Which.
        to: ModelId,
        /// Where.
        upstream: UpstreamName,
        /// By this rule.
        rule: RuleRef,
    },
    /// A rule refuses it.
    Rejected {
        /// This rule.
        rule: RuleRef,
        /// Its reason.
        reason: String,
    },
    /// The upstream refused it lately.
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
    /// Whether a picker that tells the truth lists it.
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
    /// What becomes of an ordinary turn for it.
    #[serde(flatten)]
    pub access: Access,
    /// What would follow on a refusal, in order.
    pub fallbacks: Vec<ModelId>,
    /// What is said about it; absent for a model that only a rule names.
    pub card: Option<&'p ModelCard>,
}

impl Policy {
    /// What becomes of an ordinary turn of this caller for any model, known or not.
    pub fn access(&self, asker: &Asker<'_>, model: &ModelId, memory: &dyn Memory) -> Access {
        self.view(asker, model, memory).access
    }

    /// Every model of the catalogue and of the rules' own, visible or not, in the order of the data
    /// file.
    pub fn models_for(&self, asker: &Asker<'_>, memory: &dyn Memory) -> Vec<ModelView<'_>> {
        let mut models: Vec<ModelId> = self
            .catalog()
            .cards()
            .iter()
            .map(|card| card.id.clone())
            .collect();
        for model in self.named_by_rules() {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
            .iter()
            .map(|model| self.view(asker, model, memory))
            .collect()
    }

    fn view(&self, asker: &Asker<'_>, model: &ModelId, memory: &dyn Memory) -> ModelView<'_> {
        let ask = asker.ask(model);
        let decision = self
            .walk(&ask, memory, super::decide::Purpose::Question)
            .decision;
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
                let refused = memory.refused(&upstream, &plan.head.model) == Refusal::Refused;
                let instead =
                    Some(plan.first.model.clone()).filter(|first| *first != plan.head.model);
                let access = match plan.rule {
                    _ if refused => Access::Refused { upstream, instead },
                    Some(rule) if plan.head.model != plan.asked => Access::Rewritten {
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
            card: self.catalog().card(model),
        }
    }
}
