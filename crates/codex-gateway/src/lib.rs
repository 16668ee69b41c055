//! The local and team-wide HTTP gateway for OpenAI Codex traffic.
//!
//! # The walk of one request
//!
//! 1. **Accept** (`http/router.rs`, `server.rs`): header limits, Host, Origin, request id. A place
//!    is taken and held until the last byte.
//! 2. **Who** (`identity/credentials.rs`): the credential becomes a caller: auth route, label, plan claim,
//!    gateway key, team.
//! 3. **What** (`request_body.rs`): a head (model, stream, what the rules ask about) plus a tail
//!    that is replayable or streamed.
//! 4. **Decide** (`gateway_policy`): a plan or a refusal; pure, the same call backs `explain`.
//! 5. **Admit** and **intent** (`exchange/prepare.rs`): limits reserve at the decided model's
//!    price; what is about to be sent is written.
//! 6. **Attempt(s)** (`exchange/attempt.rs`): splice, send, classify; another attempt only on
//!    "unsupported" and before the first byte.
//! 7. **Commit** (`exchange/deliver.rs`): status and headers go to the client; from here on there
//!    is no fallback.
//! 8. **Pump** (`exchange/pump.rs`): bytes in, one sans-IO machine, bytes out.
//! 9. **Settle** (`exchange/settle.rs`): the ledger entry, the metrics, one span, one log line;
//!    then the last event leaves.

pub mod access;
pub mod admin_auth;
pub mod administration;
pub mod app;
pub mod bounded_map;
pub mod cli;
pub mod clock;
pub mod codex_catalog;
pub mod config;
pub mod data_dir;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod http;
pub mod identity;
pub mod ids;
pub mod learned;
pub mod metrics;
pub mod model_visibility;
pub mod plan_limits;
pub mod reasoning;
pub mod record;
pub mod recorder;
pub mod reports;
pub mod request_body;
pub mod secret;
pub mod server;
pub mod slots;
pub mod tasks;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod traces;
pub mod upstream;
