//! Which model ids may be label values of metrics. Clients name models as they like, and must not be
//! able to make series.

use std::collections::HashSet;

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
