//! The data file as TOML. Checks nothing; see `read.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use serde_spanned::Spanned;

use super::entry::{SourceDocument, StatementSpec};
use crate::rule::RuleSpec;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogToml {
    #[serde(default)]
    pub(super) sources: BTreeMap<Spanned<String>, SourceSpec>,
    #[serde(default, rename = "model")]
    pub(super) models: Vec<ModelSpec>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<BuiltInRuleSpec>,
    #[serde(default, rename = "fallback")]
    pub(super) chains: Vec<ChainSpec>,
    #[serde(default, rename = "fact")]
    pub(super) facts: Vec<GeneralStatementSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceSpec {
    pub(super) title: String,
    pub(super) date: Spanned<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelSpec {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) says: Vec<StatementSpec>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuiltInRuleSpec {
    pub(super) source: Spanned<String>,
    #[serde(default)]
    pub(super) instead: Vec<Spanned<String>>,
    pub(super) rule: RuleSpec,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainSpec {
    pub(super) source: Spanned<String>,
    pub(super) model: Spanned<String>,
    pub(super) then: Vec<Spanned<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneralStatementSpec {
    pub(super) source: Spanned<String>,
    pub(super) text: String,
    pub(super) consequence: String,
}

/// One file's statements, kept so that another file can overlay them.
#[derive(Debug, Clone)]
pub(super) struct StatementLayer {
    pub(super) models: Vec<ModelSpec>,
    /// The sources by the short name used in this file.
    pub(super) sources: HashMap<String, Arc<SourceDocument>>,
}
