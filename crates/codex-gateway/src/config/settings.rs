//! A configuration, checked: one value per section. Types only.

use std::collections::HashMap;
use std::path::PathBuf;

use gateway_policy::Policy;

use super::network::ShareKeys;
use super::sections::admin::AdminSettings;
use super::sections::catalog::CatalogSettings;
use super::sections::log::LogSettings;
use super::sections::models::ModelsSettings;
use super::sections::prices::PricesSettings;
use super::sections::server::ServerSettings;
use super::sections::storage::StorageSettings;
use super::sections::upstreams::OwnCredential;

/// A configuration, checked.
pub struct Settings {
    pub data_dir: PathBuf,
    pub server: ServerSettings,
    pub admin: AdminSettings,
    pub storage: StorageSettings,
    pub catalog: CatalogSettings,
    pub log: LogSettings,
    pub models: ModelsSettings,
    pub prices: PricesSettings,
    /// Upstreams, routes, rules, fallback and error patterns.
    pub policy: Policy,
    /// The credentials of upstreams that have one of their own, by upstream name.
    pub credentials: HashMap<String, OwnCredential>,
    /// Who may use those credentials.
    pub share: ShareKeys,
}
