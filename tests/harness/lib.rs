//! What the end-to-end tests stand on: a scripted upstream, the gateway as a child process, a
//! client that sees bytes, and the real Codex CLI. Nothing here knows how the gateway works inside;
//! it knows HTTP and the two wires.

pub mod client;
pub mod codec;
pub mod codex;
pub mod gateway;
pub mod http1;
pub mod normalise;
pub mod postgres;
pub mod sample;
pub mod secrets;
pub mod upstream;
pub mod wait;
pub mod websocket;

use gateway::{Config, Gateway};
use upstream::{Script, Step, Upstream};

/// Starts an upstream that follows a script, and a gateway before it with the default test
/// configuration.
pub async fn start(script: impl Into<Script>) -> (Upstream, Gateway) {
    start_with(script, |config| config).await
}

/// The same with a configuration of the test's own.
pub async fn start_with(
    script: impl Into<Script>,
    configure: impl FnOnce(Config) -> Config,
) -> (Upstream, Gateway) {
    let upstream = Upstream::with(script.into()).await;
    let gateway = Gateway::start(&configure(Config::to(&upstream))).await;
    (upstream, gateway)
}

impl From<Vec<Step>> for Script {
    fn from(steps: Vec<Step>) -> Self {
        Self::steps(steps)
    }
}

/// How long anything in a test may take before it counts as hanging.
pub const TEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
