//! Logging: where it goes, in which format, with which fields. Writes to standard error, so that
//! standard output stays for answers.

mod log_queue;

use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;

pub use log_queue::LogGuard;
use log_queue::LogQueue;

/// Lines that could not be written since [`take_dropped_lines`] was last called.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many log lines were dropped since the last call.
pub fn take_dropped_lines() -> u64 {
    DROPPED.swap(0, Ordering::Relaxed)
}

/// Format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. `filter` is in the syntax of `RUST_LOG`; `info` without one.
///
/// HTTP, TLS and SQL crates are held at `warn`: below that, they log header values.
///
/// # Errors
/// When the system does not start the thread that writes the log.
pub fn init(
    format: LogFormat,
    filter: Option<&str>,
    is_coloured: bool,
) -> std::io::Result<LogGuard> {
    let filter = guarded_filter(filter.unwrap_or("info"));
    let queue = LogQueue::start(std::io::stderr(), &DROPPED)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(queue.clone())
        // Internal errors would be printed to standard error, which panics when that fails.
        .log_internal_errors(false)
        .with_target(false);
    // A second initialisation (in tests) keeps the first.
    drop(match format {
        LogFormat::Text => builder.with_ansi(is_coloured).try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    });
    Ok(LogGuard(queue))
}

/// Crates that log headers or bodies below `info`.
const NOISY_CRATES: [&str; 6] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "sqlx"];

/// The filter without what other crates log below `info`, whatever it asks for: no secret and no
/// body may appear in a log at any level.
fn guarded_filter(text: &str) -> EnvFilter {
    let mut filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
    for name in NOISY_CRATES {
        if let Ok(directive) = format!("{name}=warn").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}
