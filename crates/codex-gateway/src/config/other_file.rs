//! Files that the configuration names. The carets of a report point into the configuration, so
//! places in another file are named in words.

use std::path::{Path, PathBuf};

use gateway_policy::problem::Problem;
use serde_spanned::Spanned;

/// Another file, read.
pub(super) struct OtherFile<'a> {
    path: PathBuf,
    named_by: &'a Spanned<String>,
    pub(super) text: String,
}

impl<'a> OtherFile<'a> {
    /// Reads the file that a key names, relative to `base`; `what` is what it is called in
    /// messages. What goes wrong is reported.
    pub(super) fn read(
        named_by: &'a Spanned<String>,
        base: &Path,
        what: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let path = base.join(named_by.get_ref());
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(Self {
                path,
                named_by,
                text,
            }),
            Err(error) => {
                problems.push(Problem::error(
                    named_by.span(),
                    format!("cannot read the {what} {}: {error}", path.display()),
                ));
                None
            }
        }
    }

    /// A problem of this file, with its path and line.
    pub(super) fn locate(&self, problem: Problem) -> Problem {
        let start = problem.span.as_ref().map_or(0, |span| span.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Problem {
            span: Some(self.named_by.span()),
            message: format!("{} line {line}: {}", self.path.display(), problem.message),
            ..problem
        }
    }
}
