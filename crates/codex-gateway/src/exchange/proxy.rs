//! What the walk of a request uses: built once by `app.rs`. Each step is handed the parts that it
//! needs and not all of them.

use std::sync::Arc;

use gateway_ledger::InstanceId;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::concurrency::Concurrency;
use crate::config::active::SharedConfig;
use crate::exchange::limiter::Limiter;
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::model_visibility::SeenCatalogs;
use crate::reasoning::ReasoningMemory;
use crate::recorder::Recorder;
use crate::socket_budget::SocketBudget;
use crate::tasks::Tasks;
use crate::upstream::client::UpstreamClient;

/// The proxied side of the gateway.
pub struct Proxy {
    /// What a reload replaces; each request pins the one that it begins with.
    pub config: SharedConfig,
    pub keys: Arc<Keys>,
    pub limiter: Limiter,
    pub learned: Arc<Learned>,
    /// Provider reasoning that later requests have to give back.
    pub reasoning: ReasoningMemory,
    pub catalogs: SeenCatalogs,
    pub upstream: UpstreamClient,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    /// One permit an exchange, held until its last byte.
    pub concurrency: Concurrency,
    /// The WebSockets of clients.
    pub sockets: SocketBudget,
    pub tasks: Tasks,
    pub clock: Clock,
    /// Cancelled when running streams may not go on.
    pub shutdown: CancellationToken,
    /// Id of this data directory: marks forwarded requests and ledger entries.
    pub instance: InstanceId,
}
