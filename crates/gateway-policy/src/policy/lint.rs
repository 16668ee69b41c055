//! Suspicions: configurations that compile and probably mean something else. Only warns; errors are
//! found while compiling.

mod chains;
mod rules;

use std::ops::Range;

use super::{Policy, PolicyInput};
use crate::catalog::ModelEntry;
use crate::model_id::ModelId;
use crate::problem::{Problem, did_you_mean};
use crate::rule::Rule;

impl Policy {
    /// Adds what looks wrong in the operator's part. Built-in rules and chains are tested with the
    /// data file itself.
    pub(super) fn lint(&self, input: &PolicyInput, problems: &mut Vec<Problem>) {
        self.lint_rules(input, problems);
        self.lint_chains(input, problems);
    }

    /// Whether a model is asked as Responses-Lite; `None` when the catalogue does not know it.
    fn is_lite(&self, model: &ModelId) -> Option<bool> {
        self.catalog.entry(model).map(ModelEntry::is_lite)
    }

    fn is_known(&self, model: &ModelId, input: &PolicyInput) -> bool {
        let by_rule = |rule: &Rule| {
            let patterns = rule.conditions.models().unwrap_or_default();
            patterns
                .iter()
                .any(|pattern| !pattern.is_any() && pattern.matches(model))
        };
        self.catalog.entry(model).is_some()
            || input.known_models.contains(model)
            || self.rules.iter().any(by_rule)
    }

    /// That nothing known has this id, which is probably misspelt.
    fn unknown_model(&self, model: &ModelId, span: Option<Range<usize>>) -> Problem {
        let similar = did_you_mean(
            model.as_str(),
            self.catalog.entries().iter().map(|entry| entry.id.as_str()),
        );
        Problem::warning(span, format!("`{model}` is not in any catalogue or rule"))
            .with_hint(similar)
    }
}

fn shapes(from: &ModelId, to: &ModelId, target_is_lite: bool) -> String {
    let (lite, plain) = if target_is_lite {
        (to, from)
    } else {
        (from, to)
    };
    format!(
        "`{lite}` uses Responses-Lite, `{plain}` does not, and an upstream may refuse the other \
         format"
    )
}
