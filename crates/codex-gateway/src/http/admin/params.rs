//! Query parameters of `/api`. Every one is known or refused; what is wrong is said with the
//! parameter's name.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use gateway_ledger::{Filters, LedgerError, LedgerErrorKind, Outcome};
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::codex::RequestKind;
use http::Uri;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::reports::when;

/// The parameters of one request. Taking one removes it; what nobody took is refused by
/// [`Params::done`].
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn read(uri: &Uri) -> Result<Self, GatewayError> {
        let undecodable = || {
            bad("the query string cannot be decoded; percent-encode its values as UTF-8".to_owned())
        };
        let Query(pairs) =
            Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| undecodable())?;
        // What is no UTF-8 was decoded with replacement characters, and would quietly match
        // nothing.
        if pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
            return Err(undecodable());
        }
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs.iter().skip(at + 1).any(|(other, _)| other == name) {
                return Err(bad(format!("`{}` stands there twice", short(name))));
            }
        }
        Ok(Self(pairs))
    }

    /// A value as it stands there, an empty one included.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// A value; an empty one is none.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// A value that must be readable.
    pub(super) fn read_as<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, GatewayError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        read(&value)
            .map(Some)
            .map_err(|problem| bad(format!("`{name}`: {problem}")).param(name))
    }

    /// A value that is read by its `FromStr`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, GatewayError> {
        self.read_as(name, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// All parameters as one value, whose fields are their names.
    pub(super) fn into_query<T: DeserializeOwned>(self) -> Result<T, GatewayError> {
        let given = self.0.into_iter().filter(|(_, value)| !value.is_empty());
        serde_path_to_error::deserialize(MapDeserializer::new(given)).map_err(|error| {
            let name = error.path().to_string();
            match error.into_inner() {
                QueryError::Missing(name) => bad(format!("`{name}` is missing")).param(name),
                QueryError::Unknown(name) => unknown(&name),
                QueryError::Invalid(problem) => bad(format!("`{name}`: {problem}")).param(name),
            }
        })
    }

    /// Refuses what nobody asked for: a filter with a slip of the hand would else show everything.
    pub(super) fn done(self) -> Result<(), GatewayError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(unknown(name)),
        }
    }
}

fn unknown(name: &str) -> GatewayError {
    bad(format!(
        "`{}` is not a parameter of this endpoint",
        short(name)
    ))
}

/// What serde finds wrong with the parameters.
#[derive(Debug)]
enum QueryError {
    Missing(&'static str),
    Unknown(String),
    Invalid(String),
}

impl Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Unknown(name) => write!(f, "`{name}` is unknown"),
            Self::Invalid(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for QueryError {}

impl serde::de::Error for QueryError {
    fn custom<T: Display>(problem: T) -> Self {
        Self::Invalid(problem.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn unknown_field(name: &str, _known: &'static [&'static str]) -> Self {
        Self::Unknown(name.to_owned())
    }
}

/// What a listing or a sum is narrowed to.
#[derive(Debug, Default)]
pub(super) struct Narrowed {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) filters: Filters,
}

impl Narrowed {
    /// Takes every filter there is. `day` is a day in `zone` and narrows `since` and `until`.
    pub(super) fn read(
        params: &mut Params,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Self, GatewayError> {
        let moment = |text: &str| when::parse(text, now, zone);
        let day = params.read_as("day", |text| day(text, zone))?;
        let (mut since, mut until) = (
            params.read_as("since", moment)?,
            params.read_as("until", moment)?,
        );
        if let Some((start, end)) = day {
            since = Some(since.map_or(start, |since| since.max(start)));
            until = Some(until.map_or(end, |until| until.min(end)));
        }
        let filters = Filters {
            route: params.read_as("route", |word| {
                known(word, &AuthRoute::ALL, AuthRoute::as_str)
            })?,
            key: params.text("key"),
            team: params.text("team"),
            session: params.text("session"),
            turn: params.text("turn"),
            kind: params.read_as("kind", |word| {
                known(word, &RequestKind::ALL, RequestKind::as_str)
            })?,
            endpoint: params.read_as("endpoint", |word| {
                known(word, &Endpoint::ALL, Endpoint::as_str)
            })?,
            decision: params.read_as("decision", |word| {
                known(word, &DecisionKind::ALL, DecisionKind::as_str)
            })?,
            upstream: params.text("upstream"),
            model: params.text("model"),
            outcome: params.read_as("outcome", |word| {
                known(word, &Outcome::ALL, Outcome::as_str)
            })?,
            billing: params.read_as("billing", |word| {
                known(word, &[Billing::Metered, Billing::Plan], Billing::as_str)
            })?,
            status: params.read_as("status", |text| {
                let status = text.parse().ok();
                status
                    .filter(|status| (100..600).contains(status))
                    .ok_or_else(|| "write a status such as 429".to_owned())
            })?,
        };
        Ok(Self {
            since,
            until,
            filters,
        })
    }
}

/// A word that must be one of a list.
pub(super) fn known<T: Copy>(
    word: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<String, String> {
    let names: Vec<&str> = all.iter().map(|value| name(*value)).collect();
    if names.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("one of {}", names.join(", ")))
}

fn day(text: &str, zone: &TimeZone) -> Result<(Timestamp, Timestamp), String> {
    let wrong = || "write a date such as 2026-11-01".to_owned();
    let date: Date = text.parse().map_err(|_| wrong())?;
    let start = |date: Date| date.to_zoned(zone.clone()).map(|start| start.timestamp());
    let next = date.tomorrow().map_err(|_| wrong())?;
    Ok((
        start(date).map_err(|_| wrong())?,
        start(next).map_err(|_| wrong())?,
    ))
}

pub(super) fn bad(message: String) -> GatewayError {
    GatewayError::new(ErrorCode::InvalidRequest, message)
}

fn short(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// What the ledger could not do, for the caller; the detail is in the log.
pub(crate) fn ledger_error(error: &LedgerError) -> GatewayError {
    match error.kind() {
        LedgerErrorKind::Invalid => bad(error.to_string()),
        LedgerErrorKind::NotFound => GatewayError::new(ErrorCode::NotFound, error.to_string()),
        LedgerErrorKind::Conflict => GatewayError::new(ErrorCode::Conflict, error.to_string()),
        LedgerErrorKind::Unavailable => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the ledger does not answer a question"
            );
            GatewayError::new(
                ErrorCode::StorageUnavailable,
                "the gateway's ledger is not available; try again in a moment",
            )
        }
        LedgerErrorKind::Rejected | LedgerErrorKind::Corrupt => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the ledger holds something that cannot be read"
            );
            GatewayError::new(
                ErrorCode::InternalError,
                "internal error; the gateway's log has more",
            )
        }
    }
}
