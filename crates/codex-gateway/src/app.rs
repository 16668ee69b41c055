//! The composition root: opens everything that a process consists of, and hands each part what it
//! needs. No module below is given the whole.

mod run;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway_ledger::{InstanceId, Ledger, OpenOptions, Opened};
use gateway_policy::problem::Severity;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin_auth::AdminAuth;
use crate::clock::Clock;
use crate::concurrency::Concurrency;
use crate::config::active::{ActiveConfig, SharedConfig};
use crate::config::{self, Loaded, Overrides, Settings, SourceMap};
use crate::data_dir::{ADMIN_TOKEN, DataDir};
use crate::exchange::limiter::Limiter;
use crate::exchange::proxy::Proxy;
use crate::http::listener::ListenerRole;
use crate::http::router::router;
use crate::http::state::{HttpState, Parts};
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::learned::sync::LearnedSync;
use crate::metrics::Metrics;
use crate::model_labels::UnpricedLabels;
use crate::model_visibility::SeenCatalogs;
use crate::plan_limits::{self, PlanWatch};
use crate::reasoning::ReasoningMemory;
use crate::recorder::Recorder;
use crate::running::Running;
use crate::server::Listener;
use crate::socket_budget::SocketBudget;
use crate::tasks::Tasks;
use crate::tls::Tls;
use crate::traces::Traces;
use crate::upstream::client::{CallTimes, UpstreamClient};

/// How long an intent of a replica that died is left alone.
const LEASE: Duration = Duration::from_secs(30);

/// A process, opened.
pub struct App {
    config: SharedConfig,
    ledger: Ledger,
    keys: Arc<Keys>,
    learned: Arc<Learned>,
    admin: Arc<AdminAuth>,
    traces: Arc<Traces>,
    metrics: Arc<Metrics>,
    /// The certificate in force.
    tls: Option<Arc<Tls>>,
    tasks: Tasks,
    /// Cancelled when running streams may not go on.
    shutdown: CancellationToken,
    state: HttpState,
}

/// The sockets of a process.
pub struct Sockets {
    main: TcpListener,
    /// For administration alone, where the configuration names one.
    admin: Option<TcpListener>,
}

impl Sockets {
    /// Binds the addresses of the configuration.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let main = bind(settings.server.listen, "--listen sets another address").await?;
        let admin = match settings.admin.listen {
            Some(address) => Some(bind(address, "set `listen` in [admin]").await?),
            None => None,
        };
        Ok(Self { main, admin })
    }
}

async fn bind(address: SocketAddr, hint: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another program using the port? ({hint})")
    })
}

impl App {
    /// Opens the store and everything above it, and starts the work in the background that belongs
    /// to them. Opens no socket.
    ///
    /// # Errors
    /// When the store cannot be opened or read, or TLS cannot be set up.
    pub async fn open(
        config: ActiveConfig,
        data_dir: &DataDir,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        // The one TLS implementation of the process. It fails only when it was installed before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let instance = InstanceId::new(data_dir.instance()?);
        let tasks = Tasks::default();
        let settings = &config.settings;
        let ledger = open_ledger(settings, data_dir, &instance, &tasks, &clock).await?;
        let admin = open_admin(settings, data_dir, &ledger, &clock)?;
        let tls = settings.server.tls.as_ref().map(Tls::open).transpose()?;
        let directory = ledger.directory().await;
        let directory = directory.context("cannot read keys and limits")?;
        let keys = Arc::new(Keys::new(clock.clone(), ledger.clone(), directory));
        let learned = open_learned(settings, &ledger, &tasks, &clock).await?;
        let plan_limits = open_plan_limits(&ledger, &tasks).await?;
        let running = Arc::new(Running::default());
        let metrics = Arc::new(Metrics::new()?);
        let traces = Arc::new(Traces::from_environment(instance.as_str())?);
        let shared = Foundation {
            config: SharedConfig::new(config),
            ledger,
            keys,
            learned,
            plan_limits,
            running,
            metrics,
            traces,
            tasks,
            clock,
            shutdown: CancellationToken::new(),
            instance,
        };
        let proxy = open_proxy(&shared)?;
        let state = HttpState::new(Parts {
            proxy: Arc::new(proxy),
            config: shared.config.clone(),
            clock: shared.clock,
            tasks: shared.tasks.clone(),
            ledger: shared.ledger.clone(),
            keys: Arc::clone(&shared.keys),
            learned: Arc::clone(&shared.learned),
            plan_limits: shared.plan_limits,
            running: shared.running,
            metrics: Arc::clone(&shared.metrics),
            admin: Arc::clone(&admin),
        });
        Ok(Self {
            config: shared.config,
            ledger: shared.ledger,
            keys: shared.keys,
            learned: shared.learned,
            admin,
            traces: shared.traces,
            metrics: shared.metrics,
            tls: tls.map(Arc::new),
            tasks: shared.tasks,
            shutdown: shared.shutdown,
            state,
        })
    }

