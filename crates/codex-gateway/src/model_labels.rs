//! Which model ids may be label values of metrics. Clients name models as they like, and must not be
//! able to make series.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use gateway_policy::price::PriceTable;
use gateway_policy::{AuthRoute, ModelId, NoMemory, Policy, Subject};

/// The models of the catalogue, the rules and the price table.
#[derive(Debug, Clone, Default)]
pub struct ModelLabels(HashSet<String>);

impl ModelLabels {
    /// Gathers them, in lower case.
    pub fn new(policy: &Policy, prices: &PriceTable) -> Self {
        let views = policy.models_for(Subject::new(AuthRoute::ApiKey), &NoMemory);
        let named = views
            .iter()
            .flat_map(|view| std::iter::once(&view.model).chain(&view.fallbacks))
            .map(|id| id.folded().to_owned());
        let priced = prices
            .rows()
            .flat_map(|row| std::iter::once(&row.model).chain(&row.snapshots))
            .filter(|id| !id.contains('*'))
            .map(|id| id.to_ascii_lowercase());
        Self(named.chain(priced).collect())
    }

    /// The label of a model: its id in lower case, or `other`.
    pub fn label<'a>(&self, model: &'a ModelId) -> &'a str {
        if self.0.contains(model.folded()) {
            model.folded()
        } else {
            "other"
        }
    }
}

/// Most models without a price that are told apart. Names of more would be series that clients make.
const MAX_UNPRICED: usize = 20;
/// Longer ids are not names that anybody looks for.
const MAX_ID: usize = 100;

/// The label of models without a price. They are rarely in the catalogue, and yet an alert must name
/// them: the first ones of the process have their own id as label.
#[derive(Debug, Default)]
pub struct UnpricedLabels(Mutex<HashSet<String>>);

impl UnpricedLabels {
    /// The id in lower case, or `other`.
    pub fn label<'a>(&self, known: &ModelLabels, model: &'a ModelId) -> &'a str {
        let id = model.folded();
        if known.0.contains(id) {
            return id;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = seen.len() < MAX_UNPRICED && id.len() <= MAX_ID;
        if seen.contains(id) || (has_room && seen.insert(id.to_owned())) {
            id
        } else {
            "other"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unknown_models_have_labels_of_their_own() {
        let (known, labels) = (
            ModelLabels(HashSet::from(["m".to_owned()])),
            UnpricedLabels::default(),
        );
        let id = |text: &str| ModelId::new(text).unwrap();
        let long = id(&"x".repeat(MAX_ID + 1));
        assert_eq!(labels.label(&known, &long), "other");
        for n in 0..MAX_UNPRICED {
            let model = id(&format!("New-{n}"));
            assert_eq!(labels.label(&known, &model), format!("new-{n}"));
        }
        assert_eq!(labels.label(&known, &id("one-too-many")), "other");
        assert_eq!(labels.label(&known, &id("M")), "m");
        assert_eq!(labels.label(&known, &id("new-0")), "new-0");
    }
}
