//! `codex-gateway run -- COMMAND…`: runs a client through a gateway, the one that serves already or
//! one that lives as long as the client. Writes nothing into the client's files.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use crate::cli::output::{EXIT_CONFIG, print_error};
use crate::cli::{address, probe};
use crate::codex_home::{BUILT_IN_PROVIDER, CodexHome, find_program};
use crate::config::{self, Overrides, Settings, SourceMap};
use crate::data_dir;
use crate::sandbox;
use crate::setup::document;
use crate::tasks;

/// How long a gateway may take to say that it is there.
const PROBE: Duration = Duration::from_secs(1);
/// As shells say it.
const EXIT_NOT_FOUND: u8 = 127;
/// Of variables by which programs are told of a proxy.
const PROXIES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Codex gets its base URL by an override on its command line, and keeps its sign-in and its sessions.
Other clients get OPENAI_BASE_URL and OPENAI_API_BASE. The exit code is the client's; 127 if it is
not found, 1 or 64 if the gateway cannot be started.

Examples:
  codex-gateway run -- codex
  codex-gateway run -- codex exec 'Explain this repository.'
  codex-gateway run -- aider --model openai/gpt-5.5")]
pub(super) struct RunArgs {
    /// The client and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<String>,
}

/// Runs the client to its end.
pub(super) fn run(overrides: &Overrides, args: &RunArgs) -> ExitCode {
    let Some((name, arguments)) = args.command.split_first() else {
        return ExitCode::FAILURE;
    };
    let Some(program) = resolved(name) else {
        print_error(&format!(
            "error: `{name}` is not found; is it installed and on the PATH?"
        ));
        return ExitCode::from(EXIT_NOT_FOUND);
    };
    let client = RunClient {
        program,
        arguments: arguments.to_vec(),
    };
    let outcome = started(overrides, &client);
    outcome.unwrap_or_else(|problem| {
        print_error(&format!("error: {}", problem.text));
        ExitCode::from(problem.code)
    })
}

struct RunProblem {
    text: String,
    code: u8,
}

impl RunProblem {
    const fn failure(text: String) -> Self {
        Self { text, code: 1 }
    }
}

fn resolved(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 {
        return path.exists().then(|| path.to_owned());
    }
    find_program(name)
}

fn started(overrides: &Overrides, client: &RunClient) -> Result<ExitCode, RunProblem> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| RunProblem::failure(format!("cannot start the runtime: {error}")))?;
    let configured = load(overrides)?;
    let running = address::url(&configured.0, configured.0.server.listen);
    if probe::get(&format!("{running}/healthz"), PROBE).is_ok_and(|answer| answer == "ok") {
        let status = runtime.block_on(client.run(&format!("{running}/v1")));
        return status.map(code).map_err(RunProblem::failure);
    }
    let own = Overrides {
        listen: Some("127.0.0.1:0".to_owned()),
        ..overrides.clone()
    };
    let (mut settings, places) = load(&own)?;
    // One address for one client of this machine.
    settings.server.tls = None;
    settings.admin.listen = None;
    let dir = settings.data_dir.clone();
    if data_dir::is_served(&dir).unwrap_or(false) {
        return Err(RunProblem::failure(format!(
            "another gateway uses {} at another address, perhaps that of `run` in another terminal; \
             start `codex-gateway serve` once for several clients, or name another --data-dir",
            dir.display()
        )));
    }
    let served = sandbox::serve_while(settings, places, None, async |gateway| {
        print_error(&format!(
            "codex-gateway: serves this client on {}, records in {}",
            gateway.base_url(),
            dir.display()
        ));
        client.run(&gateway.base_url()).await
    });
    let status = runtime.block_on(served);
    runtime.shutdown_timeout(Duration::from_secs(1));
    let status = status.map_err(|error| RunProblem::failure(format!("{error:#}")))?;
    status.map(code).map_err(RunProblem::failure)
}

fn load(overrides: &Overrides) -> Result<(Settings, SourceMap), RunProblem> {
    let wrong = |text: String| RunProblem {
        text,
        code: EXIT_CONFIG,
    };
    let loaded = config::load(overrides).map_err(wrong)?;
    let places = SourceMap::new(&loaded.source);
    let report = loaded.report(false);
    let settings = loaded
        .settings
        .ok_or_else(|| wrong(format!("the configuration has errors\n{report}")))?;
    Ok((settings, places))
}

