//! Families of models: what an unknown member costs. Takes per tier and kind of token the dearest
//! rate of the known members, so that a new model is never cheaper in the books than on the bill.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::rate::Rates;
use super::row::{PriceRow, Tier, TierRates};
use crate::model_id::ModelId;
use crate::model_pattern::ModelPattern;

/// Models that cost about the same.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Family {
    pub(super) name: String,
    /// The globs, as written.
    pub(super) models: Vec<String>,
    /// Other families whose members count as well.
    pub(super) like: Vec<String>,
    #[serde(skip)]
    pub(super) patterns: Vec<ModelPattern>,
}

impl Family {
    fn covers(&self, model: &ModelId) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(model))
    }
}

/// The first of `families` that covers a model.
pub(super) fn family_of<'f>(
    mut families: impl Iterator<Item = &'f Family>,
    model: &ModelId,
) -> Option<&'f Family> {
    families.find(|family| family.covers(model))
}

/// Of the rows whose own family counts for `family`, those of that day.
pub(super) fn members<'r, 'f>(
    family: &Family,
    families: &(impl Iterator<Item = &'f Family> + Clone),
    rows: impl Iterator<Item = &'r PriceRow>,
    day: Date,
) -> Vec<&'r PriceRow> {
    rows.filter(|row| row.applies_on(day))
        .filter(|row| {
            let own = ModelId::new(&row.model)
                .ok()
                .and_then(|id| family_of(families.clone(), &id));
            own.is_some_and(|own| own.name == family.name || family.like.contains(&own.name))
        })
        .collect()
}

/// A row for a model of a family, with the dearest rates of its members; `None` without members.
pub(super) fn dearest(model: &ModelId, family: &str, members: &[&PriceRow]) -> Option<PriceRow> {
    let long_context_above = members
        .iter()
        .filter_map(|row| row.long_context_above)
        .min();
    let highest = |tier: Tier, input_tokens: u64| {
        members
            .iter()
            .filter(|row| row.tiers.contains_key(&tier))
            .map(|row| row.applied(Some(tier.as_str()), input_tokens).rates)
            .reduce(Rates::highest)
    };
    let mut tiers = BTreeMap::new();
    for tier in Tier::ALL {
        // A faster tier is at least as dear as the standard one, also where only cheap members
        // have a rate for it.
        let floor = matches!(tier, Tier::Priority | Tier::Ultrafast).then_some(Tier::Standard);
        let rates = |input_tokens: u64| {
            let own = highest(tier, input_tokens)?;
            let floor = floor.and_then(|floor| highest(floor, input_tokens));
            Some(floor.map_or(own, |floor| own.highest(floor)))
        };
        if let Some(base) = rates(0) {
            let long = long_context_above.and_then(|_| rates(u64::MAX));
            tiers.insert(tier, TierRates { base, long });
        }
    }
    tiers.contains_key(&Tier::Standard).then(|| PriceRow {
        model: model.to_string(),
        snapshots: Vec::new(),
        from: None,
        until: None,
        retires: None,
        long_context_above,
        tiers,
        source: format!(
            "no price of its own: per tier and kind of token, the dearest of `{family}`"
        ),
        verified: false,
        remarks: Vec::new(),
        patterns: Vec::new(),
    })
}
