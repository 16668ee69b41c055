//! Step 2: the credential of a request becomes a caller.

use gateway_ledger::InstanceId;
use gateway_policy::AuthRoute;
use http::request::Parts;

use crate::config::Settings;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::caller::{Caller, client_address, is_local};
use crate::identity::credentials::RequestCredentials;
use crate::identity::keys::Keys;
use crate::upstream::headers;

/// What becomes of a request without a credential where no upstream serves such requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyless {
    /// It is refused.
    Refused,
    /// It is answered if it comes from this machine and the gateway listens on loopback.
    Local,
}

/// Reads the credential, looks up the gateway key, and says who the caller is.
///
/// # Errors
/// For a request that this gateway forwarded to itself, for a credential that is missing or not
/// readable, for a gateway key that is not valid, and when the store does not answer
/// about a new one.
pub async fn authenticate(
    keys: &Keys,
    settings: &Settings,
    instance: &InstanceId,
    parts: &Parts,
    keyless: Keyless,
) -> Result<Caller, GatewayError> {
    if headers::is_loop(&parts.headers, instance.as_str()) {
        return Err(GatewayError::new(
            ErrorCode::LoopDetected,
            "this request has already passed through this gateway: an upstream's base_url leads \
             back here; correct it in the configuration",
        ));
    }
    let credentials = RequestCredentials::read(&parts.headers)?;
    let route = credentials.route;
    let is_chatgpt = route == AuthRoute::Chatgpt;
    keys.find_new(&credentials, client_address(parts)).await?;
    let key = keys
        .identify(&credentials)
        .map_err(|error| error.forbid_instead_of_401(is_chatgpt))?;
    if settings.share.is_key_required && key.is_none() {
        let error = GatewayError::new(
            ErrorCode::MissingCredential,
            "this gateway requires a gateway key: send it as a bearer token, or in the \
             `x-gateway-key` header next to your own credential",
        );
        return Err(error.forbid_instead_of_401(is_chatgpt));
    }
    let is_local = is_local(parts);
    let is_answered = keyless == Keyless::Local
        && is_local
        && !settings.share.is_key_required
        && settings.server.listen.ip().is_loopback();
    if route == AuthRoute::Anonymous
        && settings.policy.route_upstream(route).is_none()
        && !is_answered
    {
        return Err(GatewayError::new(
            ErrorCode::MissingCredential,
            "the request carries no credential: sign in to Codex, or send an API key as a bearer \
             token (`env_key` in Codex's provider entry)",
        ));
    }
    Ok(Caller {
        route,
        label: credentials.label,
        credential_digest: credentials.credential_digest,
        account: credentials.account,
        plan: credentials.plan,
        is_local,
        key,
    })
}

/// A gateway key that is limited to some auth routes works on those alone.
///
/// # Errors
/// [`ErrorCode::KeyNotPermitted`] on another one.
pub fn check_route(caller: &Caller) -> Result<(), GatewayError> {
    let Some(key) = &caller.key else {
        return Ok(());
    };
    key.grant
        .check_route(&key.name, caller.route)
        .map_err(|denied| GatewayError::new(ErrorCode::KeyNotPermitted, denied.to_string()))
}
