//! Codex's own catalogue of models, as files and as entries of the operator.

pub mod entries;
pub mod file;