    /// What handlers are given.
    pub const fn state(&self) -> &HttpState {
        &self.state
    }

    /// The tasks of the process.
    pub const fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// What is served on each socket: one for all, or one for each side.
    pub fn listeners(&self, sockets: Sockets) -> Vec<Listener> {
        let listener = |socket, role| Listener {
            socket,
            router: router(self.state.clone(), role),
            tls: self.tls.as_deref().map(Tls::acceptor),
        };
        match sockets.admin {
            None => vec![listener(sockets.main, ListenerRole::Everything)],
            Some(admin) => vec![
                listener(sockets.main, ListenerRole::Proxy),
                listener(admin, ListenerRole::Administration),
            ],
        }
    }

    /// Reads the configuration again. Compiles first, then swaps: a bad file keeps the old
    /// configuration and says so.
    pub fn reload(&self, overrides: &Overrides) {
        if let Err(why) = self.try_reload(overrides) {
            tracing::error!("reload: {why}");
        }
    }

    fn try_reload(&self, overrides: &Overrides) -> Result<(), String> {
        let kept = "the old configuration stays in force";
        // The socket stays where it is, and who may use the gateway's credentials follows from
        // where it really listens.
        let old = self.config.load();
        let here = Overrides {
            listen: Some(old.settings.server.listen.to_string()),
            ..overrides.clone()
        };
        let loaded = config::load(&here).map_err(|error| format!("{error}; {kept}"))?;
        report(&loaded, kept)?;
        let path = loaded.source.path.clone();
        let places = SourceMap::new(&loaded.source);
        let mut settings = loaded
            .settings
            .ok_or_else(|| format!("{path} cannot be used; {kept}"))?;
        // The file as it will be read at the next start; where only that fails, it is compared as
        // it is read now.
        let wanted = config::load(overrides).ok().and_then(|next| next.settings);
        let waiting = match &wanted {
            Some(wanted) => config::reload::keep_next_start(&old.settings, wanted, &mut settings),
            None => vec!["server.listen".to_owned()],
        };
        if !waiting.is_empty() {
            let keys = waiting.join("`, `");
            tracing::warn!("reload: `{keys}` changed and will take effect only after a restart");
        }
        if let (Some(tls), Some(files)) = (&self.tls, &settings.server.tls) {
            tls.reload_if_changed(files);
        }
        let config =
            ActiveConfig::new(settings, places).map_err(|error| format!("{error}; {kept}"))?;
        self.learned.set_ttl(config.settings.models.learned_ttl);
        self.config.replace(config);
        tracing::info!("reload: {path} is in force");
        Ok(())
    }
}

/// Reports what is wrong with a configuration that was read again.
fn report(loaded: &Loaded, kept: &str) -> Result<(), String> {
    if loaded.problems.is_empty() {
        return Ok(());
    }
    let (path, report) = (&loaded.source.path, loaded.report(false));
    let errors = loaded.count(Severity::Error);
    if errors > 0 {
        return Err(format!("{path} has {errors} error(s); {kept}\n{report}"));
    }
    tracing::warn!("reload: {path}\n{report}");
    Ok(())
}

/// What the parts of a process have in common.
struct Foundation {
    config: SharedConfig,
    ledger: Ledger,
    keys: Arc<Keys>,
    learned: Arc<Learned>,
    plan_limits: Arc<PlanWatch>,
    running: Arc<Running>,
    metrics: Arc<Metrics>,
    traces: Arc<Traces>,
    tasks: Tasks,
    clock: Clock,
    shutdown: CancellationToken,
    instance: InstanceId,
}

