//! The real gateway as a child process with a data directory of its own, killed by its process id
//! at the end.

use crate::TEST_TIMEOUT;
use crate::client::{Checks, Client, Reply};
use crate::sample;
use crate::secrets::Secrets;
use crate::upstream::Upstream;
use crate::wait::poll_interval;
use serde_json::Value;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod config;
mod process;

pub use config::Config;

/// The program under test: `CODEX_GATEWAY_BIN`, or the one that cargo built beside the running
/// test.
pub fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("CODEX_GATEWAY_BIN") {
        return PathBuf::from(program);
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let program = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/<profile>/deps")
        .join("gateway-under-test");
    assert!(
        program.exists(),
        "{} is not built; `cargo test` builds it with the tests",
        program.display()
    );
    program
}

/// The gateway's command line in a clean environment: no variable of the person who runs the tests
/// reaches it.
pub fn command(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(place)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place)
        .env("XDG_STATE_HOME", place.join("state"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    place: tempfile::TempDir,
    output: Arc<Mutex<String>>,
    start: Start,
    secrets: Secrets,
}

/// How a gateway starts.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// `None` starts with the built-in defaults and no file. `SELF` stands for the gateway's own
    /// address.
    pub config: Option<String>,
    /// Names and contents of files beside the configuration.
    pub files: Vec<(String, String)>,
    pub environment: Vec<(String, String)>,
    pub arguments: Vec<String>,
    pub log: LogTarget,
}

/// Where standard error goes.
#[derive(Debug, Clone, Copy, Default)]
pub enum LogTarget {
    /// Into [`Gateway::output`].
    #[default]
    Captured,
    /// Into a file that exists, such as `/dev/full`.
    File(&'static str),
    /// Into a pipe that is closed at the other end.
    ClosedPipe,
    /// Into a pipe that is full and that nobody reads, like a terminal that hangs.
    FullPipe,
}

impl LogTarget {
    fn open(self) -> Stdio {
        match self {
            Self::Captured => Stdio::piped(),
            Self::File(path) => std::fs::OpenOptions::new()
                .write(true)
                .open(path)
                .expect("the file can be opened")
                .into(),
            Self::ClosedPipe => std::io::pipe().expect("a pipe").1.into(),
            Self::FullPipe => {
                let (reader, writer) = std::io::pipe().expect("a pipe");
                let mut filler = writer.try_clone().expect("a second writer");
                std::thread::spawn(move || {
                    let _reader = reader;
                    // Blocks for as long as the tests run.
                    let _ = filler.write_all(&vec![b'x'; 1 << 20]);
                });
                writer.into()
            }
        }
    }
}

/// The credential of the gateway's own that [`Gateway::of_a_team`] sends to its upstream.
pub const TEAM_CREDENTIAL: &str = "sk-canary-team-credential-90aa";

impl Gateway {
    /// Starts with a route for gateway keys, whose upstream gets a credential of the gateway's own,
    /// and with more tables.
    pub async fn of_a_team(upstream: &Upstream, more: &str) -> Self {
        Self::of_a_team_with(upstream, "", more).await
    }

    /// The same with more keys of that upstream.
    pub async fn of_a_team_with(upstream: &Upstream, keys: &str, more: &str) -> Self {
        Self::of_a_team_by(Config::to(upstream), upstream, keys, more).await
    }

    /// The same with a configuration of the test's own.
    pub async fn of_a_team_by(config: Config, upstream: &Upstream, keys: &str, more: &str) -> Self {
        let tables = format!(
            "[upstreams.team]\nbase_url = \"{}\"\nwire_api = [\"responses\", \"chat\"]\ncredential = {{ env = \"TEAM_KEY\" }}\n{keys}\n\n\
             [routes]\ngateway_key = \"team\"\n\n{more}\n",
            upstream.base_url()
        );
        Self::start_with(Start {
            config: Some(config.rest(&tables).text()),
            environment: vec![("TEAM_KEY".to_owned(), TEAM_CREDENTIAL.to_owned())],
            ..Start::default()
        })
        .await
    }

