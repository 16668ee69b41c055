//! What a model costs per million tokens, and who says so.

use gateway_policy::price::{Rates, TierRates};
use gateway_policy::{ModelId, PriceRow, PriceTable, Tier};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

/// The price of one model, or why there is none.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PriceTag {
    /// USD per million tokens in the standard tier, below the long-context threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_million_tokens: Option<Rates>,
    /// The whole row: tiers, long context, dates, source, remarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<PriceRow>,
    /// What the price was derived from, for a model without one of its own; costs at it are marked
    /// as estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived_from: Option<String>,
    /// Why the usage of this model is counted as unpriced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced: Option<String>,
    /// The version of the price table.
    pub price_version: String,
}

impl PriceTag {
    /// The price that holds on a day.
    pub fn of(prices: &PriceTable, model: &ModelId, day: Date) -> Self {
        let price_version = prices.version().to_owned();
        match prices.quote(model, day) {
            Ok(quote) => Self {
                usd_per_million_tokens: standard(&quote.row).map(|rates| rates.base),
                row: Some(quote.row.into_owned()),
                derived_from: quote.derived_from,
                unpriced: None,
                price_version,
            },
            Err(reason) => Self {
                usd_per_million_tokens: None,
                row: None,
                derived_from: None,
                unpriced: Some(reason.to_string()),
                price_version,
            },
        }
    }

    /// `5 / 0.5 / 30`: input, cached input, output; with `~` in front if it is derived.
    pub fn short(&self) -> String {
        self.usd_per_million_tokens.map_or_else(
            || "unpriced".to_owned(),
            |rates| {
                // As where figures are estimates.
                let about = if self.derived_from.is_some() { "~" } else { "" };
                format!(
                    "{about}{} / {} / {}",
                    rates.input,
                    rates.cached_input(),
                    rates.output
                )
            },
        )
    }

    /// The standard rates above the long-context threshold, with the threshold.
    pub fn long(&self) -> Option<(u64, Rates)> {
        let row = self.row.as_ref()?;
        row.long_context_above.zip(standard(row)?.long)
    }
}

fn standard(row: &PriceRow) -> Option<&TierRates> {
    row.tiers.get(&Tier::Standard)
}

/// Rates in words.
pub fn words(rates: &Rates) -> String {
    let write = rates
        .cache_write
        .map_or_else(String::new, |rate| format!(", cache write {rate}"));
    format!(
        "input {}, cached input {}{write}, output {}",
        rates.input,
        rates.cached_input(),
        rates.output
    )
}
