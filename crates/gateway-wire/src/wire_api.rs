//! Which of the two protocols a party speaks. Knows nothing about endpoint paths of a particular
//! upstream.

use serde::{Deserialize, Serialize};

/// The protocol a client or an upstream speaks; the words are Codex's own (`wire_api` in its
/// `config.toml`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireApi {
    /// `POST /responses`: typed items, typed events.
    Responses,
    /// `POST /chat/completions`: messages and deltas.
    Chat,
}

impl WireApi {
    /// The word used in configuration, labels and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat",
        }
    }
}

impl std::fmt::Display for WireApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
