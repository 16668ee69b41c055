//! Mistakes that are found before a text is read into a type.

use std::ops::Range;

use crate::problem::Problem;

/// Mistakes that are found in the untyped text, before it is read into a type.
#[derive(Debug, Default)]
pub struct Mistakes {
    pub(super) problems: Vec<Problem>,
    pub(super) rejected: Vec<Rejected>,
}

/// An entry that is left out because of a problem.
#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) span: Range<usize>,
    /// The key that was meant, whose absence is then not another mistake.
    pub(super) meant: Option<String>,
}

impl Mistakes {
    /// Reports a problem; what it is about stays.
    pub fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports a problem and leaves the entry at `span` out. `meant` is the key that was probably
    /// meant.
    pub fn reject(&mut self, span: Range<usize>, problem: Problem, meant: Option<&str>) {
        self.problems.push(problem);
        self.rejected.push(Rejected {
            span,
            meant: meant.map(str::to_owned),
        });
    }

    /// Leaves the entry at `span` out, about which enough has been said.
    pub(super) fn reject_silently(&mut self, span: Range<usize>) {
        self.rejected.push(Rejected { span, meant: None });
    }
}
