//! `/api/usage` and `/api/exchanges`: sums and entries of the ledger.

use std::borrow::Cow;

use axum::extract::State;
use gateway_ledger::{ExchangeQuery, GroupBy, Ledger, Page, UsageQuery, UsageReport};
use gateway_wire::words::Schema;
use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::error::GatewayError;
use crate::http::admin::filters::{FilterParams, FilteredQuery};
use crate::http::admin::json::Json;
use crate::http::admin::page_size::PageSize;
use crate::reports::usage::{DEFAULT_BY, group_by};

/// What sums are grouped by: words separated by commas, or nothing for the total alone.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Grouping(Vec<GroupBy>);

impl Default for Grouping {
    fn default() -> Self {
        Self(vec![DEFAULT_BY])
    }
}

impl TryFrom<String> for Grouping {
    type Error = String;

    fn try_from(words: String) -> Result<Self, String> {
        group_by(&words).map(Self)
    }
}

impl PartialSchema for Grouping {
    fn schema() -> Schema {
        let word = GroupBy::WORDS.join("|");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^(({word})(,({word}))*)?$")))
            .default(Some(DEFAULT_BY.as_str().into()))
            .examples(["model,day"])
            .into()
    }
}

impl ToSchema for Grouping {
    fn name() -> Cow<'static, str> {
        "Grouping".into()
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageParams {
    /// What to group by; empty for the total only.
    #[serde(default)]
    #[param(inline)]
    by: Grouping,
}

/// Sums of the ledger.
#[utoipa::path(
    get,
    path = "/usage",
    params(UsageParams, FilterParams),
    responses((status = 200, body = UsageReport)),
)]
pub(super) async fn sum_usage(
    State(ledger): State<Ledger>,
    FilteredQuery {
        params, narrowed, ..
    }: FilteredQuery<UsageParams>,
) -> Result<Json<UsageReport>, GatewayError> {
    let query = UsageQuery {
        by: params.by.0,
        since: narrowed.since,
        until: narrowed.until,
        filters: narrowed.filters,
    };
    Ok(Json(ledger.usage(&query).await?))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageParams {
    /// How many exchanges.
    #[serde(default)]
    #[param(inline)]
    limit: PageSize,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9_-]*$")]
    cursor: Option<String>,
}

/// Exchanges, the newest first, page by page.
#[utoipa::path(
    get,
    path = "/exchanges",
    params(PageParams, FilterParams),
    responses((status = 200, body = Page)),
)]
pub(super) async fn list_exchanges(
    State(ledger): State<Ledger>,
    FilteredQuery {
        params, narrowed, ..
    }: FilteredQuery<PageParams>,
) -> Result<Json<Page>, GatewayError> {
    let query = ExchangeQuery {
        limit: params.limit.get(),
        cursor: params.cursor,
        since: narrowed.since,
        until: narrowed.until,
        filters: narrowed.filters,
    };
    Ok(Json(ledger.exchanges(&query).await?))
}
