//! Upstreams as the process reaches them: the client, the headers that cross, the decoding of
//! answers.

pub mod client;
pub mod decoded;
pub mod failure;
pub mod headers;
