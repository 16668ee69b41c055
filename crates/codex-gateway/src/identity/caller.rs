//! The caller of a request, once its credential was read and its key looked up.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_policy::{AuthRoute, Subject};
use http::request::Parts;

use crate::access::client_address::ClientAddr;
use crate::identity::grant::Grant;

/// Who sends a request, by which sign-in.
#[derive(Debug, Clone)]
pub struct Caller {
    pub route: AuthRoute,
    /// Stable label of the person or key: a digest, never the credential.
    pub label: String,
    /// Digest of the credential itself, for learned facts.
    pub credential_digest: String,
    /// Digest of the ChatGPT account, for plan limits.
    pub account: Option<String>,
    /// The plan that the token claims. Labels usage and chooses rules; never authorises.
    pub plan: Option<String>,
    /// Whether the request comes from this machine, as far as the network tells.
    pub is_local: bool,
    /// Id and team of the gateway key, where one was presented and is valid.
    pub key: Option<KeyIdentity>,
}

impl Caller {
    /// The caller as the rules see it; `client` is what the client calls itself.
    pub fn subject<'a>(&'a self, client: Option<&'a str>) -> Subject<'a> {
        let key = self.key.as_ref();
        Subject {
            route: self.route,
            plan: self.plan.as_deref(),
            team: key.and_then(|key| key.team.as_deref()),
            key: key.map(|key| key.name.as_str()),
            client,
        }
    }
}

/// The gateway key a request was made with.
#[derive(Debug, Clone)]
pub struct KeyIdentity {
    pub id: String,
    pub name: String,
    pub team: Option<String>,
    /// What it may do and what limits it.
    pub grant: Arc<Grant>,
}

/// Whether the request comes from this machine. A request about which the network says nothing does
/// not.
pub fn is_local(parts: &Parts) -> bool {
    let client = parts.extensions.get::<ClientAddr>();
    client.is_some_and(|client| client.is_local)
}

/// Where a request comes from, as far as the network tells.
pub fn client_address(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ClientAddr>()?.address
}

/// The credential headers of other auth routes, which are not forwarded: a ChatGPT token never
/// travels with an API key, nor the other way round.
pub fn foreign_credentials(route: AuthRoute) -> &'static [&'static str] {
    match route {
        AuthRoute::Chatgpt => &["api-key", "x-api-key"],
        AuthRoute::ApiKey => &["chatgpt-account-id"],
        AuthRoute::GatewayKey | AuthRoute::Anonymous => &[],
    }
}
