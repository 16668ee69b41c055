//! Finds, reads and checks a configuration in one call.

use gateway_policy::problem::{Problem, Severity};

use super::source::{self, Overrides, Source};
use super::{compile, diagnostic, file, settings::Settings};

/// A configuration that was read.
pub struct Loaded {
    pub source: Source,
    /// `None` when there are errors.
    pub settings: Option<Settings>,
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Errors and warnings as text with carets.
    pub fn report(&self, is_coloured: bool) -> String {
        diagnostic::render(
            &self.source.path,
            &self.source.text,
            &self.problems,
            is_coloured,
        )
    }

    /// How many problems there are of a kind.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }
}

/// Finds and reads the configuration.
///
/// # Errors
/// When a file that was named cannot be read; the text says which and why.
pub fn load(overrides: &Overrides) -> Result<Loaded, String> {
    source::find(overrides).map(|source| check(source, overrides))
}

/// Checks a configuration that was found.
pub fn check(source: Source, overrides: &Overrides) -> Loaded {
    let (file, mut problems) = file::read(&source.text);
    let is_whole = problems.is_empty();
    let settings = file
        .and_then(|file| compile::compile(file, overrides, &source.base(), &mut problems))
        .filter(|_| problems.iter().all(|problem| !problem.is_error()));
    if !is_whole {
        // Suspicions about what is left of a file would only follow from what was left out.
        problems.retain(Problem::is_error);
    }
    let length = source.text.len();
    for problem in &mut problems {
        // The built-in upstreams have no place in the file.
        problem.span = problem.span.take().filter(|span| span.start <= length);
    }
    Loaded {
        source,
        settings,
        problems,
    }
}
