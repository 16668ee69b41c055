//! Tests of the crate from outside, over the fixtures beside it.

#[cfg(test)]
mod relay;