    /// Starts and waits until it is ready; panics with its output when it is not.
    pub async fn start(config: &Config) -> Self {
        Self::start_with(Start {
            config: Some(config.text()),
            ..Start::default()
        })
        .await
    }

    pub async fn start_with(start: Start) -> Self {
        let mut gateway = Self::spawn(&start);
        gateway.wait_until_ready().await;
        gateway
    }

    /// Starts without waiting for anything.
    pub fn spawn(start: &Start) -> Self {
        let place = tempfile::tempdir().expect("a temporary directory");
        let address = free_address();
        if let Some(config) = &start.config {
            let config = config.replace("SELF", &address.to_string());
            std::fs::write(place.path().join("gateway.toml"), config)
                .expect("the config can be written");
        }
        for (name, contents) in &start.files {
            std::fs::write(place.path().join(name), contents).expect("a file can be written");
        }
        let output = Arc::new(Mutex::new(String::new()));
        let secrets = Secrets::default();
        for secret in [
            sample::API_KEY,
            &sample::chatgpt_token(),
            sample::FAKE_ACCOUNT,
        ] {
            secrets.note(secret);
        }
        for (name, value) in &start.environment {
            if ["KEY", "TOKEN", "SECRET"]
                .iter()
                .any(|word| name.contains(word))
            {
                secrets.note(value);
            }
        }
        let child = serve(place.path(), address, start, &output);
        Self {
            child,
            address,
            place,
            output,
            start: start.clone(),
            secrets,
        }
    }

