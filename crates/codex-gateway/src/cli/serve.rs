//! `codex-gateway serve`: builds the process, runs it, takes it down.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use gateway_ledger::{InstanceId, Ledger, OpenOptions, Opened};
use gateway_policy::problem::Severity;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin_auth::AdminAuth;
use crate::app::App;
use crate::cli::output::{EXIT_CONFIG, print_error, print_out};
use crate::clock::Clock;
use crate::concurrency::Concurrency;
use crate::config::active::{ActiveConfig, SharedConfig};
use crate::config::{self, Loaded, Overrides, SourceMap};
use crate::data_dir::{ADMIN_TOKEN, DataDir};
use crate::exchange::limiter::Limiter;
use crate::http::listener::ListenerRole;
use crate::http::router::router;
use crate::http::state::HttpState;
use crate::identity::keys::Keys;
use crate::learned::Learned;
use crate::learned::sync::Keeper;
use crate::metrics::Metrics;
use crate::model_visibility::Catalogues;
use crate::plan_limits::{self, PlanWatch};
use crate::reasoning::ReasoningMemory;
use crate::recorder::Books;
use crate::server::Listener;
use crate::tasks::Tasks;
use crate::tls::Tls;
use crate::traces::Traces;
use crate::upstream::client::{CallTimes, UpstreamClient};
use crate::{server, telemetry};

/// Arguments of `serve`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ServeArgs {
    /// The address to listen on, such as 127.0.0.1:8787.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// How long an intent of a replica that died is left alone.
