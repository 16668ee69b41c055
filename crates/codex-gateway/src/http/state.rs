//! What handlers are given: each names the parts that it uses (`State<Ledger>`), and gets no others.

use std::sync::Arc;

use axum::extract::FromRef;
use gateway_ledger::Ledger;

use crate::admin_auth::AdminAuth;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::exchange::proxy::Proxy;
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::plan_limits::PlanWatch;
use crate::running::Running;
use crate::tasks::Tasks;

/// The state of the router. A clone is one counter.
#[derive(Clone)]
pub struct HttpState(Arc<Parts>);

/// The parts of a process that handlers use.
pub struct Parts {
    pub proxy: Arc<Proxy>,
    pub config: SharedConfig,
    pub clock: Clock,
    pub tasks: Tasks,
    pub ledger: Ledger,
    pub keys: Arc<Keys>,
    pub learned: Arc<Learned>,
    pub plan_limits: Arc<PlanWatch>,
    pub running: Arc<Running>,
    pub metrics: Arc<Metrics>,
    pub admin: Arc<AdminAuth>,
}

impl HttpState {
    /// Shares the parts between all requests.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

/// Lets handlers ask for a part by its type.
macro_rules! parts {
    ($($part:ident: $type:ty,)*) => {$(
        impl FromRef<HttpState> for $type {
            fn from_ref(state: &HttpState) -> Self {
                state.0.$part.clone()
            }
        }
    )*};
}

parts! {
    proxy: Arc<Proxy>,
    config: SharedConfig,
    clock: Clock,
    tasks: Tasks,
    ledger: Ledger,
    keys: Arc<Keys>,
    learned: Arc<Learned>,
    plan_limits: Arc<PlanWatch>,
    running: Arc<Running>,
    metrics: Arc<Metrics>,
    admin: Arc<AdminAuth>,
}
