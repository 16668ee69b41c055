//! The price of one model on one day, and whether it is its own.

use std::borrow::Cow;

use super::row::PriceRow;
use crate::model_id::ModelId;

/// What prices a model on a day.
#[derive(Debug, Clone)]
pub struct Quote<'a> {
    /// The row of the table, or one that was derived from others.
    pub row: Cow<'a, PriceRow>,
    /// What the row was derived from, in words; `None` for a price of the model's own.
    pub derived_from: Option<String>,
}

impl<'a> Quote<'a> {
    pub(super) const fn own(row: &'a PriceRow) -> Self {
        Self {
            row: Cow::Borrowed(row),
            derived_from: None,
        }
    }

    pub(super) const fn derived(row: Cow<'a, PriceRow>, from: String) -> Self {
        Self {
            row,
            derived_from: Some(from),
        }
    }
}

/// `gpt-5.4` of `openai/gpt-5.4`: aggregators put a name in front of the provider's own.
pub(super) fn without_prefix(model: &ModelId) -> Option<ModelId> {
    let (_, last) = model.as_str().rsplit_once('/')?;
    ModelId::new(last).ok()
}

/// `gpt-5.4` of `gpt-5.4-2027-01-31`.
pub(super) fn without_date(model: &ModelId) -> Option<ModelId> {
    let (name, date) = model
        .as_str()
        .split_at_checked(model.as_str().len().checked_sub(11)?)?;
    let date: jiff::civil::Date = date.strip_prefix('-')?.parse().ok()?;
    (date.year() >= 2000)
        .then(|| ModelId::new(name).ok())
        .flatten()
}
