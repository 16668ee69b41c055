//! Step 4: what is sent where. Pure: the same call of the policy answers `explain`.

use std::sync::Arc;

use gateway_policy::{AttemptPlan, AuthRoute, Decision, Memory, Policy, PolicyRequest, Upstream};

use crate::config::active::ActiveConfig;
use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::identity::caller::{Caller, KeyIdentity};
use crate::record::Decided;

/// Asks the rules which attempts to make, and leaves of them what the caller's key may use. A
/// refusal keeps the rule that decided.
pub fn decide(
    policy: &Policy,
    request: &PolicyRequest<'_>,
    memory: &dyn Memory,
    key: Option<&KeyIdentity>,
) -> (Decided, Result<AttemptPlan, GatewayError>) {
    match policy.decide(request, memory) {
        Decision::Reject(rejection) => {
            let error = GatewayError::new(ErrorCode::ModelNotFound, rejection.message());
            let decided = Decided {
                rule: Some(rejection.rule),
                is_rejected: true,
            };
            (decided, Err(error.param("model")))
        }
        Decision::Unrouted(route) => (Decided::default(), Err(no_route(route))),
        Decision::Forward(mut plan) => {
            let permitted = key.map_or(Ok(()), |key| keep_permitted(key, &mut plan));
            let decided = Decided {
                rule: plan.rule.clone(),
                is_rejected: permitted.is_err(),
            };
            (decided, permitted.map(|()| plan))
        }
    }
}

/// The upstream of a request that names no model: the one of the caller's route.
///
/// # Errors
/// [`ErrorCode::KeyNotPermitted`] where the route has none.
pub fn route_upstream<'a>(
    config: &'a ActiveConfig,
    caller: &Caller,
) -> Result<&'a Arc<Upstream>, GatewayError> {
    let policy = &config.settings.policy;
    policy
        .route_upstream(caller.route)
        .ok_or_else(|| no_route(caller.route))
}

fn no_route(route: AuthRoute) -> GatewayError {
    GatewayError::new(
        ErrorCode::KeyNotPermitted,
        format!(
            "no upstream is configured for the auth route `{route}`; set `{route}` in the \
             [routes] section of the gateway's configuration"
        ),
    )
}

/// An upstream's own credential is for holders of gateway keys; for others only while every caller
/// is at this machine.
///
/// # Errors
/// [`ErrorCode::KeyNotPermitted`] where the caller may not use the upstream.
pub fn check_credential(
    config: &ActiveConfig,
    endpoint: Endpoint,
    caller: &Caller,
    upstream: &Upstream,
) -> Result<(), GatewayError> {
    let settings = &config.settings;
    if !settings.credentials.contains_key(upstream.name.as_str()) {
        return Ok(());
    }
    if endpoint.needs_own_credential() {
        return Err(GatewayError::new(
            ErrorCode::KeyNotPermitted,
            format!(
                "`{}` works only with your own credential, not with the gateway's",
                endpoint.as_str()
            ),
        ));
    }
    if caller.key.is_some() || caller.is_local && settings.share.is_open {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::KeyNotPermitted,
        format!(
            "upstream `{}` uses the gateway's credential and needs a gateway key; ask the \
             gateway's operator for one",
            upstream.name
        ),
    ))
}

/// Leaves of a plan what the key may use. It is the model that rules chose which counts, and each
/// fallback by itself.
fn keep_permitted(key: &KeyIdentity, plan: &mut AttemptPlan) -> Result<(), GatewayError> {
    if let Err(denied) = key.grant.check_model(&key.name, &plan.head.model) {
        return Err(GatewayError::new(ErrorCode::ModelNotFound, denied.to_string()).param("model"));
    }
    if !key.grant.permits_model(&plan.first.model) {
        // Memory proposes a model that this key may not use: the one that the rules chose is asked.
        plan.first = plan.head.clone();
    }
    plan.rest
        .retain(|attempt| key.grant.permits_model(&attempt.model));
    Ok(())
}
