//! The real Codex CLI: first straight at the scripted upstream, which is what the gateway is
//! measured against, then through the gateway. Needs the CLIs (`scripts/install-codex.sh`); `make
//! test-all` runs it and fails without them.

mod attribution;
mod direct;
mod doctor;
mod failures;
mod fallback;
mod gateway;
mod keys;
mod run;
mod setup;
mod tool_servers;
mod translate;
