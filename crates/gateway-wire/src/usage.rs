//! Tokens as billed. Refuses readings that cannot be true; never invents one.

mod cost;
mod count;
mod extension;
mod read;
mod repair;
mod tokens;

pub(crate) use extension::extension_usage;
pub use read::{UsageObject, read_usage};
pub(crate) use repair::repair_usage;
pub use tokens::{MAX_COUNT, Usage, UsageError, UsageReading};

#[cfg(test)]
mod tests;
