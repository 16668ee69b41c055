//! Why a request cannot be translated.

use super::loss_kind::LossKind;

/// Why a request cannot be translated. Every message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TranslateError {
    /// Not the JSON it must be.
    #[error("`{path}`: {problem}")]
    Malformed {
        /// Where.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Something that matters has no counterpart.
    #[error("`{path}` is not supported by this model's endpoint: {why}")]
    Unsupported {
        /// Where.
        path: String,
        /// Why, and what to do.
        why: &'static str,
    },
    /// A severe loss, refused in strict mode.
    #[error(
        "`{path}` would be lost on this model's endpoint ({}), and this gateway is set to refuse \
         that: remove it or choose another model",
        kind.as_str()
    )]
    Strict {
        /// What would be lost.
        kind: LossKind,
        /// Where.
        path: String,
    },
    /// A stored response that only its own upstream knows.
    #[error("previous response `{id}` is not known here: send the whole conversation in `input`")]
    PreviousResponse {
        /// Its id.
        id: String,
    },
}

impl TranslateError {
    pub(crate) fn malformed(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn unsupported(path: impl Into<String>, why: &'static str) -> Self {
        Self::Unsupported {
            path: path.into(),
            why,
        }
    }

    /// The public error code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "invalid_request",
            Self::Unsupported { .. } | Self::Strict { .. } => "untranslatable",
            Self::PreviousResponse { .. } => "previous_response_not_found",
        }
    }

    /// The path of what is wrong, for `error.param`.
    pub fn param(&self) -> &str {
        match self {
            Self::Malformed { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Strict { path, .. } => path,
            Self::PreviousResponse { .. } => "previous_response_id",
        }
    }
}
