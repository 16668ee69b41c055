//! What `explain` is asked, on the command line and over HTTP alike: each field is a flag and a query
//! parameter of this name.

use std::fmt::Display;
use std::str::FromStr;

use gateway_policy::{AuthRoute, ModelId, PolicyRequest, Subject};
use gateway_wire::WireApi;
use gateway_wire::codex::RequestKind;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

/// A request that is not sent.
#[derive(Debug, Clone, clap::Args, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// How the caller signs in: chatgpt, api_key, gateway_key or anonymous.
    #[arg(long)]
    #[serde(deserialize_with = "from_text")]
    #[param(inline)]
    pub route: AuthRoute,
    /// The requested model. The description bounds its characters, the id its bytes.
    #[arg(long)]
    #[serde(deserialize_with = "from_text")]
    #[param(
        value_type = String,
        max_length = 64,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]+( [^\s\x00-\x1f\x7f-\x9f]+)*$"
    )]
    pub model: ModelId,
    /// The endpoint that the client uses: responses or chat.
    #[arg(long, default_value_t = WireApi::Responses)]
    #[serde(default = "responses", deserialize_with = "from_text")]
    #[param(inline)]
    pub endpoint: WireApi,
    /// The reasoning effort, such as low.
    #[arg(long)]
    pub effort: Option<String>,
    /// The ChatGPT plan that the token claims.
    #[arg(long)]
    pub plan: Option<String>,
    /// A gateway key, by its id or name; its models, routes and budgets are looked up in the store.
    #[arg(long)]
    pub key: Option<String>,
    /// The team of the gateway key; without a key, what holds for any key of that team.
    #[arg(long)]
    pub team: Option<String>,
    /// What the request is for: turn, subagent, review, compaction, memory, prewarm or other.
    #[arg(long, default_value_t)]
    #[serde(default, deserialize_with = "from_text")]
    #[param(inline)]
    pub kind: RequestKind,
    /// The repository that the client works on, such as github.com/acme/shop.
    #[arg(long)]
    pub repo: Option<String>,
}

impl ExplainQuery {
    /// An ordinary turn for this model on this route.
    pub const fn new(route: AuthRoute, model: ModelId) -> Self {
        Self {
            route,
            model,
            endpoint: WireApi::Responses,
            effort: None,
            plan: None,
            key: None,
            team: None,
            kind: RequestKind::Turn,
            repo: None,
        }
    }

    /// The request as the rules see it.
    pub fn request(&self) -> PolicyRequest<'_> {
        let subject = Subject {
            plan: self.plan.as_deref(),
            team: self.team.as_deref(),
            key: self.key.as_deref(),
            ..Subject::new(self.route)
        };
        PolicyRequest {
            client_wire: self.endpoint,
            effort: self.effort.as_deref(),
            kind: self.kind,
            repo: self.repo.as_deref(),
            ..subject.request(&self.model)
        }
    }

    /// Whether it names a key or a team, of which only the store knows.
    pub const fn needs_store(&self) -> bool {
        self.key.is_some() || self.team.is_some()
    }
}

const fn responses() -> WireApi {
    WireApi::Responses
}

/// Reads a value as a flag is read, so that both refuse it with the same words.
fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
