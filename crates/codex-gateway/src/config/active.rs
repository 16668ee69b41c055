//! The configuration in force: the settings with the files that they name, replaced as a whole by a
//! reload.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::codex_catalog::file::CatalogFile;
use crate::config::{Settings, SourceMap};
use crate::model_labels::ModelLabels;

/// A configuration in force.
pub struct ActiveConfig {
    pub settings: Settings,
    /// Where its rules stand, for explanations.
    pub places: SourceMap,
    /// The Codex catalogue of the operator.
    pub catalog: Option<CatalogFile>,
    /// The operator's own entries, where there is nothing to lay them behind.
    pub own_entries: Option<CatalogFile>,
    /// Model ids that may be label values.
    pub labels: ModelLabels,
}

impl ActiveConfig {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// When the catalogue file cannot be used; the text says why.
    pub fn new(settings: Settings, places: SourceMap) -> Result<Self, String> {
        let catalog = settings
            .catalog
            .file
            .as_deref()
            .map(CatalogFile::read)
            .transpose()?
            .map(|file| file.with_entries(&settings.catalog.entries))
            .transpose()?;
        let own_entries = CatalogFile::of_entries(&settings.catalog.entries);
        let labels = ModelLabels::new(&settings.policy, &settings.prices.table);
        Ok(Self {
            settings,
            places,
            catalog,
            own_entries,
            labels,
        })
    }
}

/// The configuration of a process, shared by all that follow its reloads.
#[derive(Clone)]
pub struct SharedConfig(Arc<ArcSwap<ActiveConfig>>);

impl SharedConfig {
    /// The first one.
    pub fn new(config: ActiveConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// What is in force now, for a short look.
    pub fn load(&self) -> Guard<Arc<ActiveConfig>> {
        self.0.load()
    }

    /// What is in force now, kept for as long as a request runs.
    pub fn load_full(&self) -> Arc<ActiveConfig> {
        self.0.load_full()
    }

    /// Puts another one in force. What runs keeps the one that it began with.
    pub fn replace(&self, config: ActiveConfig) {
        self.0.store(Arc::new(config));
    }
}
