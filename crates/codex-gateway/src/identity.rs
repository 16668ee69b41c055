//! Who is asking: the credential on a request, and the gateway keys that the store knows.

pub mod credentials;
pub mod keys;
