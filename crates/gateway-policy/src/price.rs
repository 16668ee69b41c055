//! Turns usage into money: a price table read from TOML, and exact integer arithmetic over it.
//!
//! Rates are decimal strings per million tokens and are kept as whole pico-dollars per token; a
//! cost is summed in 128 bits and rounded half up once, to nano-dollars. Nothing here multiplies a
//! rate to get another one, guesses the price of an unknown model, or takes a missing price for
//! zero.
//!
//! To add a price: add one `[[price]]` row to `config/prices.toml`. Nothing else changes.

mod parse;
mod rate;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateway_wire::Usage;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model_id::{ModelId, ModelPattern};

pub use rate::{Rate, RateError, Rates};

/// The built-in price table, as shipped in `config/prices.toml`.
pub const BUILTIN_PRICES: &str = include_str!("../../../config/prices.toml");

/// The two kinds of money. They are never added together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// Money that an API bill will show.
    Metered,
    /// What usage covered by a ChatGPT plan would have cost at API prices.
    Plan,
}

impl Billing {
    /// The word used in the ledger, in labels and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metered => "metered",
            Self::Plan => "plan",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Metered, Self::Plan]
            .into_iter()
            .find(|billing| billing.as_str() == word)
    }
}

/// A service tier that has rates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// What is billed when nothing else was asked for.
    Standard,
    /// Faster, dearer.
    Priority,
    /// Slower, cheaper.
    Flex,
    /// The batch API.
    Batch,
    /// Fastest, dearest.
    Ultrafast,
}

impl Tier {
    /// All tiers, in the order they are documented.
    pub const ALL: [Self; 5] = [
        Self::Standard,
        Self::Priority,
        Self::Flex,
        Self::Batch,
        Self::Ultrafast,
    ];

    /// The key used in the price file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Priority => "priority",
            Self::Flex => "flex",
            Self::Batch => "batch",
            Self::Ultrafast => "ultrafast",
        }
    }

    /// Reads a tier as requests and answers spell it. `None` for a word that this table knows no
    /// tier for.
    pub fn parse(word: &str) -> Option<Self> {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierRates {
    /// Up to and including the threshold.
    pub base: Rates,
    /// Strictly above it, for every token of the request. `None`: the table names no such rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<Rates>,
}

/// One row of the table: what a model costs, since when, and who says so.
#[derive(Debug, Clone, Serialize)]
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
    /// Where the figures come from, stated as what it is.
    pub source: String,
    /// Whether somebody compared the row with the provider's own page.
    pub verified: bool,
    /// Figures of other sources and notes, each with its date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    #[serde(skip)]
    patterns: Vec<ModelPattern>,
}

impl PriceRow {
    fn applies_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until)
    }
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
    /// Whether the table has no rate for exactly this case, so that the nearest dearer one stands
    /// in.
    pub estimated: bool,
}

/// What a request costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pricing {
    /// The table has a price.
    Priced {
        /// USD × 10⁻⁹, rounded half up once.
        nanos: i64,
        /// The tier that was charged.
        tier_used: Tier,
        /// Whether the long-context rates applied.
        long_context: bool,
        /// Whether a stand-in rate was used, see [`Applied::estimated`].
        estimated: bool,
    },
    /// The table has none. Not the same as free.
    Unpriced {
        /// Why.
        reason: Unpriced,
    },
}

impl Pricing {
    /// The cost in nano-dollars, `None` when unpriced.
    pub const fn nanos(&self) -> Option<i64> {
        match self {
            Self::Priced { nanos, .. } => Some(*nanos),
            Self::Unpriced { .. } => None,
        }
    }
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    /// No row covers the id.
    #[error("no price is known for this model")]
    UnknownModel,
    /// Rows cover the id, but none on that day.
    #[error("no price is known for this model on that day")]
    NotOnThatDay,
    /// The table says that nobody publishes a price.
    #[error("{0}")]
    NoPublishedPrice(String),
    /// The sum does not fit a 64-bit count of nano-dollars.
    #[error("the cost is out of range")]
    OutOfRange,
}

/// A price table, perhaps an operator's over the built-in one.
#[derive(Debug, Clone)]
pub struct PriceTable {
    /// The operator's first.
    layers: Arc<[Layer]>,
    version: String,
}

#[derive(Debug, Clone, Default)]
struct Layer {
    rows: Vec<PriceRow>,
    /// Folded id → indexes into `rows`, newest `from` first.
    exact: HashMap<String, Vec<usize>>,
    /// Rows with at least one glob, in file order.
    globs: Vec<usize>,
    /// Folded id → folded id.
    aliases: BTreeMap<String, String>,
    /// Folded id → why nobody publishes a price.
    unpriced: BTreeMap<String, String>,
    digest: String,
}

