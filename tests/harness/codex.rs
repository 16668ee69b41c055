//! The real Codex CLI, run for one turn in a throwaway home, with no way to anything beyond
//! loopback.

mod setup;

pub use setup::{FAKE_ACCOUNT, SetUp, chatgpt_token};

use crate::normalise::normalise;
use crate::wait::POLL_INTERVAL;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The version that everything is measured with.
pub const CURRENT: &str = "0.169.0";
/// The newest one, for what people do with the client they install today.
pub const NEWEST: &str = "0.171.0";
/// The last generation that spoke Chat Completions.
pub const LAST_CHAT: &str = "0.77.0";

/// A turn that takes longer hangs.
const LONGEST_TURN: Duration = Duration::from_secs(90);

/// A port where nothing ever listens: Codex's own account and telemetry calls fail there at once.
/// Without it they wait for a network that tests do not have, and a turn starts half a minute late.
const NOWHERE: &str = "http://127.0.0.1:9";

/// An installed Codex with a home of its own.
#[derive(Debug)]
pub struct Codex {
    program: PathBuf,
    place: tempfile::TempDir,
}

impl Codex {
    /// Panics with what to do when this version is not installed.
    pub fn new(version: &str) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools");
        let program = tools.join(format!("codex-{version}/codex"));
        assert!(
            program.exists(),
            "Codex {version} is not installed; run scripts/install-codex.sh (`make test-all` does)"
        );
        let place = tempfile::tempdir().expect("a temporary directory");
        Self { program, place }
    }

    /// Codex's home, which is made anew by each turn.
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// Runs one turn against `base_url` and waits for its end.
    pub async fn turn(&self, set_up: &SetUp, base_url: &str, prompt: &str) -> Turn {
        self.turn_with(set_up, base_url, prompt, &[]).await
    }

    /// The same with arguments behind the prompt, such as `-i FILE`.
    pub async fn turn_with(
        &self,
        set_up: &SetUp,
        base_url: &str,
        prompt: &str,
        arguments: &[&str],
    ) -> Turn {
        self.prepare(set_up, base_url);
        let mut command = self.command(set_up);
        command.args(["exec", "--json", "--skip-git-repo-check", prompt]);
        command.args(arguments);
        self.run(command).await
    }

    /// The directory that Codex works in; each turn but a resumed one finds it empty.
    pub fn work(&self) -> PathBuf {
        self.place.path().join("work")
    }

    /// A second turn in the home that the last one left.
    pub async fn resume(&self, set_up: &SetUp, prompt: &str) -> Turn {
        let mut command = self.command(set_up);
        command.args([
            "exec",
            "resume",
            "--last",
            "--json",
            "--skip-git-repo-check",
            prompt,
        ]);
        self.run(command).await
    }

    /// Any other command, in a fresh home.
    pub async fn other(&self, set_up: &SetUp, base_url: &str, arguments: &[&str]) -> Turn {
        self.prepare(set_up, base_url);
        let mut command = self.command(set_up);
        command.args(arguments);
        self.run(command).await
    }

    /// Makes home and working directory empty again, at the same paths: paths are part of what
    /// Codex sends.
    fn prepare(&self, set_up: &SetUp, base_url: &str) {
        for name in ["home", "work"] {
            let directory = self.place.path().join(name);
            if directory.exists() {
                std::fs::remove_dir_all(&directory).expect("an old run's directory can go");
            }
            std::fs::create_dir(&directory).expect("a directory can be made");
        }
        set_up.write(&self.home(), base_url, NOWHERE);
        set_up.write_work(&self.work());
    }

    fn command(&self, set_up: &SetUp) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.place.path().join("work"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home())
            .env("CODEX_HOME", self.home())
            .env("TERM", "dumb")
            .env("HTTP_PROXY", NOWHERE)
            .env("HTTPS_PROXY", NOWHERE)
            .env("ALL_PROXY", NOWHERE)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .envs(set_up.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self, command: Command) -> Turn {
        tokio::task::spawn_blocking(move || run_to_end(command))
            .await
            .expect("Codex runs")
    }
}

fn run_to_end(mut command: Command) -> Turn {
    let started = Instant::now();
    let mut child = command.spawn().expect("Codex starts");
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child, started + LONGEST_TURN);
    let (stdout, stderr) = (
        stdout.join().expect("stdout is read"),
        stderr.join().expect("stderr is read"),
    );
    let status =
        status.unwrap_or_else(|| panic!("Codex did not end\nstdout: {stdout}\nstderr: {stderr}"));
    Turn {
        status,
        stdout,
        stderr,
        took: started.elapsed(),
    }
}

fn drain(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut stream = stream.expect("the stream is piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .expect("the stream can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Kills the child when it has not ended by then.
fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    while Instant::now() < until {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return Some(status);
        }
        std::thread::park_timeout(POLL_INTERVAL);
    }
    child.kill().expect("the child can be killed");
    child.wait().expect("the child can be waited for");
    None
}

/// What Codex said and how it ended.
#[derive(Debug)]
pub struct Turn {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Turn {
    /// The events of `--json`, line by line.
    pub fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The events without what varies between runs.
    pub fn comparable_events(&self) -> Vec<Value> {
        self.events()
            .iter()
            .map(|event| normalise(event, &[]))
            .collect()
    }

    /// The completed items of a kind, such as `agent_message` or `command_execution`.
    pub fn items(&self, kind: &str) -> Vec<Value> {
        let completed = self
            .events()
            .into_iter()
            .filter(|event| event["type"] == "item.completed");
        completed
            .map(|event| event["item"].clone())
            .filter(|item| item["type"] == kind)
            .collect()
    }

    /// The texts that Codex showed as the model's.
    pub fn messages(&self) -> Vec<String> {
        let items = self.items("agent_message");
        items
            .iter()
            .filter_map(|item| item["text"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// What Codex showed as errors, reconnects included.
    pub fn errors(&self) -> Vec<String> {
        let events = self.events();
        let shown = events
            .iter()
            .filter_map(|event| match event["type"].as_str() {
                Some("error") => event["message"].as_str(),
                Some("turn.failed") => event["error"]["message"].as_str(),
                Some("item.completed") if event["item"]["type"] == "error" => {
                    event["item"]["message"].as_str()
                }
                _ => None,
            });
        shown.map(str::to_owned).collect()
    }

    /// `usage` of the completed turn, `Null` when it did not complete.
    pub fn usage(&self) -> Value {
        let events = self.events();
        let completed = events
            .iter()
            .find(|event| event["type"] == "turn.completed");
        completed
            .map(|event| event["usage"].clone())
            .unwrap_or_default()
    }

    /// Panics unless the turn completed without any error shown.
    #[track_caller]
    pub fn assert_clean(&self) {
        let clean = self.status.success() && self.errors().is_empty() && !self.usage().is_null();
        assert!(
            clean,
            "the turn went wrong ({})\nstdout: {}\nstderr: {}",
            self.status, self.stdout, self.stderr
        );
    }
}
