//! From the credential on a request to the caller: auth route, label for the ledger, plan.
//! Authorises nobody by itself.

use std::sync::Arc;

use gateway_policy::{AuthRoute, Subject};
use gateway_wire::codex::ChatgptClaims;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::access::client_address::Visitor;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::keys::Grant;
use crate::secret::{Secret, digest};

/// Who is asking, by which sign-in.
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
    /// At this machine, as far as the network tells.
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

/// What a request presents, before any key was looked up.
#[derive(Debug)]
pub struct Presented {
    pub route: AuthRoute,
    pub label: String,
    pub credential_digest: String,
    pub account: Option<String>,
    pub plan: Option<String>,
    /// The gateway key to look up, as bearer or in `x-gateway-key`.
    pub gateway_key: Option<Secret>,
}

/// How issued keys begin.
pub const GATEWAY_KEY_PREFIX: &str = "cgw_";
/// The header in which a gateway key travels beside the caller's own credential.
pub const GATEWAY_KEY_HEADER: &str = "x-gateway-key";

impl Presented {
    /// Reads the credential headers.
    pub fn read(headers: &HeaderMap) -> Result<Self, GatewayError> {
        if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
            return Err(GatewayError::new(
                ErrorCode::InvalidRequest,
                "the request carries two authorization headers; send one",
            ));
        }
        refuse_misplaced_token(headers)?;
        let authorization = text(headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (scheme, token) = authorization
            .split_once(char::is_whitespace)
            .unwrap_or((authorization, ""));
        let token = token.trim();
        let bearer = scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token)
            .filter(|token| !token.is_empty());
        let beside = text(headers, GATEWAY_KEY_HEADER)
            .filter(|key| !key.is_empty())
            .map(Secret::new);

        if let Some(token) = bearer.filter(|token| token.starts_with(GATEWAY_KEY_PREFIX)) {
            return Ok(Self::gateway_key(Secret::new(token)));
        }
        let account_id = text(headers, "chatgpt-account-id").filter(|id| !id.is_empty());
        let claims = bearer.and_then(ChatgptClaims::from_jwt);
        let is_assertion = scheme.eq_ignore_ascii_case("agentassertion") && !token.is_empty();
        let is_access_token = bearer.is_some_and(|token| token.starts_with("at-"));
        if account_id.is_some() || claims.is_some() || is_assertion || is_access_token {
            let account = account_id
                .map(str::to_owned)
                .or_else(|| claims.as_ref().and_then(|claims| claims.account_id.clone()))
                .map(|id| digest(id.as_bytes()));
            let credential_digest = digest(token.as_bytes());
            let person = claims
                .as_ref()
                .and_then(|claims| claims.user_id.clone())
                .map(|id| digest(id.as_bytes()));
            let label = person
                .or_else(|| account.clone())
                .unwrap_or_else(|| credential_digest.clone());
            return Ok(Self {
                route: AuthRoute::Chatgpt,
                label: format!("chatgpt:{label}"),
                credential_digest,
                account,
                plan: claims.and_then(|claims| claims.plan),
                gateway_key: beside,
            });
        }
        let in_header = text(headers, "api-key").filter(|key| !key.is_empty());
        if let Some(key) =
            in_header.filter(|key| bearer.is_none() && key.starts_with(GATEWAY_KEY_PREFIX))
        {
            return Ok(Self::gateway_key(Secret::new(key)));
        }
        if let Some(key) = bearer.or(in_header) {
            let credential_digest = digest(key.as_bytes());
            return Ok(Self {
                route: AuthRoute::ApiKey,
                label: format!("api_key:{credential_digest}"),
                credential_digest,
                account: None,
                plan: None,
                gateway_key: beside,
            });
        }
        // A gateway key with nothing beside it is the credential.
        if let Some(key) = beside {
            return Ok(Self::gateway_key(key));
        }
        Ok(Self {
            route: AuthRoute::Anonymous,
            label: "anonymous".to_owned(),
            credential_digest: String::new(),
            account: None,
            plan: None,
            gateway_key: None,
        })
    }

    fn gateway_key(key: Secret) -> Self {
        let credential_digest = key.digest();
        Self {
            route: AuthRoute::GatewayKey,
            label: format!("gateway_key:{credential_digest}"),
            credential_digest,
            account: None,
            plan: None,
            gateway_key: Some(key),
        }
    }
}