/// Something wrong in a price file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceProblem {
    /// Byte range in the file.
    pub span: std::ops::Range<usize>,
    /// What is wrong, lower case, no final dot.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl PriceTable {
    /// Reads a price file. `None` when there are problems; all of them are listed.
    pub fn parse(text: &str) -> (Option<Self>, Vec<PriceProblem>) {
        let (layer, problems) = parse::layer(text);
        (
            layer.map(|layer| Self {
                version: layer.digest.clone(),
                layers: [layer].into(),
            }),
            problems,
        )
    }

    /// Puts an operator's table over a base table. A row of the operator's replaces the base's
    /// whole row for that model; a glob of the operator's outranks an exact row of the base.
    #[must_use]
    pub fn overlay(base: &Self, operator: &Self) -> Self {
        let layers: Arc<[Layer]> = operator
            .layers
            .iter()
            .chain(base.layers.iter())
            .cloned()
            .collect();
        let all: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
        Self {
            version: short_hash(all.join("+").as_bytes()),
            layers,
        }
    }

    /// A short hash of everything in the table that can change a cost or its provenance; comments
    /// and order of keys do not.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All rows, the operator's first.
    pub fn rows(&self) -> impl Iterator<Item = &PriceRow> {
        self.layers.iter().flat_map(|layer| layer.rows.iter())
    }

    /// The row that prices a model on a day; what `models` and `explain` show.
    pub fn quote(&self, model: &ModelId, at: Date) -> Result<&PriceRow, Unpriced> {
        let alias = self
            .layers
            .iter()
            .find_map(|layer| layer.aliases.get(model.folded()));
        let resolved = alias.and_then(|target| ModelId::new(target).ok());
        let model = resolved.as_ref().unwrap_or(model);
        let mut reason = Unpriced::UnknownModel;
        for layer in self.layers.iter() {
            match layer.find(model, at) {
                Ok(row) => return Ok(row),
                Err(Unpriced::NoPublishedPrice(why)) => {
                    return Err(Unpriced::NoPublishedPrice(why));
                }
                Err(Unpriced::NotOnThatDay) => reason = Unpriced::NotOnThatDay,
                Err(Unpriced::UnknownModel | Unpriced::OutOfRange) => {}
            }
        }
        Err(reason)
    }

    /// The rates for a request with `input_tokens` (cached ones included). `tier` is a word of the
    /// wire; an unknown word and a tier without rates are charged as standard and marked estimated.
    pub fn lookup(
        &self,
        model: &ModelId,
        at: Date,
        tier: Option<&str>,
        input_tokens: u64,
    ) -> Result<Applied, Unpriced> {
        self.quote(model, at)
            .map(|row| row.applied(tier, input_tokens))
    }

    /// What a request costs. `tier` as in [`PriceTable::lookup`].
    pub fn cost(&self, model: &ModelId, usage: Usage, tier: Option<&str>, at: Date) -> Pricing {
        let applied = match self.lookup(model, at, tier, usage.input()) {
            Ok(applied) => applied,
            Err(reason) => return Pricing::Unpriced { reason },
        };
        match applied.rates.charge(usage) {
            Some(nanos) => Pricing::Priced {
                nanos,
                tier_used: applied.tier,
                long_context: applied.long_context,
                estimated: applied.estimated,
            },
            None => Pricing::Unpriced {
                reason: Unpriced::OutOfRange,
            },
        }
    }
}

impl PriceRow {
    fn applied(&self, word: Option<&str>, input_tokens: u64) -> Applied {
        let asked = word.map_or(Some(Tier::Standard), Tier::parse);
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
        // No such rate in the table. The dearer of the tier's own short rate and the standard long
        // rate stands in, so that a budget is not overrun by a gap in the table.
        let stand_in = standard.and_then(|standard| standard.long);
        let rates = stand_in.map_or(rates.base, |long| rates.base.dearer(long));
        Applied {
            rates,
            tier,
            long_context,
            estimated: true,
        }
    }
}

impl Layer {
    fn find(&self, model: &ModelId, at: Date) -> Result<&PriceRow, Unpriced> {
        let exact = self.exact.get(model.folded());
        let mut candidates = exact
            .into_iter()
            .flatten()
            .filter_map(|index| self.rows.get(*index));
        if let Some(row) = candidates.find(|row| row.applies_on(at)) {
            return Ok(row);
        }
        if let Some(why) = self.unpriced.get(model.folded()) {
            return Err(Unpriced::NoPublishedPrice(why.clone()));
        }
        let globs = self.globs.iter().filter_map(|index| self.rows.get(*index));
        let mut matching = globs
            .filter(|row| row.patterns.iter().any(|pattern| pattern.matches(model)))
            .peekable();
        let known = exact.is_some() || matching.peek().is_some();
        match matching.find(|row| row.applies_on(at)) {
            Some(row) => Ok(row),
            None if known => Err(Unpriced::NotOnThatDay),
            None => Err(Unpriced::UnknownModel),
        }
    }
}

fn short_hash(bytes: &[u8]) -> String {
    let head = Sha256::digest(bytes)
        .iter()
        .take(6)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{head:012x}")
}

#[cfg(test)]
mod tests;
