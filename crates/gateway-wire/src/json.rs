//! JSON without trees: spans of text, borrowed values, a writer.

pub(crate) mod raw;
pub(crate) mod span;
pub(crate) mod write;
