//! What handlers are given: each names the parts that it uses (`State<Ledger>`), and gets no others.

use std::sync::Arc;

use axum::extract::FromRef;
use gateway_ledger::Ledger;

use crate::admin_auth::AdminAuth;
use crate::app::App;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::metrics::Metrics;
use crate::plan_limits::PlanWatch;
use crate::tasks::Tasks;

/// The state of the router. A clone is one counter.
#[derive(Clone)]
pub struct HttpState(Arc<Parts>);

struct Parts {
    app: Arc<App>,
    config: SharedConfig,
    clock: Clock,
    tasks: Tasks,
    ledger: Ledger,
    keys: Arc<Keys>,
    learned: Arc<Learned>,
    plan_limits: Arc<PlanWatch>,
    metrics: Arc<Metrics>,
    admin: Arc<AdminAuth>,
}

impl HttpState {
    /// The parts of a process that handlers use.
    pub fn new(app: Arc<App>) -> Self {
        Self(Arc::new(Parts {
            config: app.live.clone(),
            clock: app.clock.clone(),
            tasks: app.tasks.clone(),
            ledger: app.books.ledger().clone(),
            keys: Arc::clone(&app.keys),
            learned: Arc::clone(&app.learned),
            plan_limits: Arc::clone(&app.plan_limits),
            metrics: Arc::clone(&app.metrics),
            admin: Arc::clone(&app.admin),
            app,
        }))
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
    app: Arc<App>,
    config: SharedConfig,
    clock: Clock,
    tasks: Tasks,
    ledger: Ledger,
    keys: Arc<Keys>,
    learned: Arc<Learned>,
    plan_limits: Arc<PlanWatch>,
    metrics: Arc<Metrics>,
    admin: Arc<AdminAuth>,
}
