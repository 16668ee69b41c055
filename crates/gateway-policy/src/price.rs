//! Turns usage into money: a price table read from TOML, and exact integer arithmetic over it.
//!
//! Rates are decimal strings per million tokens and are kept as whole pico-dollars per token; a
//! cost is summed in 128 bits and rounded half up once, to nano-dollars. Nothing here multiplies a
//! rate to get another one, or takes a missing price for zero. An unknown model of a known family
//! costs what the dearest of the family costs, and is marked as estimated.
//!
//! To add a price: add one `[[price]]` row to `config/prices.toml`. Nothing else changes.

mod family;
mod fee;
mod layer;
mod parse;
mod quote;
mod rate;
mod row;
mod spec;

use std::borrow::Cow;
use std::sync::Arc;

use gateway_wire::Usage;
use jiff::civil::Date;

use crate::model_id::ModelId;
use crate::problem::Problem;
use family::{dearest, family_of, members};
use fee::tool_cost;
use layer::{Layer, short_hash};
use quote::{without_date, without_prefix};

pub use layer::UnpricedReason;
pub use quote::Quote;
pub use rate::{Rate, RateError, Rates};
pub use row::{Applied, PriceRow, Tier, TierRates};

/// The built-in price table, as shipped in `config/prices.toml`.
pub const BUILTIN_PRICES: &str = include_str!("../../../config/prices.toml");

gateway_wire::words! {
    /// The two kinds of money. They are never added together.
    pub enum Billing {
        /// Cost that an API bill will show.
        Metered = "metered",
        /// What usage covered by a ChatGPT plan would have cost at API prices.
        Plan = "plan",
    }
}

/// The service tier by which a request is billed, as the wire spells it: the tier that the answer
/// names, else the requested one. A ChatGPT upstream names `default` even for the fast tier, so that
/// under a plan only the requested one counts.
pub fn billed_tier<'a>(
    billing: Billing,
    requested: Option<&'a str>,
    served: Option<&'a str>,
) -> Option<&'a str> {
    match billing {
        Billing::Plan => requested,
        Billing::Metered => served.or(requested),
    }
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
    /// The table has no price, which is not the same as free.
    Unpriced {
        /// Why there is no price.
        reason: UnpricedReason,
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

/// A price table, perhaps an operator's over the built-in one.
///
/// ```
/// use gateway_policy::price::BUILTIN_PRICES;
/// use gateway_policy::{ModelId, PriceTable};
/// use gateway_wire::Usage;
///
/// let (table, problems) = PriceTable::parse(
///     r#"
///     [[price]]
///     model = "house-1"
///     standard = { input = "2", cached_input = "0.5", output = "8" }
///     source = "the invoice of November 2026"
///     "#,
/// );
/// assert_eq!(problems, []);
/// let base = PriceTable::parse(BUILTIN_PRICES).0.unwrap();
/// let prices = PriceTable::overlay(&base, &table.unwrap());
///
/// // Input, of which cached and written to the cache; output, of which reasoning.
/// let usage = Usage::new(1_000, 400, 0, 100, 0).unwrap();
/// let model = ModelId::new("house-1")?;
/// let cost = prices.cost(&model, usage, None, jiff::civil::date(2026, 11, 27));
/// assert_eq!(cost.nanos(), Some(600 * 2_000 + 400 * 500 + 100 * 8_000));
/// # Ok::<(), gateway_policy::ModelIdError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PriceTable {
    /// The operator's first.
    layers: Arc<[Layer]>,
    version: String,
}

