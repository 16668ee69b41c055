//! Random secrets that are shown once and stored as their SHA-256.

use sha2::{Digest, Sha256};

use crate::error::{LedgerError, LedgerErrorKind};

/// Random bytes in a secret: 192 bits.
const RANDOM_BYTES: usize = 24;

/// A secret that is shown once. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedSecret(String);

impl IssuedSecret {
    /// The secret itself, to be shown only to the person who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(prefix: &str) -> Result<Self, LedgerError> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| {
            LedgerError::caused(
                LedgerErrorKind::Unavailable,
                "the system has no random numbers",
                error.to_string(),
            )
        })?;
        Ok(Self(format!("{prefix}{}", hex::encode(bytes))))
    }

    pub(crate) fn hash(&self) -> String {
        hash(&self.0)
    }

    /// The last four characters.
    pub(crate) fn ending(&self) -> String {
        let skipped = self.0.chars().count().saturating_sub(4);
        self.0.chars().skip(skipped).collect()
    }
}

impl std::fmt::Debug for IssuedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IssuedSecret(…)")
    }
}

/// The SHA-256 of a secret in hexadecimal. Without salt: the secret has 192 random bits, and lookup
/// goes by this.
pub(crate) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
