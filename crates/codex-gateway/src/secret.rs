//! A text that must never be printed. `Debug` shows nothing of it; reading it is one visible call.

pub mod reflected;

/// A credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A short digest that identifies the secret without revealing it: 16 hex digits of SHA-256.
    pub fn digest(&self) -> String {
        digest(self.0.as_bytes())
    }

    /// Compares without telling by its duration where the texts differ, nor how long this one is:
    /// their hashes are compared.
    pub fn matches(&self, candidate: &str) -> bool {
        use sha2::Digest as _;
        use subtle::ConstantTimeEq as _;
        let hash = |text: &str| <[u8; 32]>::from(sha2::Sha256::digest(text.as_bytes()));
        hash(&self.0).ct_eq(&hash(candidate)).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// 16 hex digits of SHA-256: enough to tell callers apart, useless for getting in.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(bytes);
    hash.get(..8).map_or_else(String::new, hex::encode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_text_matches_and_none_is_shown() {
        let secret = Secret::new("canary-secret-4c1e");
        assert!(secret.matches("canary-secret-4c1e"));
        for other in [
            "",
            "canary-secret-4c1",
            "canary-secret-4c1f",
            "Canary-secret-4c1e",
            "canary-secret-4c1e ",
        ] {
            assert!(!secret.matches(other), "{other}");
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