    /// Starts it again after its end, on the same address and data, and waits until it is ready.
    pub async fn start_again(&mut self) {
        assert!(!self.is_running(), "it has to end first");
        self.child = serve(self.place.path(), self.address, &self.start, &self.output);
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while started.elapsed() < TEST_TIMEOUT {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the gateway can be waited for")
            {
                panic!(
                    "the gateway ended instead of serving ({status}):\n{}",
                    self.output()
                );
            }
            if is_ready(self.address).await {
                return;
            }
            poll_interval().await;
        }
        panic!(
            "the gateway is not ready after {TEST_TIMEOUT:?}:\n{}",
            self.output()
        );
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into Codex's configuration.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A client that checks every answer: no credential that was sent may appear in one, nor the
    /// admin token.
    pub fn client(&self) -> Client {
        let token = std::fs::read_to_string(self.data_dir().join("admin-token"));
        self.secrets.note(&token.unwrap_or_default());
        let secrets = self.secrets.clone();
        Client::checking(self.address, Checks { secrets })
    }

    /// The credentials that must turn up nowhere; a test adds what it sends by other ways.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// For the test of the search alone: as if the gateway had written this.
    pub fn plant_in_output(&self, text: &str) {
        let mut output = self
            .output
            .lock()
            .expect("no thread panics while it writes");
        output.push_str(text);
    }

    /// Takes back what was planted, and all that was written before.
    pub fn forget_output(&self) {
        let mut output = self
            .output
            .lock()
            .expect("no thread panics while it writes");
        output.clear();
    }

    /// Where credentials turned up that belong nowhere.
    pub fn leaks(&mut self) -> Vec<String> {
        let address = self.is_running().then_some(self.address);
        self.secrets
            .leaks(&self.output(), &self.data_dir(), address)
    }

    /// All ledger entries so far as scripts get them, the newest first.
    pub async fn entries(&self) -> Vec<Value> {
        let token = std::fs::read_to_string(self.data_dir().join("admin-token"))
            .expect("a gateway that serves has made its admin token");
        let reply = self
            .client()
            .get("/api/exchanges?limit=1000")
            .bearer(token.trim())
            .send()
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let items = reply.json()["items"].as_array().cloned();
        items.expect("a list of entries")
    }

    /// The one entry of the exchange that a reply belongs to.
    pub async fn entry_of(&self, reply: &Reply) -> Value {
        let id = reply.header("x-gateway-request-id");
        let mut entries = self.entries().await;
        entries.retain(|entry| entry["id"].as_str() == id);
        assert_eq!(entries.len(), 1, "entries of {id:?}");
        entries.remove(0)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.place.path().join("data")
    }

    pub fn config_file(&self) -> PathBuf {
        self.place.path().join("gateway.toml")
    }

    /// Runs a command in a process of its own, on the store of this one and with its environment;
    /// panics when it fails.
    pub fn administer(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--data-dir", "data", "--config", "gateway.toml"];
        all.extend(arguments);
        let output = command(self.place.path(), &all)
            .envs(self.start.environment.iter().cloned())
            .output()
            .expect("the gateway's program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    /// Makes a gateway key and waits until it is known here; answers its id and the key.
    pub async fn new_key(&self, arguments: &[&str]) -> (String, String) {
        let mut all = vec!["keys", "create", "--json"];
        all.extend(arguments);
        let made: serde_json::Value =
            serde_json::from_str(&self.administer(&all)).expect("the command answers JSON");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        let (id, key) = (text("id"), text("key"));
        let started = Instant::now();
        let client = self.client();
        // The catalogue that Codex asks for: no request that a limit counts.
        let known = || {
            client
                .get("/v1/models?client_version=0")
                .bearer(&key)
                .send()
        };
        while known().await.status == 401 {
            assert!(
                started.elapsed() < TEST_TIMEOUT,
                "the key is never known\n{}",
                self.output()
            );
        }
        (id, key)
    }

    /// Everything it wrote to stdout and stderr so far.
    pub fn output(&self) -> String {
        self.output
            .lock()
            .expect("the reading threads do not panic")
            .clone()
    }

    /// Waits until the output contains a text.
    pub async fn wait_for_output(&self, text: &str) {
        let started = Instant::now();
        while !self.output().contains(text) {
            assert!(
                started.elapsed() < TEST_TIMEOUT,
                "the gateway never wrote `{text}`:\n{}",
                self.output()
            );
            poll_interval().await;
        }
    }

    /// Sends a signal such as `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("there is a shell");
        assert!(sent.success(), "`{kill}` failed");
    }

    /// Waits until it ends by itself.
    pub async fn wait_for_exit(&mut self, within: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the gateway can be waited for")
            {
                return status;
            }
            assert!(
                started.elapsed() < within,
                "the gateway has not ended within {within:?}:\n{}",
                self.output()
            );
            poll_interval().await;
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the gateway can be waited for")
            .is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let leaks = if std::thread::panicking() {
            Vec::new()
        } else {
            self.leaks()
        };
        if self.child.kill().is_ok() {
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- output of the gateway ---\n{}", self.output());
        }
        assert!(leaks.is_empty(), "credentials leaked: {leaks:#?}");
    }
}

/// What a command of the gateway's that ends by itself wrote.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command such as `check` to its end.
pub fn run(place: &Path, arguments: &[&str]) -> Ended {
    let output = command(place, arguments)
        .output()
        .expect("the gateway's program starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn serve(place: &Path, address: SocketAddr, start: &Start, output: &Arc<Mutex<String>>) -> Child {
    let listen = address.to_string();
    let mut arguments = vec!["--data-dir", "data", "serve", "--listen", listen.as_str()];
    if start.config.is_some() {
        arguments.extend(["--config", "gateway.toml"]);
    }
    arguments.extend(start.arguments.iter().map(String::as_str));
    let mut child = command(place, &arguments)
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(start.log.open())
        .spawn()
        .expect("the gateway's program starts");
    collect(
        child.stdout.take().expect("stdout is piped"),
        Arc::clone(output),
    );
    if let Some(stderr) = child.stderr.take() {
        collect(stderr, Arc::clone(output));
    }
    child
}

fn collect(mut stream: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            output
                .lock()
                .expect("no thread panics while it writes")
                .push_str(&text);
        }
    });
}

/// A port that was free a moment ago; the kernel hands out others first, so it stays free for a
/// while.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener
        .local_addr()
        .expect("a bound listener has an address")
}

async fn is_ready(address: SocketAddr) -> bool {
    if tokio::net::TcpStream::connect(address).await.is_err() {
        return false;
    }
    Client::direct(address).get("/readyz").send().await.status == 200
}
