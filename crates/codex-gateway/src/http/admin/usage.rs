//! `GET /api/usage` and `GET /api/exchanges`: sums and entries of the ledger.

use axum::Json;
use axum::extract::State;
use gateway_ledger::{ExchangeQuery, MAX_PAGE, Page, UsageQuery, UsageReport};
use http::Uri;

use crate::error::GatewayError;
use crate::http::admin::params::{Narrowed, Params, ledger_error};
use crate::http::state::HttpState;
use crate::reports::usage::{DEFAULT_BY, group_by};

/// Entries on a page where nobody says.
const DEFAULT_PAGE: u32 = 100;

/// `GET /api/usage?by=model,day&since=7d&until=…&<filters>`. `by=` sums up without groups.
pub(super) async fn usage(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Json<UsageReport>, GatewayError> {
    let mut params = Params::read(&uri)?;
    let by = params.raw("by");
    let by = by.as_deref().unwrap_or(DEFAULT_BY);
    let by = group_by(by).map_err(|problem| super::params::bad(problem).param("by"))?;
    let narrowed = narrowed(&app, &mut params)?;
    params.done()?;
    let query = UsageQuery {
        by,
        since: narrowed.since,
        until: narrowed.until,
        filters: narrowed.filters,
    };
    let report = app.ledger.usage(&query).await;
    report.map(Json).map_err(|error| ledger_error(&error))
}

/// `GET /api/exchanges?limit=1..1000&cursor=&since=&until=&<filters>`, newest first.
pub(super) async fn exchanges(
    State(app): State<HttpState>,
    uri: Uri,
) -> Result<Json<Page>, GatewayError> {
    let mut params = Params::read(&uri)?;
    let limit = params.read_as("limit", |text| {
        let limit = text.parse().ok();
        limit
            .filter(|limit| (1..=MAX_PAGE).contains(limit))
            .ok_or_else(|| format!("a number from 1 to {MAX_PAGE}"))
    })?;
    let cursor = params.text("cursor");
    let narrowed = narrowed(&app, &mut params)?;
    params.done()?;
    let query = ExchangeQuery {
        limit: limit.unwrap_or(DEFAULT_PAGE),
        cursor,
        since: narrowed.since,
        until: narrowed.until,
        filters: narrowed.filters,
    };
    let page = app.ledger.exchanges(&query).await;
    page.map(Json).map_err(|error| ledger_error(&error))
}

fn narrowed(app: &HttpState, params: &mut Params) -> Result<Narrowed, GatewayError> {
    let live = app.config.load();
    Narrowed::read(params, app.clock.now(), &live.settings.storage.time_zone)
}
