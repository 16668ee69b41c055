//! What is wrong with a configuration, collected rather than thrown. Knows spans, never files or
//! lines.

use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The gateway does not start with this.
    Error,
    /// A suspicion: printed, and an error only under `check --strict`.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Byte range in the configuration text; `None` when it is about no place in particular.
    pub span: Option<Range<usize>>,
    /// What is wrong: lower case, names in backticks, no final period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A finding that keeps the gateway from starting.
    pub fn error(span: impl Into<Option<Range<usize>>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span: span.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// A suspicion.
    pub fn warning(span: impl Into<Option<Range<usize>>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            span: span.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// Adds advice, if there is any.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Whether the gateway refuses to start because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The nearest known name as a question, when one is near enough to be a misspelling.
///
/// ```
/// use gateway_policy::problem::did_you_mean;
/// assert_eq!(did_you_mean("azrue", ["openai", "azure"]).as_deref(), Some("did you mean `azure`?"));
/// assert_eq!(did_you_mean("mars", ["openai", "azure"]), None);
/// ```
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// The known name that `word` is probably a misspelling of.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase();
    names
        .into_iter()
        .map(|name| {
            (
                strsim::jaro_winkler(&folded, &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.82)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// The known words of a closed list, for a hint.
pub(crate) fn one_of<'a>(word: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    did_you_mean(word, names.clone()).unwrap_or_else(|| {
        let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
        format!("one of {}", names.join(", "))
    })
}
