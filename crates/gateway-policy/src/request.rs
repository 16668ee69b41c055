//! One request as the rules see it, and what it needs of the upstream that serves it. Holds no
//! credential.
//!
//! To let rules look at something new, add it to [`Subject`] or [`PolicyRequest`] and to
//! [`Attribute`]; the conditions of rules are made from this list.

use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;

use crate::auth_route::AuthRoute;
use crate::degrees::EFFORTS;
use crate::model_id::ModelId;

/// Who sends a request. Alone, it decides which models a caller may see.
///
/// `plan` and `client` are unverified claims: a rule may label and rewrite by them, but they
/// authorise nothing.
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
    /// A caller on this route, without any other attribute.
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
            repo: None,
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
    /// Host and path of the repository that the client says it works on. Unverified, like `plan`.
    pub repo: Option<&'a str>,
    /// Whether the request continues a response that an upstream keeps. Such a request never hops.
    pub has_previous_response: bool,
}

gateway_wire::words! {
    /// What a rule can look at, by its key in `when = { … }`.
    pub enum Attribute {
        /// The auth route.
        Route = "route",
        /// The model.
        Model = "model",
        /// The endpoint that the client used.
        Endpoint = "endpoint",
        /// The reasoning effort.
        Effort = "effort",
        /// The ChatGPT plan that the token claims. Unverified: good for labels and rewrites, not
        /// for authorising anything.
        Plan = "plan",
        /// The team of the gateway key.
        Team = "team",
        /// The name of the gateway key.
        Key = "key",
        /// What the request is for.
        Kind = "kind",
        /// The client's `originator`. Unverified, like `plan`.
        Client = "client",
        /// The repository that the client says it works on. Unverified, like `plan`.
        Repo = "repo",
    }
}

/// How the values of a condition are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// Words of a closed list; any other word is an error.
    OneOf(&'static [&'static str]),
    /// Words compared without case. A word that is not among the known ones, if there are any, is
    /// suspicious.
    Word(&'static [&'static str]),
    /// Names compared exactly.
    Name,
    /// Globs, compared without case.
    Glob,
}

impl Attribute {
    /// How its values are written and compared.
    pub(crate) fn syntax(self) -> Syntax {
        match self {
            Self::Route => Syntax::OneOf(AuthRoute::WORDS),
            Self::Endpoint => Syntax::OneOf(WireApi::WORDS),
            Self::Kind => Syntax::OneOf(RequestKind::WORDS),
            Self::Effort => Syntax::Word(&EFFORTS),
            Self::Plan => Syntax::Word(&[]),
            Self::Team | Self::Key => Syntax::Name,
            Self::Model | Self::Client | Self::Repo => Syntax::Glob,
        }
    }

    /// Whether it comes after the input in a body, so that the whole body must be read.
    pub(crate) const fn needs_whole_body(self) -> bool {
        matches!(self, Self::Effort)
    }
}

impl<'a> PolicyRequest<'a> {
    /// What the request says of an attribute.
    pub(crate) fn get(&self, attribute: Attribute) -> Option<&'a str> {
        match attribute {
            Attribute::Route => Some(self.subject.route.as_str()),
            Attribute::Model => Some(self.model.folded()),
            Attribute::Endpoint => Some(self.client_wire.as_str()),
            Attribute::Effort => self.effort,
            Attribute::Plan => self.subject.plan,
            Attribute::Team => self.subject.team,
            Attribute::Key => self.subject.key,
            Attribute::Kind => Some(self.kind.as_str()),
            Attribute::Client => self.subject.client,
            Attribute::Repo => self.repo,
        }
    }
}

/// What a request needs of the upstream that serves it, as far as its body was read.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about one body, each read on its own"
)]
pub struct RequestNeeds<'a> {
    /// Estimated input tokens; 0 when they were not estimated.
    pub approx_tokens: u64,
    /// Whether there is an image in the input.
    pub images: bool,
    /// The reasoning effort.
    pub effort: Option<&'a str>,
    /// The text verbosity.
    pub verbosity: Option<&'a str>,
    /// Whether this is a Responses-Lite request, as it would be sent now (false once the header is
    /// removed).
    pub lite: bool,
    /// Whether the request continues a response that an upstream keeps.
    pub previous_response: bool,
    /// Whether the input carries encrypted reasoning (false once it is removed).
    pub encrypted_reasoning: bool,
    /// Whether the input carries an encrypted compaction item, which holds the whole history and
    /// cannot be removed.
    pub compaction: bool,
}
