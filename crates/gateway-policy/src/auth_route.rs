//! How a request is authenticated upstream. Chooses a configured upstream; never authorises
//! anybody.

use serde::{Deserialize, Serialize};

/// The auth route of a request (contract: "Auth routes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthRoute {
    /// A ChatGPT sign-in: the caller's token passes through.
    Chatgpt,
    /// The caller's own API key passes through.
    ApiKey,
    /// A key this gateway issued; the upstream's own credential is used.
    GatewayKey,
    /// No credential at all.
    Anonymous,
}

impl AuthRoute {
    /// All routes, in the order they are documented.
    pub const ALL: [Self; 4] = [
        Self::Chatgpt,
        Self::ApiKey,
        Self::GatewayKey,
        Self::Anonymous,
    ];

    /// The word used in configuration, headers, labels and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chatgpt => "chatgpt",
            Self::ApiKey => "api_key",
            Self::GatewayKey => "gateway_key",
            Self::Anonymous => "anonymous",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.as_str() == word)
    }
}

impl std::fmt::Display for AuthRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
