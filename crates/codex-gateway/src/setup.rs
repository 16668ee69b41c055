//! Points Codex at a gateway, and undoes it: decides what changes in the user's configuration,
//! changes nothing else in it, and remembers enough to put it back byte for byte. Prints nothing
//! and asks nothing; the command line does.

pub mod clients;
pub mod codex;
pub mod diff;
pub mod document;
pub mod plan;
pub mod record;
pub mod target;
