//! What one process shares between its requests: built once, handed around as one value.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admin_auth::AdminAuth;
use crate::clock::Clock;
use crate::concurrency::Concurrency;
use crate::config::active::SharedConfig;
use crate::exchange::limiter::Limiter;
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::model_visibility::Catalogues;
use crate::plan_limits::PlanWatch;
use crate::reasoning::ReasoningMemory;
use crate::recorder::Books;
use crate::tasks::Tasks;
use crate::tls::Tls;
use crate::traces::Traces;
use crate::upstream::client::UpstreamClient;

/// The process.
pub struct App {
    pub clock: Clock,
    pub tasks: Tasks,
    /// What a reload replaces.
    pub live: SharedConfig,
    pub books: Books,
    pub keys: Arc<Keys>,
    pub limiter: Limiter,
    pub learned: Arc<Learned>,
    pub plan_limits: Arc<PlanWatch>,
    pub catalogues: Catalogues,
    /// Provider reasoning that later requests have to give back.
    pub reasoning: ReasoningMemory,
    pub upstream: UpstreamClient,
    pub metrics: Arc<Metrics>,
    pub traces: Traces,
    /// One place an exchange, held until its last byte.
    pub concurrency: Concurrency,
    /// Id of this data directory: marks forwarded requests and ledger entries.
    pub instance: String,
    /// Who may use `/api`.
    pub admin: Arc<AdminAuth>,
    /// The certificate in force.
    pub tls: Option<Tls>,
    /// Cancelled when running streams may not go on.
    pub deadline: CancellationToken,
}
