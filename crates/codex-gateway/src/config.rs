//! Configuration: where it is looked for, what it may say, what it compiles to.
//!
//! One file per section (`sections/`) has all of a key's life: the key as written, its default, its
//! check, its value, and when a change takes effect.

pub mod active;
mod common_mistakes;
pub mod compile;
pub mod diagnostic;
pub mod file;
pub mod key;
pub mod load;
pub mod network;
mod other_file;
mod redact;
pub mod reload;
mod secret_source;
pub mod sections;
pub mod settings;
pub mod source;
pub mod source_map;
#[cfg(test)]
mod tests;
mod values;

pub use load::{Loaded, check, load};
pub use network::ShareKeys;
pub use sections::admin::{AdminToken, is_hard_to_guess};
pub use sections::prices::Unpriced;
pub use sections::server::OnDisconnect;
pub use sections::storage::RecordedRepos;
pub use settings::Settings;
pub use source::{Overrides, SecretsRead, Source, environment};
pub use source_map::SourceMap;
