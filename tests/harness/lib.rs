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

/// How long anything in a test may take before it counts as hanging.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
