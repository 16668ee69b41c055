//! One request as the rules see it, and what it demands of whoever serves it. Holds no credential.

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;

use crate::auth_route::AuthRoute;
use crate::model_id::ModelId;

/// Who sends a request. A list of models is seen by a subject alone; a request adds what it asks
/// for.
///
/// `plan` and `client` are claims that nobody verified: a rule may label and rewrite by them, but
/// they authorise nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// How the caller authenticates upstream.
    pub route: AuthRoute,
    /// The ChatGPT plan that the caller's token claims.
    pub plan: Option<&'a str>,
    /// The team of the gateway key.
    pub team: Option<&'a str>,
    /// The name of the gateway key.
    pub key: Option<&'a str>,
    /// The client's `originator`.
    pub client: Option<&'a str>,
}

impl<'a> Subject<'a> {
    /// A caller on this route about whom nothing else is known.
    pub const fn new(route: AuthRoute) -> Self {
        Self {
            route,
            plan: None,
            team: None,
            key: None,
            client: None,
        }
    }

    /// An ordinary turn of this caller for a model, over the Responses API.
    pub const fn request(self, model: &'a ModelId) -> PolicyRequest<'a> {
        PolicyRequest {
            subject: self,
            model,
            client_wire: WireApi::Responses,
            effort: None,
            kind: RequestKind::Turn,
            has_previous_response: false,
        }
    }
}

/// Everything that a rule can look at.
///
/// ```
/// use gateway_policy::{AuthRoute, ModelId, PolicyRequest, Subject};
/// use gateway_wire::codex::RequestKind;
///
/// let model = ModelId::new("gpt-5.5")?;
/// let caller = Subject { team: Some("app"), ..Subject::new(AuthRoute::GatewayKey) };
/// let review = PolicyRequest { kind: RequestKind::Review, ..caller.request(&model) };
/// assert_eq!(review.subject.team, Some("app"));
/// # Ok::<(), gateway_policy::model_id::ModelIdError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PolicyRequest<'a> {
    /// Who sends it.
    pub subject: Subject<'a>,
    /// The requested model.
    pub model: &'a ModelId,
    /// The protocol of the endpoint that the client used.
    pub client_wire: WireApi,
    /// The reasoning effort of the body. May be `None` where [`Policy::reads_whole_body`] is false.
    ///
    /// [`Policy::reads_whole_body`]: crate::Policy::reads_whole_body
    pub effort: Option<&'a str>,
    /// What the request is for.
    pub kind: RequestKind,
    /// Whether the request continues a response that an upstream keeps. Such a request never hops.
    pub has_previous_response: bool,
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