fn open_proxy(shared: &Foundation) -> anyhow::Result<Proxy> {
    let limiter = Limiter::new(
        shared.ledger.clone(),
        Arc::clone(&shared.keys),
        Arc::clone(&shared.metrics),
        shared.tasks.clone(),
        shared.clock.clone(),
    );
    let recorder = Recorder {
        ledger: shared.ledger.clone(),
        instance: shared.instance.clone(),
        metrics: Arc::clone(&shared.metrics),
        traces: Arc::clone(&shared.traces),
        plan_limits: Arc::clone(&shared.plan_limits),
        running: Arc::clone(&shared.running),
        clock: shared.clock.clone(),
        unpriced_labels: UnpricedLabels::default(),
    };
    Ok(Proxy {
        config: shared.config.clone(),
        keys: Arc::clone(&shared.keys),
        limiter,
        learned: Arc::clone(&shared.learned),
        reasoning: ReasoningMemory::new(shared.clock.clone()),
        catalogs: SeenCatalogs::default(),
        upstream: UpstreamClient::new(CallTimes::default())
            .context("cannot set up TLS for upstreams")?,
        recorder,
        metrics: Arc::clone(&shared.metrics),
        concurrency: Concurrency::default(),
        sockets: SocketBudget::default(),
        tasks: shared.tasks.clone(),
        clock: shared.clock.clone(),
        shutdown: shared.shutdown.clone(),
        instance: shared.instance.clone(),
    })
}

async fn open_ledger(
    settings: &Settings,
    data_dir: &DataDir,
    instance: &InstanceId,
    tasks: &Tasks,
    clock: &Clock,
) -> anyhow::Result<Ledger> {
    let clock = clock.clone();
    let Opened {
        ledger,
        driver,
        interrupted,
    } = Ledger::open(OpenOptions {
        url: settings.storage.url.clone(),
        data_dir: data_dir.path().to_owned(),
        instance: instance.clone(),
        durability: settings.storage.durability,
        retention: settings.storage.retention,
        lease: LEASE,
        time_zone: settings.storage.time_zone.clone(),
        clock: Arc::new(move || clock.now()),
    })
    .await
    .context("cannot open the ledger")?;
    tasks.spawn_until_close(driver.run());
    if !interrupted.is_empty() {
        tracing::warn!(
            count = interrupted.len(),
            "exchanges of an earlier run were cut off and are recorded as interrupted"
        );
    }
    Ok(ledger)
}

fn open_admin(
    settings: &Settings,
    data_dir: &DataDir,
    ledger: &Ledger,
    clock: &Clock,
) -> anyhow::Result<Arc<AdminAuth>> {
    let token = match &settings.admin.token {
        Some(token) => token.secret.clone(),
        None => data_dir.admin_token()?,
    };
    let file = data_dir.path().join(ADMIN_TOKEN);
    let admin = AdminAuth::new(token, file, ledger.clone(), clock.clone());
    Ok(Arc::new(admin))
}

async fn open_learned(
    settings: &Settings,
    ledger: &Ledger,
    tasks: &Tasks,
    clock: &Clock,
) -> anyhow::Result<Arc<Learned>> {
    let (learned, to_keep) = Learned::new(clock.clone(), settings.models.learned_ttl);
    let learned = Arc::new(learned);
    let sync = LearnedSync::open(ledger.clone(), to_keep, &learned)
        .await
        .context("cannot read the model refusals")?;
    tasks.spawn_background("learned", sync.run(Arc::clone(&learned)));
    Ok(learned)
}

async fn open_plan_limits(ledger: &Ledger, tasks: &Tasks) -> anyhow::Result<Arc<PlanWatch>> {
    let (plan_limits, changed) = PlanWatch::new();
    let stored = ledger.account_limits().await;
    plan_limits.restore(&stored.context("cannot read the plan limits")?);
    tasks.spawn_background("plan limits", plan_limits::store(ledger.clone(), changed));
    Ok(Arc::new(plan_limits))
}
