//! Tokens as billed. Refuses readings that cannot be true; never invents one.

mod cost;
mod count;
mod read;
mod repair;
mod tokens;

pub use read::{UsageObject, read_usage};
pub(crate) use repair::repair_usage;
pub use tokens::{MAX_COUNT, Usage, UsageError, UsageReading};

#[cfg(test)]
mod tests;