const LEASE: Duration = Duration::from_secs(30);
/// How long streams that had to be cut may take to be settled.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until a signal says stop.
pub(super) fn run(mut overrides: Overrides, args: ServeArgs) -> ExitCode {
    overrides.listen = args.listen;
    let loaded = match config::load(&overrides) {
        Ok(loaded) => loaded,
        Err(error) => {
            print_error(&format!("error: {error}"));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if !loaded.problems.is_empty() {
        print_error(&loaded.report(std::io::stderr().is_terminal()));
    }
    let path = loaded.source.path.clone();
    let places = SourceMap::new(&loaded.source);
    let Some(settings) = loaded.settings else {
        let errors = loaded
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error)
            .count();
        print_error(&format!("{path}: {errors} error(s); nothing is served"));
        return ExitCode::from(EXIT_CONFIG);
    };
    telemetry::init(
        settings.log.format,
        config::environment("RUST_LOG").as_deref(),
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print_error(&format!("error: cannot start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = ActiveConfig::new(settings, places)
        .map_err(anyhow::Error::msg)
        .and_then(|live| runtime.block_on(serve(live, overrides, &path)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(live: ActiveConfig, overrides: Overrides, config_path: &str) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&live.settings.data_dir)?;
    let (app, mut listeners) = build(live, &data_dir).await?;
    print_out(&banner(&listeners, config_path, data_dir.path())?);
    let stop = app.tasks.draining().clone();
    let signals = Signals::listen().context("cannot listen for signals")?;
    app.tasks.spawn_background(
        "signals",
        signals.watch(Arc::clone(&app), overrides, stop.clone()),
    );
    let keys = Arc::clone(&app);
    app.tasks.spawn_background("keys", async move {
        keys.keys.follow(keys.books.ledger()).await;
    });
    let (admin, config) = (Arc::clone(&app.admin), app.live.clone());
    app.tasks.spawn_background("admin token", async move {
        admin.follow(&config).await;
    });
    if app.tls.is_some() {
        let certificate = Arc::clone(&app);
        app.tasks.spawn_background("certificate", async move {
            if let Some(tls) = &certificate.tls {
                tls.follow(|| certificate.live.load().settings.server.tls.clone())
                    .await;
            }
        });
    }
    // The first one closes when the process is to stop. What is apart from it stays open to the
    // end: whoever asks there whether the gateway is ready shall hear that it is not.
    for apart in listeners.split_off(1) {
        let tasks = app.tasks.clone();
        app.tasks.spawn_background("administration", async move {
            server::serve(apart, &tasks, CancellationToken::new()).await;
        });
    }
    let served = listeners
        .into_iter()
        .map(|listener| server::serve(listener, &app.tasks, stop.clone()));
    let served = futures_util::future::join_all(served);
    tokio::pin!(served);
    tokio::select! {
        _ = &mut served => {}
        () = async { stop.cancelled().await; tokio::time::sleep(grace(&app)).await } => app.deadline.cancel(),
        () = app.deadline.cancelled() => {}
    }
    // What is still running gets to settle, whatever happens to its connection.
    let wait = if app.deadline.is_cancelled() {
        LAST_WORDS
    } else {
        grace(&app)
    };
    if tokio::time::timeout(wait, app.tasks.drained())
        .await
        .is_err()
    {
        app.deadline.cancel();
        drop(tokio::time::timeout(LAST_WORDS, app.tasks.drained()).await);
    }
    app.tasks.stop().await;
    app.books.ledger().close().await;
    app.tasks.ended().await;
    let last = Arc::clone(&app);
    drop(tokio::task::spawn_blocking(move || last.traces.finish()).await);
    tracing::info!("stopped");
    Ok(())
}

/// How long running streams may take, by the configuration that is in force when the process stops.
fn grace(app: &App) -> Duration {
    app.live.load().settings.server.shutdown_grace
}

/// Everything the process shares, and the sockets.
async fn build(
    live: ActiveConfig,
    data_dir: &DataDir,
) -> anyhow::Result<(Arc<App>, Vec<Listener>)> {
    let main = bind(
        live.settings.server.listen,
        "--listen takes another address",
    )
    .await?;
    let apart = match live.settings.admin.listen {
        Some(address) => Some(bind(address, "it is `listen` in [admin]").await?),
        None => None,
    };
    let app = assemble(live, data_dir, Clock::system()).await?;
    let state = HttpState::new(Arc::clone(&app));
    let listener = |socket, role| Listener {
        socket,
        router: router(state.clone(), role),
        tls: app.tls.as_ref().map(Tls::acceptor),
    };
    let listeners = match apart {
        None => vec![listener(main, ListenerRole::Everything)],
        Some(apart) => vec![
            listener(main, ListenerRole::Proxy),
            listener(apart, ListenerRole::Administration),
        ],
    };
    Ok((app, listeners))
}

async fn bind(address: SocketAddr, hint: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another program using the port? ({hint})")
    })
}

/// Everything the process shares, with its background work running. Opens no socket.
pub(crate) async fn assemble(
    live: ActiveConfig,
    data_dir: &DataDir,
    clock: Clock,
) -> anyhow::Result<Arc<App>> {
    // The one TLS implementation of the process. It fails only when it was installed before.
    drop(rustls::crypto::ring::default_provider().install_default());
    let instance = data_dir.instance()?;
    let tasks = Tasks::default();
    let settings = &live.settings;
    let Opened {
        ledger,
        driver,
        interrupted,
    } = Ledger::open(OpenOptions {
        url: settings.storage.url.clone(),
        data_dir: data_dir.path().to_owned(),
        instance: InstanceId::new(instance.clone()),
        durability: settings.storage.durability,
        retention: settings.storage.retention,
        lease: LEASE,
        time_zone: settings.storage.time_zone.clone(),
        clock: Arc::new({
            let clock = clock.clone();
            move || clock.now()
        }),
    })
    .await
    .context("cannot open the ledger")?;
    tasks.spawn_until_close(driver.run());
    if !interrupted.is_empty() {
        tracing::warn!(
            count = interrupted.len(),
            "exchanges of an earlier run were cut off and are booked as interrupted"
        );
    }
    let directory = ledger
        .directory()
        .await
        .context("cannot read keys and limits")?;
    let admin_token = match &settings.admin.token {
        Some(token) => token.secret.clone(),
        None => data_dir.admin_token()?,
    };
    let tls = settings.server.tls.as_ref().map(Tls::open).transpose()?;
    let (learned, to_keep) = Learned::new(clock.clone(), settings.models.learned_ttl);
    let keeper = Keeper::open(ledger.clone(), to_keep, &learned)
        .await
        .context("cannot read what was learned")?;
    let (plan_limits, told) = PlanWatch::new();
    let stored = ledger.account_limits().await;
    plan_limits.restore(&stored.context("cannot read the plan limits")?);
    tasks.spawn_background("plan limits", plan_limits::keep(ledger.clone(), told));
    let token_file = data_dir.path().join(ADMIN_TOKEN);
    let admin = AdminAuth::new(admin_token, token_file, ledger.clone(), clock.clone());
    let keys = Arc::new(Keys::new(clock.clone(), directory));
    let metrics = Arc::new(Metrics::new()?);
    let limiter = Limiter::new(
        ledger.clone(),
        Arc::clone(&keys),
        Arc::clone(&metrics),
        tasks.clone(),
        clock.clone(),
    );
    let app = App {
        learned: Arc::new(learned),
        plan_limits: Arc::new(plan_limits),
        catalogues: Catalogues::default(),
        reasoning: ReasoningMemory::new(clock.clone()),
        tasks,
        books: Books::new(ledger, InstanceId::new(instance.clone())),
        keys,
        limiter,
        upstream: UpstreamClient::new(CallTimes::default())
            .context("cannot set up TLS toward upstreams")?,
        metrics,
        traces: Traces::from_environment(&instance)?,
        concurrency: Concurrency::default(),
        instance,
        admin: Arc::new(admin),
        tls,
        deadline: CancellationToken::new(),
        live: SharedConfig::new(live),
        clock,
    };
    let app = Arc::new(app);
    app.tasks
        .spawn_background("learned", keeper.run(Arc::clone(&app.learned)));
    Ok(app)
}

/// What to put into Codex's configuration, both ways.
fn banner(
    listeners: &[Listener],
    config: &str,
    data_dir: &std::path::Path,
) -> std::io::Result<String> {
    let mut host = String::new();
    let mut lines = Vec::new();
    for listener in listeners {
        let address = listener.socket.local_addr()?;
        let scheme = if listener.tls.is_some() {
            "https"
        } else {
            "http"
        };
        if lines.is_empty() {
            let named = if address.ip().is_unspecified() {
                SocketAddr::from(([127, 0, 0, 1], address.port()))
            } else {
                address
            };
            host = format!("{scheme}://{named}");
            lines.push(format!("serves on {scheme}://{address}\n"));
        } else {
            lines.push(format!("administration: {scheme}://{address}\n"));
        }
    }
    Ok(format!(
        "codex-gateway {version} {lines}\
         configuration: {config}\n\
         data directory: {data_dir}\n\
         \n\
         Point Codex at it with one line at the top of ~/.codex/config.toml (keeps your ChatGPT or API-key sign-in):\n\
         \n\
         \x20   openai_base_url = \"{host}/v1\"\n\
         \n\
         or as a provider of its own:\n\
         \n\
         \x20   model_provider = \"gateway\"\n\
         \n\
         \x20   [model_providers.gateway]\n\
         \x20   name = \"codex-gateway\"\n\
         \x20   base_url = \"{host}/v1\"\n\
         \x20   wire_api = \"responses\"\n\
         \x20   env_key = \"OPENAI_API_KEY\"          # or: requires_openai_auth = true\n",
        version = env!("CARGO_PKG_VERSION"),
        lines = lines.concat(),
        data_dir = data_dir.display(),
    ))
}

/// The signals of the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// First SIGTERM or SIGINT: stop accepting, let streams finish. Second: now, still settling.
    /// SIGHUP: read the configuration again.
    async fn watch(mut self, app: Arc<App>, overrides: Overrides, stop: CancellationToken) {
        loop {
            let is_reload = tokio::select! {
                _ = self.terminate.recv() => false,
                _ = self.interrupt.recv() => false,
                _ = self.hang_up.recv() => true,
            };
            if is_reload {
                reload(&app, &overrides);
            } else if stop.is_cancelled() {
                tracing::warn!("stopping now; running streams are cut and settled");
                app.deadline.cancel();
            } else {
                tracing::info!("stopping: the listener is closed, running streams may finish");
                stop.cancel();
            }
        }
    }
}

/// Compiles first, then swaps. A bad file keeps the old configuration and says so.
fn reload(app: &App, overrides: &Overrides) {
    let kept = "the old configuration stays in force";
    // The socket stays where it is, and who may use the gateway's credentials follows from where it
    // really listens.
    let old = app.live.load();
    let here = Overrides {
        listen: Some(old.settings.server.listen.to_string()),
        ..overrides.clone()
    };
    let loaded = match config::load(&here) {
        Ok(loaded) => loaded,
        Err(error) => return tracing::error!("reload: {error}; {kept}"),
    };
    let Loaded {
        source, problems, ..
    } = &loaded;
    if !problems.is_empty() {
        let report = loaded.report(false);
        let errors = loaded.count(Severity::Error);
        if errors > 0 {
            return tracing::error!(
                "reload: {} has {errors} error(s); {kept}\n{report}",
                source.path
            );
        }
        tracing::warn!("reload: {}\n{report}", source.path);
    }
    let path = source.path.clone();
    let places = SourceMap::new(source);
    let Some(mut settings) = loaded.settings else {
        return tracing::error!("reload: {path} cannot be used; {kept}");
    };
    let wished = config::load(overrides)
        .ok()
        .and_then(|wished| wished.settings);
    // The file as it will be read at the next start; where only that fails, it is compared as it is
    // read now.
    let waiting = match &wished {
        Some(wished) => config::reload::keep_next_start(&old.settings, wished, &mut settings),
        None => vec!["server.listen".to_owned()],
    };
    if !waiting.is_empty() {
        let keys = waiting.join("`, `");
        tracing::warn!("reload: `{keys}` changed and will take effect at the next start only");
    }
    if let (Some(tls), Some(files)) = (&app.tls, &settings.server.tls) {
        tls.look(files);
    }
    match ActiveConfig::new(settings, places) {
        Ok(live) => {
            app.learned.believe_for(live.settings.models.learned_ttl);
            app.live.replace(live);
            tracing::info!("reload: {path} is in force");
        }
        Err(error) => tracing::error!("reload: {error}; {kept}"),
    }
}
