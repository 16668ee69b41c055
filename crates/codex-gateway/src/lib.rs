//! An HTTP gateway for OpenAI Codex traffic, for one person or a team.
//!
//! # The steps of one exchange
//!
//! 1. **Accept** (`http/router.rs`, `server.rs`): header limits, Host, Origin, request id. A
//!    concurrency slot is taken and held until the last byte.
//! 2. **Authenticate** (`exchange/authenticate.rs`): the credential becomes a caller with auth
//!    route, label, plan claim, gateway key and team.
//! 3. **Read** (`exchange/read.rs`): the head of the body (model, stream and what the rules match),
//!    plus the rest, which is buffered or still arriving.
//! 4. **Decide** (`exchange/decide.rs`): a plan or a refusal. Pure; `explain` makes the same call.
//!    If the plan needs the whole body, the rest of it is read now.
//! 5. **Reserve** (`exchange/limiter.rs`): limits reserve the estimated cost at the decided model's
//!    price; the intent is written.
//! 6. **Send** (`exchange/attempt.rs`): rewrite the model, send, classify the response. Another
//!    attempt follows only on "unsupported model" and before the first byte.
//! 7. **Commit** (`exchange/deliver.rs`): status and headers are sent to the client. From here on,
//!    there is no fallback.
//! 8. **Pump** (`exchange/pump.rs`): bytes in, one sans-IO state machine, bytes out.
//! 9. **Settle** (`exchange/settle.rs`): the ledger entry, the metrics, one span, one log line;
//!    then the last event is sent.

pub mod access;
pub mod admin_auth;
pub mod administration;
pub mod app;
pub mod bounded_map;
pub mod cli;
pub mod clock;
pub mod codex_catalog;
pub mod codex_home;
pub mod concurrency;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod doctor;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod http;
pub mod identity;
pub mod ids;
pub mod learned;
pub mod message_socket;
pub mod metrics;
pub mod model_labels;
pub mod model_visibility;
pub mod plan_limits;
pub mod reasoning;
pub mod record;
pub mod recorder;
pub mod reports;
pub mod request_body;
pub mod running;
pub mod sandbox;
pub mod scripted_upstream;
pub mod secret;
pub mod server;
pub mod setup;
pub mod socket_budget;
pub mod tasks;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod traces;
pub mod upstream;
pub mod websocket;
