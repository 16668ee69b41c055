//! JSON without trees: spans of text, borrowed values, a writer.

pub(crate) mod lenient;
pub(crate) mod raw;
pub(crate) mod span;
pub(crate) mod surrogates;
pub(crate) mod tolerant;
pub(crate) mod write;
