//! Reads the credentials on a request: auth route, label for the ledger, plan, gateway key. Authorises
//! nobody.

use gateway_policy::AuthRoute;
use gateway_wire::codex::ChatgptClaims;
use http::{HeaderMap, header};

use crate::error::{ErrorCode, GatewayError};
use crate::secret::{Secret, digest};

/// The credentials on a request, before any gateway key was looked up.
#[derive(Debug)]
pub struct RequestCredentials {
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

impl RequestCredentials {
    /// Reads the credential headers.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] when there are two `authorization` headers, or a ChatGPT token
    /// in the header of an API key.
    pub fn read(headers: &HeaderMap) -> Result<Self, GatewayError> {
        if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
            return Err(GatewayError::new(
                ErrorCode::InvalidRequest,
                "the request has two authorization headers; send one",
            ));
        }
        refuse_misplaced_token(headers)?;
        let authorization = Authorization::read(headers);
        let bearer = authorization.bearer();
        let beside = non_empty(headers, GATEWAY_KEY_HEADER)
            .map(without_scheme)
            .filter(|key| !key.is_empty())
            .map(Secret::new);
        if let Some(key) = bearer.filter(|token| is_gateway_key(token)) {
            return Ok(Self::gateway_key(Secret::new(key)));
        }
        if let Some(sign_in) = Self::chatgpt(headers, authorization) {
            return Ok(Self {
                gateway_key: beside,
                ..sign_in
            });
        }
        let api_key = non_empty(headers, "api-key");
        if let Some(key) = api_key.filter(|key| bearer.is_none() && is_gateway_key(key)) {
            return Ok(Self::gateway_key(Secret::new(key)));
        }
        if let Some(key) = bearer.or(api_key) {
            return Ok(Self {
                gateway_key: beside,
                ..Self::api_key(key)
            });
        }
        // A gateway key with nothing beside it is the credential.
        Ok(beside.map_or_else(Self::anonymous, Self::gateway_key))
    }

    /// A ChatGPT sign-in: a token with OpenAI's claims, an account id beside any token, an access
    /// token (`at-…`) or an agent assertion.
    fn chatgpt(headers: &HeaderMap, authorization: Authorization<'_>) -> Option<Self> {
        let account_id = non_empty(headers, "chatgpt-account-id");
        let bearer = authorization.bearer();
        let claims = bearer.and_then(ChatgptClaims::from_jwt);
        let is_access_token = bearer.is_some_and(|token| token.starts_with("at-"));
        if account_id.is_none()
            && claims.is_none()
            && !is_access_token
            && !authorization.is_agent_assertion()
        {
            return None;
        }
        let claimed_account = claims
            .as_ref()
            .and_then(|claims| claims.account_id.as_deref());
        let account = account_id
            .or(claimed_account)
            .map(|id| digest(id.as_bytes()));
        let user = claims.as_ref().and_then(|claims| claims.user_id.as_deref());
        let credential_digest = digest(authorization.token.as_bytes());
        let label = user
            .map(|id| digest(id.as_bytes()))
            .or_else(|| account.clone())
            .unwrap_or_else(|| credential_digest.clone());
        Some(Self {
            route: AuthRoute::Chatgpt,
            label: format!("chatgpt:{label}"),
            credential_digest,
            account,
            plan: claims.and_then(|claims| claims.plan),
            gateway_key: None,
        })
    }

    fn api_key(key: &str) -> Self {
        let credential_digest = digest(key.as_bytes());
        Self {
            route: AuthRoute::ApiKey,
            label: format!("api_key:{credential_digest}"),
            credential_digest,
            account: None,
            plan: None,
            gateway_key: None,
        }
    }

    fn anonymous() -> Self {
        Self {
            route: AuthRoute::Anonymous,
            label: "anonymous".to_owned(),
            credential_digest: String::new(),
            account: None,
            plan: None,
            gateway_key: None,
        }
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
                "a ChatGPT token is in the header of an API key; send it as `authorization: Bearer`",
            ));
        }
    }
    Ok(())
}

/// The `authorization` header in its two parts; both empty where there is none.
#[derive(Clone, Copy)]
struct Authorization<'a> {
    scheme: &'a str,
    token: &'a str,
}

impl<'a> Authorization<'a> {
    fn read(headers: &'a HeaderMap) -> Self {
        let value = text(headers, header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (scheme, token) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        let token = token.trim();
        Self { scheme, token }
    }

    fn bearer(self) -> Option<&'a str> {
        let is_bearer = self.scheme.eq_ignore_ascii_case("bearer") && !self.token.is_empty();
        is_bearer.then_some(self.token)
    }

    fn is_agent_assertion(self) -> bool {
        self.scheme.eq_ignore_ascii_case("agentassertion") && !self.token.is_empty()
    }
}

/// The key of a header that some clients write as they write `authorization`.
fn without_scheme(value: &str) -> &str {
    match value.split_once(char::is_whitespace) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) | None if value.eq_ignore_ascii_case("bearer") => "",
        Some(_) | None => value,
    }
}

fn is_gateway_key(token: &str) -> bool {
    token.starts_with(GATEWAY_KEY_PREFIX)
}

fn non_empty<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    text(headers, name).filter(|value| !value.is_empty())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
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
        RequestCredentials::read(&headers).unwrap().route
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
    fn a_gateway_key_has_its_header_with_or_without_a_scheme() {
        for (value, expected) in [
            ("cgw_abc", Some("cgw_abc")),
            ("Bearer cgw_abc", Some("cgw_abc")),
            ("bearer  cgw_abc ", Some("cgw_abc")),
            ("Bearer\tcgw_abc", Some("cgw_abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
            ("Basic cgw_abc", Some("Basic cgw_abc")),
        ] {
            for beside in [None, Some("Bearer sk-1")] {
                let mut headers = HeaderMap::new();
                headers.insert(GATEWAY_KEY_HEADER, value.parse().unwrap());
                if let Some(beside) = beside {
                    headers.insert("authorization", beside.parse().unwrap());
                }
                let read = RequestCredentials::read(&headers).unwrap();
                let key = read.gateway_key.as_ref().map(Secret::expose);
                assert_eq!(key, expected, "`{value}` beside {beside:?}");
            }
        }
    }

    #[test]
    fn labels_show_nothing_of_the_credential() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer sk-very-secret".parse().unwrap());
        let presented = RequestCredentials::read(&headers).unwrap();
        assert!(!format!("{presented:?}").contains("secret"));
    }
}