/// A ChatGPT token in an API key's header would travel to the API upstream.
fn refuse_misplaced_token(headers: &HeaderMap) -> Result<(), GatewayError> {
    for name in ["api-key", "x-api-key"] {
        let is_chatgpts = text(headers, name)
            .is_some_and(|key| key.starts_with("at-") || ChatgptClaims::from_jwt(key).is_some());
        if is_chatgpts {
            return Err(GatewayError::new(
                ErrorCode::InvalidRequest,
                "a ChatGPT token stands in an API key's header; send it as `authorization: Bearer`",
            ));
        }
    }
    Ok(())
}

/// Whether the request comes from this machine; without a word about it, it does not.
pub fn is_local(parts: &Parts) -> bool {
    let visitor = parts.extensions.get::<Visitor>();
    visitor.is_some_and(|visitor| visitor.is_local)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

/// Headers of other routes than the caller's: a ChatGPT token never travels with an API key and the
/// other way round.
pub fn foreign_credentials(route: AuthRoute) -> &'static [&'static str] {
    match route {
        AuthRoute::Chatgpt => &["api-key", "x-api-key"],
        AuthRoute::ApiKey => &["chatgpt-account-id"],
        AuthRoute::GatewayKey | AuthRoute::Anonymous => &[],
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    fn jwt(payload: &str) -> String {
        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.sig", encode(r#"{"alg":"none"}"#), encode(payload))
    }

    fn route(pairs: &[(&'static str, &str)]) -> AuthRoute {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Presented::read(&headers).unwrap().route
    }

    #[test]
    fn the_credential_decides_the_route() {
        let chatgpt = jwt(
            r#"{"https://api.openai.com/auth":{"chatgpt_account_id":"a","chatgpt_plan_type":"plus"}}"#,
        );
        let other = jwt(r#"{"sub":"x"}"#);
        let bearer = |token: &str| format!("Bearer {token}");
        for (pairs, expected) in [
            (vec![("authorization", bearer("sk-abc"))], AuthRoute::ApiKey),
            (
                vec![("authorization", "bearer sk-abc".to_owned())],
                AuthRoute::ApiKey,
            ),
            (vec![("api-key", "abc".to_owned())], AuthRoute::ApiKey),
            (
                vec![("api-key", "cgw_abc".to_owned())],
                AuthRoute::GatewayKey,
            ),
            (
                vec![("authorization", "Bearer\tsk-abc".to_owned())],
                AuthRoute::ApiKey,
            ),
            (
                vec![("authorization", bearer(&chatgpt))],
                AuthRoute::Chatgpt,
            ),
            (vec![("authorization", bearer(&other))], AuthRoute::ApiKey),
            (
                vec![("authorization", bearer("at-123"))],
                AuthRoute::Chatgpt,
            ),
            (
                vec![("authorization", "AgentAssertion xyz".to_owned())],
                AuthRoute::Chatgpt,
            ),
            (
                vec![
                    ("authorization", bearer("opaque")),
                    ("chatgpt-account-id", "a".to_owned()),
                ],
                AuthRoute::Chatgpt,
            ),
            (
                vec![("authorization", bearer("cgw_abc"))],
                AuthRoute::GatewayKey,
            ),
            (
                vec![("x-gateway-key", "cgw_abc".to_owned())],
                AuthRoute::GatewayKey,
            ),
            (
                vec![
                    ("x-gateway-key", "cgw_abc".to_owned()),
                    ("authorization", bearer("sk-1")),
                ],
                AuthRoute::ApiKey,
            ),
            (
                vec![
                    ("x-gateway-key", "cgw_abc".to_owned()),
                    ("authorization", bearer(&chatgpt)),
                ],
                AuthRoute::Chatgpt,
            ),
            (
                vec![("authorization", "Bearer ".to_owned())],
                AuthRoute::Anonymous,
            ),
            (vec![], AuthRoute::Anonymous),
        ] {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            assert_eq!(route(&pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn labels_show_nothing_of_the_credential() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer sk-very-secret".parse().unwrap());
        let presented = Presented::read(&headers).unwrap();
        assert!(!format!("{presented:?}").contains("secret"));
    }
}
