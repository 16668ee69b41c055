//! What one process shares between its requests: built once, handed around as one value.

use std::collections::HashSet;
use std::path::Path;

use arc_swap::ArcSwap;
use gateway_policy::{Asker, AuthRoute, ModelId, NoMemory};
use tokio_util::sync::CancellationToken;

use crate::admin_auth::Gate;
use crate::clock::Clock;
use crate::codex_catalog::file::CatalogFile;
use crate::config::{Places, Settings};
use crate::exchange::admission::{SoftWarnings, UnpricedWarnings};
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::model_visibility::Catalogues;
use crate::plan_limits::PlanWatch;
use crate::reasoning::ReasoningMemory;
use crate::recorder::Books;
use crate::slots::Slots;
use crate::tasks::Tasks;
use crate::tls::Tls;
use crate::traces::Traces;
use crate::upstream::client::UpstreamClient;

/// The process.
pub struct App {
    pub clock: Clock,
    pub tasks: Tasks,
    /// What a reload replaces.
    pub live: ArcSwap<Live>,
    pub books: Books,
    pub keys: Keys,
    /// Budgets of which was said that they are nearly spent.
    pub soft_warnings: SoftWarnings,
    pub unpriced_warnings: UnpricedWarnings,
    pub learned: Learned,
    pub plan_limits: PlanWatch,
    pub catalogues: Catalogues,
    /// Provider reasoning that later requests have to give back.
    pub reasoning: ReasoningMemory,
    pub upstream: UpstreamClient,
    pub metrics: Metrics,
    pub traces: Traces,
    /// One place an exchange, held until its last byte.
    pub slots: Slots,
    /// Id of this data directory: marks forwarded requests and ledger entries.
    pub instance: String,
    /// Opens `/api`.
    pub admin: Gate,
    /// The certificate in force.
    pub tls: Option<Tls>,
    /// Cancelled when running streams may not go on.
    pub deadline: CancellationToken,
}

/// A configuration in force.
pub struct Live {
    pub settings: Settings,
    /// Where its rules stand, for explanations.
    pub places: Places,
    /// The Codex catalogue of the operator.
    pub catalog: Option<CatalogFile>,
    /// The operator's own entries, where there is nothing to lay them behind.
    pub own_entries: Option<CatalogFile>,
    /// Model ids that may be label values, in lower case.
    labels: HashSet<String>,
}

impl Live {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// When the catalogue file cannot be used; the text says why.
    pub fn new(settings: Settings, places: Places) -> Result<Self, String> {
        let catalog = settings
            .catalog_file
            .as_deref()
            .map(|path: &Path| CatalogFile::read(path))
            .transpose()?
            .map(|file| file.with_entries(&settings.catalog_entries))
            .transpose()?;
        let own_entries = CatalogFile::of_entries(&settings.catalog_entries);
        let labels = labels(&settings);
        Ok(Self {
            settings,
            places,
            catalog,
            own_entries,
            labels,
        })
    }

    /// A model id as a label: those of the catalogue, the rules and the price table; anything else
    /// is `other`, so that clients cannot make series.
    pub fn model_label<'a>(&self, model: &'a ModelId) -> &'a str {
        if self.labels.contains(model.folded()) {
            model.folded()
        } else {
            "other"
        }
    }
}

fn labels(settings: &Settings) -> HashSet<String> {
    let views = settings
        .policy
        .models_for(&Asker::new(AuthRoute::ApiKey), &NoMemory);
    let named = views
        .iter()
        .flat_map(|view| std::iter::once(&view.model).chain(&view.fallbacks))
        .map(|id| id.folded().to_owned());
    let priced = settings
        .prices
        .rows()
        .flat_map(|row| std::iter::once(&row.model).chain(&row.snapshots));
    named
        .chain(
            priced
                .filter(|id| !id.contains('*'))
                .map(|id| id.to_ascii_lowercase()),
        )
        .collect()
}
