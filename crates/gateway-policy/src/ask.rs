//! The question that policy answers: who asks for which model, and what this process remembers.
//! Holds no credential.

use gateway_wire::WireApi;
pub use gateway_wire::codex::RequestKind;
use serde::{Deserialize, Serialize};

use crate::{AuthRoute, ModelId, UpstreamName, plan::Because};

/// Which of the two endpoints the client used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/responses` and everything below it.
    Responses,
    /// `/chat/completions`.
    Chat,
}

impl Endpoint {
    /// Both endpoints.
    pub const ALL: [Self; 2] = [Self::Responses, Self::Chat];

    /// The word used in configuration and labels.
    pub const fn as_str(self) -> &'static str {
        self.wire().as_str()
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.as_str() == word)
    }

    /// The protocol the client speaks there.
    pub const fn wire(self) -> WireApi {
        match self {
            Self::Responses => WireApi::Responses,
            Self::Chat => WireApi::Chat,
        }
    }
}

/// Everything a rule can look at.
///
/// `plan` and `client` are claims that nobody verified: a rule may label and rewrite by them, but
/// they authorise nothing.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// How the caller authenticates upstream.
    pub route: AuthRoute,
    /// The requested model.
    pub model: &'a ModelId,
    /// The endpoint the client used.
    pub endpoint: Endpoint,
    /// The reasoning effort of the body. May be `None` where [`crate::Policy::reads_whole_body`] is
    /// false.
    pub effort: Option<&'a str>,
    /// The plan that the caller's token claims.
    pub plan: Option<&'a str>,
    /// The team of the gateway key.
    pub team: Option<&'a str>,
    /// The name of the gateway key.
    pub key: Option<&'a str>,
    /// The client's `originator`.
    pub client: Option<&'a str>,
    /// What the request is for.
    pub kind: RequestKind,
    /// Whether the request continues a response that an upstream keeps. Such a request never hops.
    pub has_previous_response: bool,
}

impl<'a> Ask<'a> {
    /// An ordinary turn for this model on this route, about which nothing else is known.
    pub const fn new(route: AuthRoute, model: &'a ModelId) -> Self {
        Self {
            route,
            model,
            endpoint: Endpoint::Responses,
            effort: None,
            plan: None,
            team: None,
            key: None,
            client: None,
            kind: RequestKind::Turn,
            has_previous_response: false,
        }
    }
}

/// Where a live session stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The model that serves the session.
    pub model: ModelId,
    /// The upstream that serves it.
    pub upstream: UpstreamName,
    /// How it came there.
    pub because: Because,
}

/// What is known about a model at an upstream for this caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing: ask the upstream.
    Unknown,
    /// It refused lately: do not ask.
    Refused,
    /// It refused some time ago: one request may find out.
    Probe,
}

/// What this process learned, for one caller and one session. The process implements it over its
/// live state.
pub trait Memory {
    /// Where this session went when it last asked for `head`, the model that the rules chose.
    ///
    /// Also answers when the session is served by `head` itself: then a fact learned by somebody
    /// else does not move it.
    fn sticky(&self, head: &ModelId) -> Option<Sticky>;

    /// What is known of this pair. Reads only: [`crate::Policy::explain`] asks too.
    fn refused(&self, upstream: &UpstreamName, model: &ModelId) -> Refusal;

    /// Takes the single probe of an expired refusal; `false` when another request has it. Asked
    /// only for the model that this request is about to try first, and never by
    /// [`crate::Policy::explain`].
    fn claim_probe(&self, upstream: &UpstreamName, model: &ModelId) -> bool;
}

/// A memory that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn sticky(&self, _head: &ModelId) -> Option<Sticky> {
        None
    }

    fn refused(&self, _upstream: &UpstreamName, _model: &ModelId) -> Refusal {
        Refusal::Unknown
    }

    fn claim_probe(&self, _upstream: &UpstreamName, _model: &ModelId) -> bool {
        true
    }
}

/// What a request needs of whoever serves it, as far as its body was read.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one body, each read on its own"
)]
pub struct RequestNeeds<'a> {
    /// Estimated input tokens; 0 when nobody looked.
    pub approx_tokens: u64,
    /// Whether there is an image in the input.
    pub images: bool,
    /// The reasoning effort.
    pub effort: Option<&'a str>,
    /// The text verbosity.
    pub verbosity: Option<&'a str>,
    /// Whether this is a Responses-Lite request, as it would be sent now (false once the header was
    /// taken off).
    pub lite: bool,
    /// Whether the request continues a response that an upstream keeps.
    pub previous_response: bool,
    /// Whether the input carries encrypted reasoning (false once it was stripped).
    pub encrypted_reasoning: bool,
    /// Whether the input carries an encrypted compaction item, which holds the whole history and
    /// cannot be stripped.
    pub compaction: bool,
}
