//! The sections of the configuration, one file each: the keys as written (`…Spec`), the defaults as
//! constants, `compile` (default and check), the checked values (`…Settings`), and per key when a
//! change takes effect (`KEYS`).
//!
//! `[routes]`, `[[rules]]`, `[fallback]` and `[[error_patterns]]` are read and checked by
//! gateway-policy; all of them, and `[upstreams.*]`, take effect at a reload.

pub mod admin;
pub mod catalog;
pub mod log;
pub mod models;
pub mod prices;
pub mod server;
pub mod storage;
pub mod upstreams;
