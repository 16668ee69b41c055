//! One row of a price table: what a model costs, since when, and which rates apply to a request.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::rate::Rates;
use crate::model_pattern::ModelPattern;

gateway_wire::words! {
    /// A service tier that has rates of its own.
    pub enum Tier {
        /// What is billed when the request names no tier.
        Standard = "standard",
        /// Faster and more expensive.
        Priority = "priority",
        /// Slower and cheaper.
        Flex = "flex",
        /// The batch API.
        Batch = "batch",
        /// Fastest and most expensive.
        Ultrafast = "ultrafast",
    }
}

impl Tier {
    /// Reads a tier as requests and answers spell it. `None` for a word that stands for no tier of
    /// this table.
    pub fn from_wire(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            // `auto` is what a request says; an answer names the tier it got.
            "" | "default" | "standard" | "auto" => Some(Self::Standard),
            "priority" | "fast" => Some(Self::Priority),
            "flex" => Some(Self::Flex),
            "batch" | "batches" => Some(Self::Batch),
            "ultrafast" => Some(Self::Ultrafast),
            _ => None,
        }
    }
}

/// The rates of one tier on both sides of the long-context threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TierRates {
    /// Up to and including the threshold.
    pub base: Rates,
    /// Strictly above it, for every token of the request. `None`: the table names no such rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<Rates>,
}

/// One row of the table: what a model costs, since when, and who says so.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PriceRow {
    /// The id or glob, as written.
    pub model: String,
    /// Dated ids that cost the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// First day on which the row applies; `None`: always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// Last day on which the row applies; `None`: still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// Day on which the model is said to be retired. Information only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retires: Option<Date>,
    /// More input tokens than this, cached ones included, re-rate the whole request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_context_above: Option<u64>,
    /// Rates by tier; [`Tier::Standard`] is always there.
    pub tiers: BTreeMap<Tier, TierRates>,
    /// Where the figures come from.
    pub source: String,
    /// Whether the row was compared with the provider's own page.
    pub verified: bool,
    /// Figures of other sources and notes, each with its date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    #[serde(skip)]
    pub(super) patterns: Vec<ModelPattern>,
}

/// The rates that apply to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What each kind of token costs.
    pub rates: Rates,
    /// The tier whose rates these are.
    pub tier: Tier,
    /// Whether the request is above the long-context threshold.
    pub long_context: bool,
    /// Whether the table has no rate for exactly this case, so that the nearest higher rate is used
    /// instead.
    pub estimated: bool,
}

impl PriceRow {
    pub(super) fn applies_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }

    /// Whether both apply on some day.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        // A row with a later `from` takes over from an open-ended one, so only equal beginnings
        // collide.
        if self.from == other.from {
            return true;
        }
        let (first, second) = if self.from < other.from {
            (self, other)
        } else {
            (other, self)
        };
        match (first.until, second.from) {
            (Some(until), Some(from)) => until >= from,
            (None, _) | (Some(_), None) => false,
        }
    }

    /// The rates for a request; `word` is the tier as the wire spells it.
    pub(super) fn applied(&self, word: Option<&str>, input_tokens: u64) -> Applied {
        let asked = word.map_or(Some(Tier::Standard), Tier::from_wire);
        let own = asked.and_then(|tier| self.tiers.get(&tier).map(|rates| (tier, rates)));
        let standard = self.tiers.get(&Tier::Standard);
        let long_context = self
            .long_context_above
            .is_some_and(|above| input_tokens > above);
        let (tier, rates, known) = match (own, standard) {
            (Some((tier, rates)), _) => (tier, rates, true),
            (None, Some(rates)) => (Tier::Standard, rates, false),
            // A row without standard rates does not parse.
            (None, None) => (
                Tier::Standard,
                &TierRates {
                    base: Rates::FREE,
                    long: None,
                },
                false,
            ),
        };
        if !long_context {
            return Applied {
                rates: rates.base,
                tier,
                long_context,
                estimated: !known,
            };
        }
        if let Some(long) = rates.long {
            return Applied {
                rates: long,
                tier,
                long_context,
                estimated: !known,
            };
        }
        // No such rate in the table. The higher of the tier's own short rate and the standard long
        // rate is used instead, so that a gap in the table does not overrun a budget.
        let stand_in = standard.and_then(|standard| standard.long);
        let rates = stand_in.map_or(rates.base, |long| rates.base.highest(long));
        Applied {
            rates,
            tier,
            long_context,
            estimated: true,
        }
    }
}
