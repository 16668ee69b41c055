//! Keeps what an upstream stores under the gateway's own credential with those who made it: a
//! response, its items and containers belong to the gateway key that made them, and to its team.
//! What no key is known to have made belongs to none, unless the operator shares an upstream's ids.

use std::collections::HashMap;

use gateway_ledger::{Ledger, StoredId};
use gateway_policy::{ModelId, Upstream};
use gateway_wire::request::{Reference, other_models, references};
use gateway_wire::stream::ReplySummary;
use percent_encoding::percent_decode_str;

use crate::error::{ErrorCode, GatewayError};
use crate::exchange::attempt::PlannedRequest;
use crate::identity::caller::{Caller, KeyIdentity};
use crate::record::Exchange;
use crate::request_body::Tail;

/// Refuses a request that uses what another caller's requests made, or a model that the key may not
/// use beside the one that decides. Fallbacks at upstreams where it uses such things are left out.
///
/// # Errors
/// [`ErrorCode::PreviousResponseNotFound`] or [`ErrorCode::InvalidRequest`] as if nothing of that
/// id existed, [`ErrorCode::ModelNotFound`] for a model, and when the store does not answer.
pub async fn check_request(
    ledger: &Ledger,
    caller: &Caller,
    planned: &mut PlannedRequest,
) -> Result<(), GatewayError> {
    let Some(key) = &caller.key else {
        return Ok(());
    };
    let Tail::Replayable { plain, .. } = &planned.body.tail else {
        return Ok(());
    };
    for (member, id) in other_models(plain) {
        let denied = match ModelId::new(&id) {
            Ok(model) => key.grant.check_model(&key.name, &model).err(),
            Err(_) => None,
        };
        if let Some(denied) = denied {
            let error = GatewayError::new(ErrorCode::ModelNotFound, denied.to_string());
            return Err(error.param(member));
        }
    }
    let plan = &planned.plan;
    let is_any_own = std::iter::once(&plan.first).chain(&plan.rest);
    if !is_any_own
        .into_iter()
        .any(|attempt| is_kept_apart(&attempt.upstream))
    {
        return Ok(());
    }
    let Some(found) = references(plain) else {
        let message = "the request names more stored files, items and containers than a gateway \
                       checks; name fewer";
        return Err(GatewayError::new(ErrorCode::InvalidRequest, message).param("input"));
    };
    if found.is_empty() {
        return Ok(());
    }
    if is_kept_apart(&planned.attempt.upstream)
        && let Some(foreign) = foreign(ledger, key, &planned.attempt.upstream, &found).await?
    {
        return Err(unknown(&foreign));
    }
    let mut kept = Vec::with_capacity(planned.plan.rest.len());
    for attempt in std::mem::take(&mut planned.plan.rest) {
        let is_foreign = is_kept_apart(&attempt.upstream)
            && foreign(ledger, key, &attempt.upstream, &found)
                .await?
                .is_some();
        if !is_foreign {
            kept.push(attempt);
        }
    }
    planned.plan.rest = kept;
    Ok(())
}

/// Refuses to read, cancel or delete a stored response that another caller's request made, or that a
/// model made which the key may not use.
///
/// # Errors
/// [`ErrorCode::NotFound`] as if there were none, and when the store does not answer.
pub async fn check_retrieval(
    ledger: &Ledger,
    caller: &Caller,
    upstream: &Upstream,
    path: &str,
) -> Result<(), GatewayError> {
    let Some(key) = caller.key.as_ref().filter(|_| is_kept_apart(upstream)) else {
        return Ok(());
    };
    let id = response_id(path);
    let asked = [Reference {
        member: "previous_response_id",
        id: id.clone(),
    }];
    if foreign(ledger, key, upstream, &asked).await?.is_none() {
        return Ok(());
    }
    Err(GatewayError::new(
        ErrorCode::NotFound,
        format!("Response with id '{id}' not found."),
    ))
}

/// Remembers who made what an answer leaves at its upstream. A failure costs the caller the use of
/// it, and not the answer.
pub async fn remember(ledger: &Ledger, exchange: &Exchange, summary: &ReplySummary) {
    let made = made(exchange, summary);
    if made.is_empty() {
        return;
    }
    if let Err(error) = ledger.remember_stored(made).await {
        tracing::warn!(
            request.id = %exchange.arrival.id, error = &error as &dyn std::error::Error,
            "the owner of a stored response could not be recorded; the response cannot be used again"
        );
    }
}

fn made(exchange: &Exchange, summary: &ReplySummary) -> Vec<StoredId> {
    let key = exchange
        .caller
        .as_ref()
        .and_then(|caller| caller.key.as_ref());
    let (Some(key), Some(attempt)) = (key, &exchange.attempt) else {
        return Vec::new();
    };
    if !attempt.upstream.credential.is_own() || !exchange.arrival.endpoint.names_a_model() {
        return Vec::new();
    }
    let stored = &summary.stored;
    let kept = exchange.request.is_stored.then(|| {
        let response = summary.response_id.iter();
        response.chain(&stored.items)
    });
    let ids = kept.into_iter().flatten().chain(&stored.containers);
    let owned = |id: &String| StoredId {
        upstream: attempt.upstream.name.to_string(),
        id: id.clone(),
        key: key.id.clone(),
        team: key.team.clone(),
        model: attempt.model.as_ref().map(ToString::to_string),
    };
    ids.map(owned).collect()
}

/// Whether callers of an upstream are kept apart here: with a credential of their own, the upstream
/// does so.
fn is_kept_apart(upstream: &Upstream) -> bool {
    upstream.credential.is_own() && !upstream.shared_ids
}

/// The first reference to something that a key may not use.
async fn foreign(
    ledger: &Ledger,
    key: &KeyIdentity,
    upstream: &Upstream,
    found: &[Reference],
) -> Result<Option<Reference>, GatewayError> {
    let ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
    let known = ledger.stored(upstream.name.as_str(), &ids).await?;
    let known: HashMap<&str, &StoredId> = known
        .iter()
        .map(|known| (known.id.as_str(), known))
        .collect();
    let is_foreign = |found: &&Reference| {
        let known = known.get(found.id.as_str());
        !known.is_some_and(|known| belongs_to(known, key))
    };
    Ok(found.iter().find(is_foreign).cloned())
}

fn belongs_to(stored: &StoredId, key: &KeyIdentity) -> bool {
    let is_teams = stored.team.is_some() && stored.team == key.team;
    let model = stored.model.as_deref().map(ModelId::new);
    let is_permitted = model.is_none_or(|model| model.is_ok_and(|it| key.grant.permits_model(&it)));
    (stored.key == key.id || is_teams) && is_permitted
}

/// The upstream's own words for an id that does not exist.
fn unknown(reference: &Reference) -> GatewayError {
    let Reference { member, id } = reference;
    if *member == "previous_response_id" {
        let message = format!("Previous response with id '{id}' not found.");
        return GatewayError::new(ErrorCode::PreviousResponseNotFound, message).param(*member);
    }
    let message = format!(
        "`{member}` with id '{id}' not found: through this gateway, a key can use what it or its \
         team made with it"
    );
    GatewayError::new(ErrorCode::InvalidRequest, message).param(*member)
}

/// The id in `/v1/responses/{id}` and in the paths below it.
fn response_id(path: &str) -> String {
    let mut segments = path
        .split('/')
        .skip_while(|segment| *segment != "responses");
    let id = segments.nth(1).unwrap_or_default();
    percent_decode_str(id).decode_utf8_lossy().into_owned()
}
