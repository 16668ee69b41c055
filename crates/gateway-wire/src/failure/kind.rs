//! The reasons for which an attempt can fail, and whether the upstream can have acted on it.

use serde::{Deserialize, Serialize};

crate::words! {
    /// Whether an upstream can have acted on a request that did not end well.
    pub enum SendState {
        /// Nothing left this process: safe to send again.
        NotSent = "not_sent",
        /// The upstream received the request and answered.
        Sent = "sent",
        /// The request may have been received, but no answer says so: never sent anywhere again.
        Ambiguous = "ambiguous",
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The upstream does not serve this model to this caller. The only failure that may lead to
    /// another model.
    UnsupportedModel,
    /// The model wants a newer client. Upgrading helps, another model hides the reason.
    ClientTooOld,
    /// The model refuses the header that marks a Responses-Lite request.
    LiteHeaderRefused,
    /// The model answers on the other endpoint.
    WrongEndpoint,
    /// The model exists but has no room at the moment.
    Capacity,
    /// The upstream is overloaded.
    Overloaded,
    /// The credential, its scopes or the caller's region.
    Auth,
    /// A plan window, quota or balance is used up.
    UsageLimit,
    /// Too many requests or tokens in a short time.
    RateLimited,
    /// The input is longer than the model's window.
    ContextLength,
    /// Encrypted reasoning that the upstream cannot read.
    ForeignReasoning,
    /// Refused for safety or content reasons.
    PolicyRefusal,
    /// The request is wrong in some other way.
    BadRequest,
    /// The upstream complains about a model id that is not the one that was sent: a fault on our
    /// side.
    OurMistake,
    /// The upstream failed on its own.
    ServerError,
    /// No usable answer arrived.
    Transport(SendState),
    /// None of the above can be shown to be true.
    Unclassified,
}

impl Failure {
    /// The word used as a metric label and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedModel => "unsupported_model",
            Self::ClientTooOld => "client_too_old",
            Self::LiteHeaderRefused => "lite_header_refused",
            Self::WrongEndpoint => "wrong_endpoint",
            Self::Capacity => "capacity",
            Self::Overloaded => "overloaded",
            Self::Auth => "auth",
            Self::UsageLimit => "usage_limit",
            Self::RateLimited => "rate_limited",
            Self::ContextLength => "context_length",
            Self::ForeignReasoning => "foreign_reasoning",
            Self::PolicyRefusal => "policy_refusal",
            Self::BadRequest => "bad_request",
            Self::OurMistake => "our_mistake",
            Self::ServerError => "server_error",
            Self::Transport(_) => "transport",
            Self::Unclassified => "unclassified",
        }
    }

    /// The failures an answer can show, i.e. all but [`Failure::Transport`].
    pub const ANSWERS: [Self; 16] = [
        Self::UnsupportedModel,
        Self::ClientTooOld,
        Self::LiteHeaderRefused,
        Self::WrongEndpoint,
        Self::Capacity,
        Self::Overloaded,
        Self::Auth,
        Self::UsageLimit,
        Self::RateLimited,
        Self::ContextLength,
        Self::ForeignReasoning,
        Self::PolicyRefusal,
        Self::BadRequest,
        Self::OurMistake,
        Self::ServerError,
        Self::Unclassified,
    ];

    /// Reads the word of an answer's failure back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ANSWERS
            .into_iter()
            .find(|failure| failure.as_str() == word)
    }

    /// Whether this verdict makes the gateway send something again. Such a verdict needs the whole
    /// body.
    pub(super) const fn authorises_another_attempt(self) -> bool {
        matches!(
            self,
            Self::UnsupportedModel
                | Self::LiteHeaderRefused
                | Self::WrongEndpoint
                | Self::ForeignReasoning
        )
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