struct RunClient {
    program: PathBuf,
    arguments: Vec<String>,
}

impl RunClient {
    /// Starts it, hands signals on to it, and waits.
    async fn run(&self, base_url: &str) -> Result<ExitStatus, String> {
        let mut command = Command::new(&self.program);
        if self.is_codex() {
            command.args(["-c", &override_for(base_url)]);
        }
        command
            .args(&self.arguments)
            .env("OPENAI_BASE_URL", base_url)
            .env("OPENAI_API_BASE", base_url);
        direct_to_loopback(&mut command);
        // From here on signals are for the client; before, they would have ended this process.
        let signals = signals::Forwarded::listen().map_err(|error| error.to_string())?;
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let id = child.id();
        let ended = tasks::run_blocking(true, move || child.wait());
        tokio::pin!(ended);
        tokio::select! {
            status = &mut ended => answer(status),
            never = signals.forward(id) => match never {},
        }
    }

    fn is_codex(&self) -> bool {
        self.program.file_stem().is_some_and(|name| name == "codex")
    }
}

fn answer(status: Option<std::io::Result<ExitStatus>>) -> Result<ExitStatus, String> {
    match status {
        Some(Ok(status)) => Ok(status),
        Some(Err(error)) => Err(format!("cannot wait for the client: {error}")),
        None => Err("cannot wait for the client".to_owned()),
    }
}

/// What points Codex at the gateway for one run: its provider stays, and so does its history.
fn override_for(base_url: &str) -> String {
    let url = document::quoted(base_url);
    let active = CodexHome::find().ok().and_then(|home| {
        let text = std::fs::read_to_string(home.config_file(None)).ok()?;
        let file = document::values(&text).ok()?;
        file.get("model_provider")?.as_str().map(str::to_owned)
    });
    match active.filter(|active| active != BUILT_IN_PROVIDER) {
        Some(active) => format!("model_providers.{active}.base_url={url}"),
        None => format!("openai_base_url={url}"),
    }
}

/// A proxy of the environment is not asked for this machine.
fn direct_to_loopback(command: &mut Command) {
    if PROXIES
        .into_iter()
        .all(|name| config::environment(name).is_none())
    {
        return;
    }
    for name in ["NO_PROXY", "no_proxy"] {
        let before = config::environment(name)
            .map(|list| format!("{list},"))
            .unwrap_or_default();
        command.env(name, format!("{before}127.0.0.1,localhost"));
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    // As shells say it: 128 and the signal.
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Ctrl-C reaches the client by the terminal itself; what is sent to this process alone is handed
/// on.
#[cfg(unix)]
mod signals {
    use std::convert::Infallible;

    use rustix::process::{Pid, Signal as Number, kill_process};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Forwarded {
        terminate: Signal,
        hang_up: Signal,
        quit: Signal,
        interrupt: Signal,
    }

    impl Forwarded {
        pub(super) fn listen() -> std::io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                hang_up: signal(SignalKind::hangup())?,
                quit: signal(SignalKind::quit())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }

        pub(super) async fn forward(mut self, client: u32) -> Infallible {
            loop {
                let number = tokio::select! {
                    _ = self.terminate.recv() => Number::TERM,
                    _ = self.hang_up.recv() => Number::HUP,
                    _ = self.quit.recv() => Number::QUIT,
                    _ = self.interrupt.recv() => Number::INT,
                };
                let is_from_terminal = matches!(number, Number::INT | Number::QUIT)
                    && std::io::IsTerminal::is_terminal(&std::io::stdin());
                let pid = i32::try_from(client).ok().and_then(Pid::from_raw);
                if let Some(pid) = pid.filter(|_| !is_from_terminal) {
                    // It may have ended just now.
                    if let Err(error) = kill_process(pid, number) {
                        tracing::debug!(%error, "a signal did not reach the client");
                    }
                }
            }
        }
    }
}

/// The console hands Ctrl-C to both; this process only has to outlive it.
#[cfg(not(unix))]
mod signals {
    use std::convert::Infallible;

    pub(super) struct Forwarded;

    impl Forwarded {
        pub(super) fn listen() -> std::io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn forward(self, _: u32) -> Infallible {
            loop {
                drop(tokio::signal::ctrl_c().await);
            }
        }
    }
}
