//! A price file as TOML. Checks nothing; see `parse.rs`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_spanned::Spanned;

use super::row::Tier;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpec {
    #[serde(default)]
    pub(super) aliases: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    pub(super) price: Vec<RowSpec>,
    #[serde(default)]
    pub(super) unpriced: Vec<UnpricedSpec>,
    #[serde(default)]
    pub(super) family: Vec<FamilySpec>,
    #[serde(default)]
    pub(super) fee: Vec<FeeSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowSpec {
    pub(super) model: Spanned<String>,
    #[serde(default)]
    pub(super) snapshots: Vec<Spanned<String>>,
    pub(super) from: Option<Spanned<String>>,
    pub(super) until: Option<Spanned<String>>,
    pub(super) retires: Option<Spanned<String>>,
    pub(super) standard: Spanned<RatesSpec>,
    pub(super) priority: Option<Spanned<RatesSpec>>,
    pub(super) flex: Option<Spanned<RatesSpec>>,
    pub(super) batch: Option<Spanned<RatesSpec>>,
    pub(super) ultrafast: Option<Spanned<RatesSpec>>,
    pub(super) long_context: Option<LongSpec>,
    pub(super) source: Spanned<String>,
    #[serde(default)]
    pub(super) verified: bool,
    #[serde(default)]
    pub(super) remarks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongSpec {
    pub(super) above: Spanned<u64>,
    pub(super) standard: Option<Spanned<RatesSpec>>,
    pub(super) priority: Option<Spanned<RatesSpec>>,
    pub(super) flex: Option<Spanned<RatesSpec>>,
    pub(super) batch: Option<Spanned<RatesSpec>>,
    pub(super) ultrafast: Option<Spanned<RatesSpec>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatesSpec {
    pub(super) input: Spanned<String>,
    pub(super) cached_input: Option<Spanned<String>>,
    pub(super) cache_write: Option<Spanned<String>>,
    pub(super) output: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnpricedSpec {
    pub(super) models: Vec<Spanned<String>>,
    pub(super) why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeeSpec {
    pub(super) tool: Spanned<String>,
    pub(super) models: Vec<Spanned<String>>,
    pub(super) per_thousand: Spanned<String>,
    #[serde(default)]
    pub(super) estimated: bool,
    pub(super) source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FamilySpec {
    pub(super) name: Spanned<String>,
    pub(super) models: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) like: Vec<String>,
}

/// What a file says of each tier.
pub(super) type TierSpecs<'a> = [(Tier, Option<&'a Spanned<RatesSpec>>); Tier::ALL.len()];

impl RowSpec {
    pub(super) fn tiers(&self) -> TierSpecs<'_> {
        [
            (Tier::Standard, Some(&self.standard)),
            (Tier::Priority, self.priority.as_ref()),
            (Tier::Flex, self.flex.as_ref()),
            (Tier::Batch, self.batch.as_ref()),
            (Tier::Ultrafast, self.ultrafast.as_ref()),
        ]
    }
}

impl LongSpec {
    pub(super) fn tiers(&self) -> TierSpecs<'_> {
        [
            (Tier::Standard, self.standard.as_ref()),
            (Tier::Priority, self.priority.as_ref()),
            (Tier::Flex, self.flex.as_ref()),
            (Tier::Batch, self.batch.as_ref()),
            (Tier::Ultrafast, self.ultrafast.as_ref()),
        ]
    }
}
