//! Model ids. An id is opaque: nothing here parses dates, vendors or efforts out of it.

use std::sync::Arc;

/// A model id as the client sent it: non-empty, bounded, no control characters, no outer spaces.
///
/// Compared case-insensitively (ASCII), sent as given.
#[derive(Debug, Clone)]
pub struct ModelId {
    given: Arc<str>,
    folded: Arc<str>,
}

/// Why a text is not a valid model id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModelIdError {
    /// The text is empty.
    #[error("the model id is empty")]
    Empty,
    /// Longer than [`MAX_LEN`] bytes.
    #[error("the model id is longer than 256 bytes")]
    TooLong,
    /// A control character inside.
    #[error("the model id contains a control character")]
    Control,
    /// White space before or after the id.
    #[error("the model id has leading or trailing white space")]
    OuterSpace,
}

/// Longest accepted id in bytes.
pub const MAX_LEN: usize = 256;

impl ModelId {
    /// Checks and keeps an id.
    ///
    /// # Errors
    /// Why the text is not a valid id.
    pub fn new(text: &str) -> Result<Self, ModelIdError> {
        if text.is_empty() {
            return Err(ModelIdError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(ModelIdError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(ModelIdError::Control);
        }
        if text.trim() != text {
            return Err(ModelIdError::OuterSpace);
        }
        let given: Arc<str> = Arc::from(text);
        let folded = if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Arc::from(text.to_ascii_lowercase())
        } else {
            Arc::clone(&given)
        };
        Ok(Self { given, folded })
    }

    /// The id exactly as it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// The id in lower case, for comparing and looking up.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl std::str::FromStr for ModelId {
    type Err = ModelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl PartialEq for ModelId {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for ModelId {}

impl std::hash::Hash for ModelId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.given)
    }
}

impl serde::Serialize for ModelId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.given)
    }
}

impl utoipa::PartialSchema for ModelId {
    fn schema() -> gateway_wire::words::Schema {
        String::schema()
    }
}

impl utoipa::ToSchema for ModelId {}

impl<'de> serde::Deserialize<'de> for ModelId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
