//! Suspicions about `[fallback]`.

use super::shapes;
use crate::fallback::ChainOrigin;
use crate::model_id::ModelId;
use crate::policy::{Policy, PolicyInput};
use crate::problem::Problem;

impl Policy {
    /// Adds what looks wrong in the operator's chains.
    pub(super) fn lint_chains(&self, input: &PolicyInput, problems: &mut Vec<Problem>) {
        for (model, targets) in &input.fallback {
            let Ok(source) = ModelId::new(model.get_ref()) else {
                continue;
            };
            if !self.is_known(&source, input) {
                problems.push(self.unknown_model(&source, Some(model.span())));
            }
            let source_is_lite = self.is_lite(&source);
            for target in targets {
                let Ok(id) = ModelId::new(target.get_ref()) else {
                    continue;
                };
                if !self.is_known(&id, input) {
                    problems.push(self.unknown_model(&id, Some(target.span())));
                }
                if let (Some(from), Some(to)) = (source_is_lite, self.is_lite(&id))
                    && from != to
                {
                    problems.push(Problem::warning(
                        target.span(),
                        format!(
                            "this chain mixes request formats: {}",
                            shapes(&source, &id, to)
                        ),
                    ));
                }
            }
            self.lint_continuation(&source, problems);
        }
    }

    /// A chain goes on with that of its last model; its shape may change there as well.
    fn lint_continuation(&self, source: &ModelId, problems: &mut Vec<Problem>) {
        let Some(chain) = self.chains.get(source) else {
            return;
        };
        let ChainOrigin::Operator(span) = &chain.origin else {
            return;
        };
        let Some(from) = self.is_lite(source) else {
            return;
        };
        let differs = |model: &&ModelId| self.is_lite(model).is_some_and(|to| to != from);
        // What the list itself mixes has been reported.
        if chain.then.iter().any(|model| differs(&model)) {
            return;
        }
        let added = chain
            .expanded
            .iter()
            .filter(|model| !chain.then.contains(model));
        if let Some(other) = added.into_iter().find(differs) {
            problems.push(Problem::warning(
                span.clone(),
                format!(
                    "this chain continues with that of its last model and then mixes request \
                     formats: {}",
                    shapes(source, other, !from)
                ),
            ));
        }
    }
}
