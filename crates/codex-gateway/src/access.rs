//! Who may speak to the listener at all: where a request comes from, and the checks before everything else.

pub mod client_address;
pub mod request_guard;