impl PriceTable {
    /// Reads a price file. `None` when there are problems; all of them are listed.
    pub fn parse(text: &str) -> (Option<Self>, Vec<Problem>) {
        let (layer, problems) = parse::layer(text);
        let table = layer.map(|layer| Self {
            version: layer.digest.clone(),
            layers: [layer].into(),
        });
        (table, problems)
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

    /// What prices a model on a day; what `models` and `explain` show. An id that the table does not
    /// have is looked up by its last part after `/`, then without a date at its end, then as a
    /// member of a family; the last two are derived prices.
    ///
    /// # Errors
    /// Why the table has no price for the model on that day.
    pub fn quote(&self, model: &ModelId, at: Date) -> Result<Quote<'_>, UnpricedReason> {
        let mut reason = match self.find(model, at) {
            Ok(row) => return Ok(Quote::own(row)),
            Err(why @ UnpricedReason::NoPublishedPrice(_)) => return Err(why),
            Err(why) => why,
        };
        let last = without_prefix(model);
        if let Some(last) = &last {
            match self.find(last, at) {
                Ok(row) => return Ok(Quote::own(row)),
                Err(why @ UnpricedReason::NoPublishedPrice(_)) => return Err(why),
                Err(UnpricedReason::NotOnThatDay) => reason = UnpricedReason::NotOnThatDay,
                Err(UnpricedReason::UnknownModel | UnpricedReason::OutOfRange) => {}
            }
        }
        let plain = last.as_ref().unwrap_or(model);
        if let Some(undated) = without_date(plain)
            && let Ok(row) = self.find(&undated, at)
        {
            let from = format!("`{undated}`");
            return Ok(Quote::derived(Cow::Borrowed(row), from));
        }
        self.derived(plain, at).ok_or(reason)
    }

    /// The row that names a model or has a glob for it.
    fn find(&self, model: &ModelId, at: Date) -> Result<&PriceRow, UnpricedReason> {
        let alias = self
            .layers
            .iter()
            .find_map(|layer| layer.aliases.get(model.folded()));
        let resolved = alias.and_then(|target| ModelId::new(target).ok());
        let model = resolved.as_ref().unwrap_or(model);
        let mut reason = UnpricedReason::UnknownModel;
        for layer in self.layers.iter() {
            match layer.find(model, at) {
                Ok(row) => return Ok(row),
                Err(UnpricedReason::NoPublishedPrice(why)) => {
                    return Err(UnpricedReason::NoPublishedPrice(why));
                }
                Err(UnpricedReason::NotOnThatDay) => reason = UnpricedReason::NotOnThatDay,
                Err(UnpricedReason::UnknownModel | UnpricedReason::OutOfRange) => {}
            }
        }
        Err(reason)
    }

    /// The price of an unknown member of a family.
    fn derived(&self, model: &ModelId, at: Date) -> Option<Quote<'_>> {
        let families = self.layers.iter().flat_map(|layer| layer.families.iter());
        let family = family_of(families.clone(), model)?;
        let members = members(family, &families, self.rows(), at);
        let row = dearest(model, &family.name, &members)?;
        let from = format!("the dearest of the family `{}`", family.name);
        Some(Quote::derived(Cow::Owned(row), from))
    }

    /// The rates for a request with `input_tokens` (cached ones included). `tier` is a word of the
    /// wire; an unknown word and a tier without rates are charged as standard and marked estimated,
    /// and so is every derived price.
    ///
    /// # Errors
    /// Why the table has no price for the model on that day.
    pub fn lookup(
        &self,
        model: &ModelId,
        at: Date,
        tier: Option<&str>,
        input_tokens: u64,
    ) -> Result<Applied, UnpricedReason> {
        let quote = self.quote(model, at)?;
        let applied = quote.row.applied(tier, input_tokens);
        Ok(Applied {
            estimated: applied.estimated || quote.derived_from.is_some(),
            ..applied
        })
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
                reason: UnpricedReason::OutOfRange,
            },
        }
    }

    /// What a request costs with the tools that the upstream ran itself: words of
    /// [`BilledTool`](gateway_wire::hosted_tools::BilledTool) with their counts. A tool without a
    /// fee makes the cost an estimate.
    pub fn cost_with_tools<'t>(
        &self,
        model: &ModelId,
        usage: Usage,
        tools: impl Iterator<Item = (&'t str, u64)>,
        tier: Option<&str>,
        at: Date,
    ) -> Pricing {
        let priced = self.cost(model, usage, tier, at);
        let Pricing::Priced {
            nanos,
            tier_used,
            long_context,
            estimated,
        } = priced
        else {
            return priced;
        };
        let fees = self.layers.iter().flat_map(|layer| layer.fees.iter());
        let plain = without_prefix(model);
        let cost = tool_cost(&fees, plain.as_ref().unwrap_or(model), tools);
        match cost.and_then(|cost| Some((nanos.checked_add(cost.nanos)?, cost.is_estimated))) {
            Some((nanos, is_estimated)) => Pricing::Priced {
                nanos,
                tier_used,
                long_context,
                estimated: estimated || is_estimated,
            },
            None => Pricing::Unpriced {
                reason: UnpricedReason::OutOfRange,
            },
        }
    }
}

#[cfg(test)]
mod tests;
