//! What reports of the ledger are narrowed to, as query parameters.

use std::borrow::Cow;

use axum::extract::{FromRef, FromRequestParts};
use gateway_ledger::{Filters, Outcome};
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::codex::RequestKind;
use gateway_wire::words::Schema;
use http::request::Parts;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::clock::Clock;
use crate::config::active::SharedConfig;
use crate::endpoint::Endpoint;
use crate::error::GatewayError;
use crate::http::admin::query::{not_valid, pairs, read};
use crate::reports::when;

/// Only exchanges that match every parameter given.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct FilterParams {
    /// Requests that arrived at or after this time.
    #[param(inline)]
    since: Option<When>,
    /// Requests that arrived before this time.
    #[param(inline)]
    until: Option<When>,
    /// Requests of this day, in the configured time zone.
    #[param(inline)]
    day: Option<Day>,
    /// The auth route.
    #[param(inline)]
    route: Option<AuthRoute>,
    /// The id of the gateway key.
    key: Option<String>,
    /// The team.
    team: Option<String>,
    /// Codex's session.
    session: Option<String>,
    /// Codex's turn.
    turn: Option<String>,
    /// The user's turn that a turn serves.
    root_turn: Option<String>,
    /// The repository, as recorded.
    repo: Option<String>,
    /// What the request was for.
    #[param(inline)]
    kind: Option<RequestKind>,
    /// The endpoint.
    #[param(inline)]
    endpoint: Option<Endpoint>,
    /// What became of the requested model.
    #[param(inline)]
    decision: Option<DecisionKind>,
    /// The upstream.
    upstream: Option<String>,
    /// The model that served.
    model: Option<String>,
    /// How the exchange ended.
    #[param(inline)]
    outcome: Option<Outcome>,
    /// Who pays for it.
    #[param(inline)]
    billing: Option<Billing>,
    /// The HTTP status that the client got.
    #[param(inline)]
    status: Option<Status>,
}

/// The parameters of an endpoint that takes the filters beside its own. `T` denies unknown fields.
pub(in crate::http) struct FilteredQuery<T> {
    pub(in crate::http) params: T,
    pub(in crate::http) narrowed: Narrowed,
    /// The filters as they were given, for links.
    pub(in crate::http) given: Vec<(String, String)>,
}

/// For an endpoint that takes the filters alone.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NoOthers {}

impl<S, T> FromRequestParts<S> for FilteredQuery<T>
where
    S: Send + Sync,
    T: DeserializeOwned + IntoParams,
    Clock: FromRef<S>,
    SharedConfig: FromRef<S>,
{
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, GatewayError> {
        let own = T::into_params(|| None);
        let (params, filters): (Vec<_>, Vec<_>) = pairs(&parts.uri)?
            .into_iter()
            .partition(|(name, _)| own.iter().any(|parameter| parameter.name == *name));
        let mut given = filters.clone();
        given.retain(|(_, value)| !value.is_empty());
        let (params, filters) = (read(params)?, read::<FilterParams>(filters)?);
        let config = SharedConfig::from_ref(state).load_full();
        let now = Clock::from_ref(state).now();
        Ok(Self {
            params,
            narrowed: filters.read(now, &config.settings.storage.time_zone)?,
            given,
        })
    }
}

/// The filters, as the ledger takes them.
#[derive(Debug)]
pub(in crate::http) struct Narrowed {
    pub(in crate::http) since: Option<Timestamp>,
    pub(in crate::http) until: Option<Timestamp>,
    pub(in crate::http) filters: Filters,
}

impl FilterParams {
    /// Reads the times, relative to `now` and in `zone`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`](crate::error::ErrorCode) for the first that is not valid.
    fn read(self, now: Timestamp, zone: &TimeZone) -> Result<Narrowed, GatewayError> {
        let time = |name, text: Option<When>| {
            let time = text.map(|When(text)| when::parse(&text, now, zone));
            time.transpose()
                .map_err(|problem| not_valid(name, &problem))
        };
        let mut since = time("since", self.since)?;
        let mut until = time("until", self.until)?;
        if let Some(Day(date)) = self.day {
            let (start, end) = bounds(date, zone)
                .ok_or_else(|| not_valid("day", "this day does not exist here"))?;
            since = Some(since.map_or(start, |since| since.max(start)));
            until = Some(until.map_or(end, |until| until.min(end)));
        }
        let filters = Filters {
            route: self.route.map(|route| route.to_string()),
            key: self.key,
            team: self.team,
            session: self.session,
            turn: self.turn,
            root_turn: self.root_turn,
            repo: self.repo,
            kind: self.kind.map(|kind| kind.to_string()),
            endpoint: self.endpoint.map(|endpoint| endpoint.to_string()),
            decision: self.decision.map(|decision| decision.to_string()),
            upstream: self.upstream,
            model: self.model,
            outcome: self.outcome.map(|outcome| outcome.to_string()),
            billing: self.billing.map(|billing| billing.to_string()),
            status: self.status.map(|Status(status)| status),
        };
        Ok(Narrowed {
            since,
            until,
            filters,
        })
    }
}

/// The first moment of a day and of the next one.
fn bounds(date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let start = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    Some((start(date)?, start(date.tomorrow().ok()?)?))
}

/// A time as [`when::parse`] reads it.
#[derive(Debug, Deserialize)]
struct When(String);

/// `2026-11-01`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Day(Date);

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let date = text.parse().map(Self);
        date.map_err(|_| "write a date such as 2026-11-01")
    }
}

/// An HTTP status.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Status(u16);

impl TryFrom<String> for Status {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let status = text.parse().ok();
        status
            .filter(|status| (100..600).contains(status))
            .map(Self)
            .ok_or("write a status such as 429")
    }
}

/// Gives types with a written form of their own a schema.
macro_rules! schemas {
    ($($name:ident: $schema:expr;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> Schema {
                $schema.into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+};
}

// The patterns describe a part of what is read: every day of them exists.
schemas! {
    When: ObjectBuilder::new().schema_type(Type::String).pattern(Some(
        "^([0-9]{1,4}[smhdw]|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])\
         (T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?)$",
    ));
    Day: ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$"));
    Status: ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(100))
        .maximum(Some(599));
}
