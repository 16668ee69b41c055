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

/// Starts logging. `filter` is `RUST_LOG`'s text where set; `info` otherwise.
///
/// Dependencies are held at `warn` unless named in the filter: at `trace`, HTTP libraries print
/// header values.
pub fn init(format: LogFormat, filter: Option<&str>) {
    let filter = guarded_filter(filter.unwrap_or("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second initialisation (tests) keeps the first; that is no reason to stop.
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

/// Libraries that print headers or bodies below `info`.
const TALKATIVE: [&str; 6] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "sqlx"];

/// No secret and no body in any log at any level: what others print below `info` stays off,
/// whatever the filter asks.
fn guarded_filter(text: &str) -> EnvFilter {
    let mut filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
    for library in TALKATIVE {
        if let Ok(directive) = format!("{library}=warn").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}
