//! The checks before everything else, and where a request comes from.

pub mod client_address;
pub mod guess_rate;
pub mod request_guard;
