//! Why an administrative change was not made.

use gateway_ledger::{LedgerError, LedgerErrorKind};

use crate::error::{ErrorCode, GatewayError};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The request is not valid; the text says why.
    #[error("{0}")]
    Invalid(String),
    /// The request names something that does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The present state of the store does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The store failed.
    #[error("cannot use the ledger")]
    Store(#[source] LedgerError),
}

impl From<LedgerError> for AdminError {
    fn from(error: LedgerError) -> Self {
        match error.kind() {
            LedgerErrorKind::Invalid => Self::Invalid(error.to_string()),
            LedgerErrorKind::NotFound => Self::NotFound(error.to_string()),
            LedgerErrorKind::Conflict => Self::Conflict(error.to_string()),
            LedgerErrorKind::Unavailable | LedgerErrorKind::Rejected | LedgerErrorKind::Corrupt => {
                Self::Store(error)
            }
        }
    }
}

impl From<AdminError> for GatewayError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(text) => Self::new(ErrorCode::InvalidRequest, text),
            AdminError::NotFound(text) => Self::new(ErrorCode::NotFound, text),
            AdminError::Conflict(text) => Self::new(ErrorCode::Conflict, text),
            AdminError::Store(error) => error.into(),
        }
    }
}

impl AdminError {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}
