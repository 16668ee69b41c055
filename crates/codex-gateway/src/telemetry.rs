//! Logging: where it goes, in which shape, with which fields. Writes to standard error, so that
//! standard output stays for answers.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Shape of a log line.
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
pub fn init(format: LogFormat, filter: Option<&str>) {
    let filter = guarded_filter(filter.unwrap_or("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second initialisation (in tests) keeps the first.
    drop(match format {
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
    });
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
