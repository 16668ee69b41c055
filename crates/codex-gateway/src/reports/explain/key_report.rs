//! What keys, teams and budgets add to the answer: whether the key works here and for this model,
//! and where the money stands. Reads the store and reserves nothing.

use gateway_ledger::{Directory, KeyRecord, Ledger};
use gateway_policy::limit::{Limits, Scope};
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::administration;
use crate::administration::budget_lines;
use crate::administration::error::AdminError;
use crate::administration::keys::KeyState;
use crate::config::{Settings, SourceMap};
use crate::error::ErrorCode;
use crate::identity::grant::Grant;
use crate::reports::explain::answer::{Explained, explain};
use crate::reports::explain::key_context::{FoundKey, KeyContext, Refused, SpeedLine};
use crate::reports::explain::query::ExplainQuery;

/// Explains, with what the store says of the key and the team that are named.
///
/// # Errors
/// [`AdminError::NotFound`] when there is no such team; when the store cannot be read.
pub async fn explain_with_key(
    ledger: &Ledger,
    settings: &Settings,
    places: &SourceMap,
    query: &ExplainQuery,
    (day, now): (Date, Timestamp),
) -> Result<Explained, AdminError> {
    let directory = ledger.directory().await?;
    if let Some(team) = &query.team {
        administration::existing_team(&directory, team)?;
    }
    let record = query
        .key
        .as_deref()
        .and_then(|named| find(&directory, named, now));
    let mut asked = query.clone();
    let mut notes = Vec::new();
    if let Some(record) = record {
        if query.team.is_some() && query.team != record.team {
            let team = record.team.as_deref().unwrap_or("no team");
            notes.push(format!(
                "key `{}` belongs to {team}, which was used for this explanation",
                record.name
            ));
        }
        // What rules see of a request with this key.
        asked.key = Some(record.name.clone());
        asked.team.clone_from(&record.team);
    } else if let Some(named) = &query.key {
        notes.push(format!(
            "the store has no key `{named}`: the rules were evaluated as if it existed"
        ));
    }
    let mut answer = explain(settings, places, &asked, day);
    answer.explanation.notes.extend(notes);
    let limits = directory.limits_of(record, asked.team.as_ref());
    let scopes: Vec<Scope> = limits.iter().map(|limits| limits.scope.clone()).collect();
    let mut context = KeyContext {
        key: query.key.as_ref().map(|named| found(named, record, now)),
        refused: None,
        budgets: budget_lines::budgets_of(ledger, &directory, &scopes).await?,
        limits: limits
            .iter()
            .filter(|limits| limits.limits != Limits::default())
            .map(|limits| SpeedLine {
                scope: limits.scope.as_text(),
                limits: limits.limits,
            })
            .collect(),
    };
    context.refused = refuse_key(&directory, record, &context, &mut answer)
        .or_else(|| refuse_budget(settings, &context, &answer));
    answer.key_context = Some(context);
    Ok(answer)
}

/// By id, or by name; of several the one that works.
fn find<'d>(directory: &'d Directory, named: &str, now: Timestamp) -> Option<&'d KeyRecord> {
    let of_that_name = || {
        let keys = directory.keys().iter();
        keys.filter(|key| key.name == named)
    };
    directory
        .key(named)
        .or_else(|| of_that_name().find(|key| KeyState::of(key, now) == KeyState::Live))
        .or_else(|| of_that_name().next())
}

fn found(named: &str, record: Option<&KeyRecord>, now: Timestamp) -> FoundKey {
    FoundKey {
        id: record.map(|key| key.id.clone()),
        name: record.map_or(named, |key| &key.name).to_owned(),
        team: record.and_then(|key| key.team.clone()),
        state: record.map_or(KeyState::Unknown, |key| KeyState::of(key, now)),
    }
}

/// What the key is refused, in the order of the walk. A model that it may not use turns the answer
/// into a rejection.
fn refuse_key(
    directory: &Directory,
    record: Option<&KeyRecord>,
    context: &KeyContext,
    answer: &mut Explained,
) -> Option<Refused> {
    let (record, key) = (record?, context.key.as_ref()?);
    let refused = |code: ErrorCode, message: String| {
        Some(Refused {
            code: code.as_str(),
            message,
        })
    };
    match key.state {
        KeyState::Live | KeyState::Unknown => {}
        KeyState::Revoked => {
            return refused(
                ErrorCode::InvalidGatewayKey,
                "the key is revoked".to_owned(),
            );
        }
        KeyState::Expired => {
            return refused(
                ErrorCode::InvalidGatewayKey,
                "the key has expired".to_owned(),
            );
        }
    }
    let grant = Grant::new(directory, Some(record));
    let it = &mut answer.explanation;
    if let Err(denied) = grant.check_route(&record.name, it.route) {
        return refused(ErrorCode::KeyNotPermitted, denied.to_string());
    }
    for fallback in &mut it.fallbacks {
        if fallback.skipped.is_none() && !grant.permits_model(&fallback.model) {
            fallback.skipped = Some(format!("gateway key `{}` may not use it", record.name));
            fallback.upstream = None;
        }
    }
    let denied = grant
        .check_model(&record.name, it.model_served.as_ref()?)
        .err()?;
    let message = denied.to_string();
    it.decision = Some(DecisionKind::Rejected);
    it.message = Some(message.clone());
    (it.model_served, it.upstream, it.base_url) = (None, None, None);
    (it.wire, it.reason, it.chain) = (None, None, None);
    it.fallbacks.clear();
    answer.price = None;
    refused(ErrorCode::ModelNotFound, message)
}

/// A budget that is spent whatever the request would cost.
fn refuse_budget(settings: &Settings, context: &KeyContext, answer: &Explained) -> Option<Refused> {
    let name = answer.explanation.upstream.as_ref()?;
    let upstream = settings
        .policy
        .upstreams()
        .find(|upstream| upstream.name == *name)?;
    let is_plan =
        answer.explanation.route == AuthRoute::Chatgpt && upstream.credential.is_callers();
    let billing = if is_plan {
        Billing::Plan
    } else {
        Billing::Metered
    };
    let spent = context
        .budgets
        .iter()
        .find(|line| line.billing == billing && line.spent_nanos >= line.nanos)?;
    Some(Refused {
        code: ErrorCode::UsageLimitReached.as_str(),
        message: format!(
            "the budget of {} ({}) is spent",
            spent.scope,
            spent.window.as_str()
        ),
    })
}
