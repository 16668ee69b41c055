//! `GET /api/me/usage`: what the holder of a gateway key used, for scripts and status bars. The key
//! itself is the credential, and opens nothing of anybody else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use gateway_ledger::{Filters, GroupBy, Ledger, UsageQuery, UsageReport};
use http::{HeaderValue, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::administration::budget_lines::BudgetLine;
use crate::administration::keys::show_key;
use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::error::{ErrorCode, GatewayError};
use crate::http::admin::query::{Query, not_valid};
use crate::identity::caller::client_address;
use crate::identity::credentials::RequestCredentials;
use crate::identity::keys::Keys;
use crate::reports::usage::group_by;
use crate::reports::when;

const DEFAULT_SINCE: &str = "24h";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    by: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// The answer.
#[derive(Serialize)]
struct OwnUsage {
    key: OwnKey,
    since: Timestamp,
    /// The key's own budgets. Those of its team and of the gateway are not the holder's to see.
    budgets: Vec<BudgetLine>,
    #[serde(flatten)]
    report: UsageReport,
}

#[derive(Serialize)]
struct OwnKey {
    id: String,
    name: String,
    team: Option<String>,
    expires_at: Option<Timestamp>,
}

pub(super) async fn usage(
    State(keys): State<Arc<Keys>>,
    State(ledger): State<Ledger>,
    State(clock): State<Clock>,
    State(config): State<SharedConfig>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, GatewayError> {
    let (parts, _) = request.into_parts();
    let credentials = RequestCredentials::read(&parts.headers)?;
    keys.find_new(&credentials, client_address(&parts)).await?;
    let key = keys.identify(&credentials)?.ok_or_else(|| {
        GatewayError::new(
            ErrorCode::MissingCredential,
            "send your gateway key (`cgw_…`) as a bearer token, or in `x-gateway-key`",
        )
    })?;
    let (config, now) = (config.load_full(), clock.now());
    let zone = &config.settings.storage.time_zone;
    let moment = |name: &'static str, text: &str| {
        when::parse(text, now, zone).map_err(|problem| not_valid(name, &problem))
    };
    let since = moment("since", asked.since.as_deref().unwrap_or(DEFAULT_SINCE))?;
    let until = asked
        .until
        .as_deref()
        .map(|text| moment("until", text))
        .transpose()?;
    let by = match asked.by.as_deref() {
        Some(words) => group_by(words).map_err(|problem| not_valid("by", &problem))?,
        None => vec![GroupBy::Model],
    };
    let query = UsageQuery {
        by,
        since: Some(since),
        until,
        filters: Filters {
            key: Some(key.id.clone()),
            ..Filters::default()
        },
    };
    let report = ledger.usage(&query).await?;
    let detail = show_key(&ledger, &key.id, now).await?;
    let answer = OwnUsage {
        key: OwnKey {
            id: key.id,
            name: key.name,
            team: key.team,
            expires_at: detail.key.expires_at,
        },
        since,
        budgets: detail.budgets,
        report,
    };
    let mut response = axum::Json(answer).into_response();
    let nothing_kept = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, nothing_kept);
    Ok(response)
}
