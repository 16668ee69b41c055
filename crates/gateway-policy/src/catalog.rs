//! What is said about models, by whom and when. Later statements win, earlier ones stay visible.
//! Decides nothing.
//!
//! The statements live in a data file; an operator's file of the same form can overlay it and wins
//! whatever its dates. To add a statement, add it to a `[[model.says]]` block with its source. To
//! add a kind of statement, add one line to `statements!` in `catalog/entry.rs`.

mod entry;
mod read;
mod spec;
mod statement_schema;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model_id::ModelId;
use crate::model_pattern::ModelPattern;
use crate::rule::RuleSpec;

pub use entry::{
    DatedValue, LifecycleStatus, ModelEntry, Picker, PrintedPrice, SourceDocument, Sourced,
    StatementSpec,
};

/// A rule that comes with the catalogue, after the operator's.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltInRule {
    /// The rule as data.
    pub spec: RuleSpec,
    /// The short name of its source.
    pub source: Arc<str>,
    /// When that source said so.
    pub date: Arc<str>,
    /// Models to name in a rejection before all others.
    pub instead: Vec<ModelId>,
}

/// A fallback chain that comes with the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltInChain {
    /// The refused model.
    pub model: ModelId,
    /// What is tried, in order.
    pub then: Vec<ModelId>,
    /// The short name of its source.
    pub source: Arc<str>,
    /// When that source said so.
    pub date: Arc<str>,
}

/// A statement about no model in particular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct GeneralStatement {
    /// What is said.
    pub text: String,
    /// What the gateway does about it.
    pub consequence: String,
    /// The short name of the source.
    #[schema(value_type = String)]
    pub source: Arc<str>,
    /// When it said so.
    #[schema(value_type = String)]
    pub date: Arc<str>,
}

/// Everything the data files say.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    sources: Vec<SourceDocument>,
    entries: Vec<ModelEntry>,
    by_id: HashMap<Arc<str>, usize>,
    rules: Vec<BuiltInRule>,
    chains: Vec<BuiltInChain>,
    general: Vec<GeneralStatement>,
    /// The statements of each data file, kept so that another file can overlay them.
    layers: Vec<spec::StatementLayer>,
}

impl Catalog {
    /// All sources, in the order of the data files.
    pub fn sources(&self) -> &[SourceDocument] {
        &self.sources
    }

    /// A source by its short name.
    pub fn source(&self, id: &str) -> Option<&SourceDocument> {
        self.sources.iter().find(|source| &*source.id == id)
    }

    /// All entries, in the order of the data files.
    pub fn entries(&self) -> &[ModelEntry] {
        &self.entries
    }

    /// What is said about a model.
    pub fn entry(&self, model: &ModelId) -> Option<&ModelEntry> {
        self.by_id
            .get(model.folded())
            .and_then(|at| self.entries.get(*at))
    }

    /// The entries that a pattern covers.
    pub fn covered<'a>(
        &'a self,
        pattern: &'a ModelPattern,
    ) -> impl Iterator<Item = &'a ModelEntry> {
        self.entries
            .iter()
            .filter(|entry| pattern.matches(&entry.id))
    }

    /// The rules that come after the operator's.
    pub fn rules(&self) -> &[BuiltInRule] {
        &self.rules
    }

    /// The chains that hold where the operator names none.
    pub fn chains(&self) -> &[BuiltInChain] {
        &self.chains
    }

    /// Statements about no model in particular.
    pub fn general_statements(&self) -> &[GeneralStatement] {
        &self.general
    }
}
