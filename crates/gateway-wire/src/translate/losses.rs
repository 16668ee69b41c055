//! Collects the losses of one translation.

use super::error::TranslateError;
use super::loss_kind::{Loss, LossKind};

/// Largest number of losses that are kept with their paths; a hostile request must not make a list
/// as long as itself.
const MAX_KEPT: usize = 256;

/// Collects losses; refuses severe ones in strict mode.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    strict: bool,
    kept: Vec<Loss>,
}

impl Losses {
    pub(crate) fn new(strict: bool) -> Self {
        Self {
            strict,
            kept: Vec::new(),
        }
    }

    /// Notes a loss, or refuses the request because of it.
    pub(crate) fn note(
        &mut self,
        kind: LossKind,
        path: impl Into<String>,
    ) -> Result<(), TranslateError> {
        if self.strict && kind.is_severe() {
            return Err(TranslateError::Strict {
                kind,
                path: path.into(),
            });
        }
        self.keep(kind, path);
        Ok(())
    }

    /// Notes a loss of an answer that many of its pieces can have: once.
    pub(crate) fn keep_once(&mut self, kind: LossKind, path: &str) {
        if !self.kept.iter().any(|loss| loss.kind == kind) {
            self.keep(kind, path);
        }
    }

    /// Notes a loss of an answer, which cannot be refused any more.
    pub(crate) fn keep(&mut self, kind: LossKind, path: impl Into<String>) {
        if self.kept.len() < MAX_KEPT {
            self.kept.push(Loss {
                kind,
                path: path.into(),
            });
        }
    }

    pub(crate) fn as_slice(&self) -> &[Loss] {
        &self.kept
    }

    pub(crate) fn into_vec(self) -> Vec<Loss> {
        self.kept
    }
}
