//! Reads the few fields of a request body that decisions hang on, in one pass, from a whole body or
//! from one that is still arriving.
//!
//! Checks that the body is one JSON object, by the grammar `serde_json` accepts, and that it names
//! one model only. Builds no value of it and keeps nothing but [`RequestHead`].

mod ambiguity;
mod error;
mod features;
mod head;
mod references;
mod scan;
mod text;

pub use ambiguity::{Ambiguity, AmbiguityKind, ambiguity};
pub use error::{RequestError, RequestErrorKind};
pub use features::{RequestFeatures, features};
pub use head::{ClientMetadata, ModelValue, RequestHead};
pub use references::{OtherModel, Reference, other_models, references};
pub use scan::{HeadScanner, scan};

#[cfg(test)]
mod tests;
