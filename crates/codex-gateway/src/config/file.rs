//! The whole configuration file as written: one field per section.

use std::collections::BTreeMap;

use gateway_policy::error_pattern::ErrorPatternSpec;
use gateway_policy::lenient_parse;
use gateway_policy::problem::Problem;
use gateway_policy::rule::RuleSpec;
use gateway_policy::upstream::UpstreamSpec;
use gateway_policy::{FallbackSpec, RoutesSpec};
use serde::Deserialize;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use super::common_mistakes;
use super::sections::admin::AdminSpec;
use super::sections::catalog::CatalogSpec;
use super::sections::log::LogSpec;
use super::sections::models::ModelsSpec;
use super::sections::prices::PricesSpec;
use super::sections::server::ServerSpec;
use super::sections::storage::StorageSpec;
use super::sections::upstreams::{self, BUILT_IN};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    pub server: ServerSpec,
    pub admin: AdminSpec,
    pub storage: StorageSpec,
    pub catalog: CatalogSpec,
    pub log: LogSpec,
    pub upstreams: BTreeMap<Spanned<String>, UpstreamSpec>,
    pub routes: RoutesSpec,
    pub rules: Vec<Spanned<RuleSpec>>,
    pub fallback: FallbackSpec,
    pub error_patterns: Vec<Spanned<ErrorPatternSpec>>,
    pub prices: PricesSpec,
    pub models: ModelsSpec,
}

/// Reads a file's text; what it does not say about the built-in upstreams and routes is filled in.
pub fn read(text: &str) -> (Option<ConfigFile>, Vec<Problem>) {
    // The built-in text is placed behind the file's, so that no span means both.
    let built_in = format!("{:length$}{BUILT_IN}", "", length = text.len());
    let mut written = Vec::new();
    let (mut file, problems) = lenient_parse::parse::<ConfigFile>(text, |table, mistakes| {
        written = upstream_names(table);
        common_mistakes::find(table, mistakes);
        let (built_in, _) = DeTable::parse_recoverable(&built_in);
        complete(table, built_in.into_inner());
    });
    // A section that could not be read has been reported; rules and routes that name it are right.
    for name in written {
        if let Some(file) = &mut file
            && !file.upstreams.contains_key(name.get_ref().as_str())
        {
            file.upstreams
                .extend(upstreams::stand_in().map(|spec| (name, spec)));
        }
    }
    (file, problems)
}

fn upstream_names(table: &DeTable<'_>) -> Vec<Spanned<String>> {
    let upstreams = table
        .get("upstreams")
        .and_then(|value| value.get_ref().as_table());
    let names = upstreams.into_iter().flat_map(DeTable::keys);
    names
        .map(|name| Spanned::new(name.span(), name.get_ref().to_string()))
        .collect()
}

/// Adds the entries that are missing, table by table.
fn complete<'t>(table: &mut DeTable<'t>, defaults: DeTable<'t>) {
    for (key, default) in defaults {
        match (table.get_mut(&key).map(Spanned::get_mut), default) {
            (None, default) => {
                table.insert(key, default);
            }
            (Some(DeValue::Table(present)), default) => {
                if let DeValue::Table(defaults) = default.into_inner() {
                    complete(present, defaults);
                }
            }
            (Some(_), _) => {}
        }
    }
}
