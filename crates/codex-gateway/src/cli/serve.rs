//! `codex-gateway serve`: reads the configuration, opens the process and passes signals on to it.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::FromRef as _;
use gateway_ledger::Ledger;
use gateway_policy::problem::Severity;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{App, Sockets};
use crate::cli::banner::Served;
use crate::cli::dashboard;
use crate::cli::output::{EXIT_CONFIG, is_error_coloured, print_error, print_out};
use crate::cli::store::actor;
use crate::clock::Clock;
use crate::config::active::ActiveConfig;
use crate::config::{self, Overrides, SourceMap};
use crate::data_dir::DataDir;
use crate::server::Listener;
use crate::telemetry;

/// Arguments of `serve`.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ServeArgs {
    /// The address to listen on, such as 127.0.0.1:8787.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

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
        print_error(&loaded.report(is_error_coloured()));
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
    let log = telemetry::init(
        settings.log.format,
        config::environment("RUST_LOG").as_deref(),
        is_error_coloured(),
    );
    let _log = match log {
        Ok(guard) => guard,
        Err(error) => {
            print_error(&format!("error: cannot start the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
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

async fn serve(
    config: ActiveConfig,
    overrides: Overrides,
    config_path: &str,
) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&config.settings.data_dir)?;
    if data_dir.is_writable_by_others() {
        tracing::warn!(
            "other users may change the files of {0}; `chmod go-w {0}` keeps them out",
            data_dir.path().display()
        );
    }
    let sockets = Sockets::bind(&config.settings).await?;
    let app = Arc::new(App::open(config, &data_dir, Clock::system()).await?);
    let listeners = app.listeners(sockets);
    // Before the announcement: whoever reads it may send one at once.
    let signals = Signals::listen().context("cannot listen for signals")?;
    announce(&app, &listeners, config_path, data_dir.path()).await?;
    app.tasks()
        .spawn_background("signals", signals.watch(Arc::clone(&app), overrides));
    app.run(listeners).await;
    Ok(())
}

/// Says that it serves: to a terminal with what to do next, and a link into the dashboard.
async fn announce(
    app: &App,
    listeners: &[Listener],
    config: &str,
    data_dir: &std::path::Path,
) -> anyhow::Result<()> {
    let served = Served::by(listeners)?;
    if !std::io::stdout().is_terminal() {
        print_out(&served.line(config, data_dir));
        return Ok(());
    }
    let ledger = Ledger::from_ref(app.state());
    let link = ledger
        .create_sign_in(dashboard::LIFETIME, actor())
        .await
        .ok();
    let secret = link.as_ref().map(gateway_ledger::IssuedSecret::reveal);
    print_out(&served.page(config, data_dir, secret));
    Ok(())
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
    async fn watch(mut self, app: Arc<App>, overrides: Overrides) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => app.stop(),
                _ = self.interrupt.recv() => app.stop(),
                _ = self.hang_up.recv() => app.reload(&overrides),
            }
        }
    }
}
