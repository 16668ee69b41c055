//! One price file, indexed by model. Finds rows; computes no cost.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::family::Family;
use super::fee::Fee;
use super::row::PriceRow;
use crate::model_id::ModelId;

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpricedReason {
    /// No row covers the id.
    #[error("no price is known for this model")]
    UnknownModel,
    /// Rows cover the id, but none on that day.
    #[error("no price is known for this model on that day")]
    NotOnThatDay,
    /// The table says that no price is published.
    #[error("{0}")]
    NoPublishedPrice(String),
    /// The sum does not fit a 64-bit count of nano-dollars.
    #[error("the cost is out of range")]
    OutOfRange,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) rows: Vec<PriceRow>,
    /// Folded id → indexes into `rows`, newest `from` first.
    pub(super) exact: HashMap<String, Vec<usize>>,
    /// Rows with at least one glob, in file order.
    pub(super) globs: Vec<usize>,
    /// Folded id → folded id.
    pub(super) aliases: BTreeMap<String, String>,
    /// Folded id → why no price is published.
    pub(super) unpriced: BTreeMap<String, String>,
    /// In file order; the first that covers a model counts.
    pub(super) families: Vec<Family>,
    /// In file order; the first that fits a tool and a model counts.
    pub(super) fees: Vec<Fee>,
    pub(super) digest: String,
}

impl Layer {
    pub(super) fn find(&self, model: &ModelId, at: Date) -> Result<&PriceRow, UnpricedReason> {
        let exact = self.exact.get(model.folded());
        let mut candidates = exact
            .into_iter()
            .flatten()
            .filter_map(|index| self.rows.get(*index));
        if let Some(row) = candidates.find(|row| row.applies_on(at)) {
            return Ok(row);
        }
        if let Some(why) = self.unpriced.get(model.folded()) {
            return Err(UnpricedReason::NoPublishedPrice(why.clone()));
        }
        let globs = self.globs.iter().filter_map(|index| self.rows.get(*index));
        let mut matching = globs
            .filter(|row| row.patterns.iter().any(|pattern| pattern.matches(model)))
            .peekable();
        let known = exact.is_some() || matching.peek().is_some();
        match matching.find(|row| row.applies_on(at)) {
            Some(row) => Ok(row),
            None if known => Err(UnpricedReason::NotOnThatDay),
            None => Err(UnpricedReason::UnknownModel),
        }
    }

    /// Adds a row. Returns the models that have two prices for the same day with it.
    pub(super) fn add_row(&mut self, row: PriceRow) -> Vec<String> {
        let at = self.rows.len();
        let mut overlaps = Vec::new();
        for pattern in row.patterns.iter().filter(|pattern| pattern.is_exact()) {
            let folded = pattern.as_str().to_ascii_lowercase();
            let rows = self.exact.entry(folded).or_default();
            let mut earlier = rows.iter().filter_map(|at| self.rows.get(*at));
            if earlier.any(|other| other.overlaps(&row)) {
                overlaps.push(pattern.as_str().to_owned());
            }
            rows.push(at);
        }
        if row.patterns.iter().any(|pattern| !pattern.is_exact()) {
            self.globs.push(at);
        }
        self.rows.push(row);
        overlaps
    }

    /// Sorts the rows of each model and computes the digest, once all rows are there.
    pub(super) fn finish(&mut self) {
        for indexes in self.exact.values_mut() {
            indexes.sort_by_key(|index| {
                std::cmp::Reverse(self.rows.get(*index).and_then(|row| row.from))
            });
        }
        let content = (
            &self.rows,
            &self.aliases,
            &self.unpriced,
            &self.families,
            &self.fees,
        );
        // Plain structs of strings, numbers and string-keyed maps always serialise.
        self.digest = short_hash(&serde_json::to_vec(&content).unwrap_or_default());
    }
}

/// The first six bytes of the SHA-256 digest, as hex.
pub(super) fn short_hash(bytes: &[u8]) -> String {
    let head = Sha256::digest(bytes)
        .iter()
        .take(6)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{head:012x}")
}
