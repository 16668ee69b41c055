//! Dialects: every way in which an "OpenAI-compatible" upstream deviates from the protocol, as
//! plain data.
//!
//! A dialect describes what an upstream accepts and returns; it decides nothing and holds no code
//! per vendor.
//!
//! To add a flag: one field in `dialect/flags.rs`, with its description and its default, and
//! the places that read it. To add an upstream family: one row in `dialect/builtin.rs` and a
//! folder `tests/fixtures/dialect/<name>/`.

mod builtin;
mod flags;
mod phrases;
mod values;

pub use builtin::BUILTIN;
pub use flags::{Dialect, DialectOverrides};
pub use phrases::{Finish, finish_of, known_code};
pub use values::{
    EffortField, Efforts, EmptyContent, MaxTokensField, MissingFinish, ParallelCalls,
    ReasoningEcho, ResponseFormat, SystemMessages, Thinking, ToolChoice,
};

#[cfg(test)]
mod tests;
