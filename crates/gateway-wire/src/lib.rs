//! Understands and translates the two OpenAI wire formats, Responses and Chat Completions, without
//! a socket.
//!
//! No I/O, no clock, no task, no log. Everything here is a pure function or a machine that is fed
//! bytes and asked for steps, so that every split of a stream can be tested.

pub mod adjust;
mod chat;
pub mod codex;
pub mod dialect;
mod error_envelope;
pub mod failure;
pub mod hosted_tools;
mod json;
pub mod relay;
pub mod reply;
pub mod request;
mod responses;
pub mod socket;
pub mod splice;
pub mod sse;
pub mod stored_items;
pub mod stream;
pub mod stream_usage;
pub mod synthesize;
pub mod translate;
pub mod usage;
pub mod wire_api;
pub mod words;

pub use dialect::Dialect;
pub use failure::{Evidence, Failure, OperatorPattern, SendState, Verdict, classify};
pub use usage::{Usage, UsageError};
pub use wire_api::WireApi;
