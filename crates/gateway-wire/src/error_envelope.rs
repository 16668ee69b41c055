//! The shapes in which upstreams wrap an error: in a refusal's body, inside a stream, and inside an
//! answer with a good status. Finds the words; never judges them.

mod detect;
mod read;

pub(crate) use detect::error_in;
pub(crate) use read::ErrorEnvelope;

#[cfg(test)]
mod tests;
