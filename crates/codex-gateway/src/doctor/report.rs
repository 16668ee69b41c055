//! What was found.

use serde::Serialize;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckResult {
    Skipped,
    Ok,
    /// Works, but perhaps not as the user expects.
    Warning,
    /// Does not work.
    Failed,
}

impl CheckResult {
    /// As a word of four letters at most, for a column.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Skipped => "skip",
            Self::Ok => "ok",
            Self::Warning => "warn",
            Self::Failed => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, such as `data_dir` or `upstream.NAME`.
    pub name: String,
    pub result: CheckResult,
    /// What was found, and what it means.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, CheckResult::Ok, message, None)
    }

    /// Not checked.
    pub fn skipped(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, CheckResult::Skipped, message, None)
    }

    /// To be looked at.
    pub fn warning(
        name: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(name, CheckResult::Warning, message, Some(fix.into()))
    }

    /// To be mended.
    pub fn failed(
        name: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(name, CheckResult::Failed, message, Some(fix.into()))
    }

    fn new(
        name: impl Into<String>,
        result: CheckResult,
        message: impl Into<String>,
        fix: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            result,
            message: message.into(),
            fix,
        }
    }
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
    #[serde(skip)]
    pub is_misconfigured: bool,
}

impl Report {
    /// Adds a check.
    pub fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// The worst of all.
    pub fn result(&self) -> CheckResult {
        let results = self.checks.iter().map(|check| check.result);
        results.max().unwrap_or(CheckResult::Skipped)
    }
}
