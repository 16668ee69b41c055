//! `[log]`: the shape of log lines. The level is `RUST_LOG`'s.

use serde::Deserialize;

use crate::config::key::{Key, next_start};
use crate::telemetry::LogFormat;

/// Default of `format`.
pub const FORMAT: LogFormat = LogFormat::Text;

/// When a change of each key takes effect.
pub const KEYS: &[Key<LogSettings>] = &[next_start!(format)];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    pub format: Option<LogFormat>,
}

/// The checked values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    pub format: LogFormat,
}

/// Fills in the defaults.
pub fn compile(spec: &LogSpec) -> LogSettings {
    LogSettings {
        format: spec.format.unwrap_or(FORMAT),
    }
}
