//! Who is asking: the credential on a request, and the gateway keys that the store knows.

pub mod caller;
pub mod client;
pub mod credentials;
pub mod grant;
mod key_lookups;
pub mod keys;
