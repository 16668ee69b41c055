//! Query parameters of `/api`. Each must be known to the endpoint and valid; what is wrong is said
//! with the parameter's name. An optional parameter that is empty counts as absent.

use std::borrow::Cow;
use std::fmt::Display;

use axum::extract::{FromRequestParts, Query as PairsQuery};
use http::Uri;
use http::request::Parts;
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::error::{ErrorCode, GatewayError};

/// The parameters of an endpoint. `T` denies unknown fields.
pub(in crate::http) struct Query<T>(pub(in crate::http) T);

/// The parameters of a page that can be asked nothing.
pub(in crate::http) struct Optional<T>(pub(in crate::http) Option<T>);

impl<S: Send + Sync, T: FromRequestParts<S>> FromRequestParts<S> for Optional<T> {
    type Rejection = T::Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, T::Rejection> {
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Self(None));
        }
        T::from_request_parts(parts, state)
            .await
            .map(|asked| Self(Some(asked)))
    }
}

/// For an endpoint without parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = GatewayError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, GatewayError> {
        read(pairs(&parts.uri)?).map(Self)
    }
}

/// The error for a parameter whose value is not valid.
pub(in crate::http) fn not_valid(
    name: impl Into<Cow<'static, str>>,
    problem: &str,
) -> GatewayError {
    let name = name.into();
    refused(format!("`{name}`: {problem}")).param(name)
}

/// Names and values, each name once.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, GatewayError> {
    let undecodable =
        || refused("the query string cannot be decoded; percent-encode its values as UTF-8");
    let PairsQuery(pairs) =
        PairsQuery::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| undecodable())?;
    // Bytes that are not UTF-8 were decoded to replacement characters, which would match nothing.
    if pairs.iter().any(|(_, value)| value.contains('\u{fffd}')) {
        return Err(undecodable());
    }
    for (at, (name, _)) in pairs.iter().enumerate() {
        if pairs.iter().skip(at + 1).any(|(other, _)| other == name) {
            return Err(refused(format!("`{}` is given twice", printable(name))));
        }
    }
    Ok(pairs)
}

/// The parameters as a `T`, which denies unknown fields.
pub(super) fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, GatewayError> {
    // `by=` alone says something: the total without groups.
    let given = pairs
        .into_iter()
        .filter(|(name, value)| !value.is_empty() || name == "by")
        .map(|(name, value)| (name, QueryValue(value)));
    serde_path_to_error::deserialize(MapDeserializer::new(given)).map_err(|error| {
        let name = error.path().to_string();
        match error.into_inner() {
            QueryError::Missing(name) => refused(format!("`{name}` is missing")).param(name),
            // A filter with a typing error would otherwise show everything.
            QueryError::Unknown(name) => refused(format!(
                "`{}` is not a parameter of this endpoint",
                printable(&name)
            )),
            QueryError::NotValid(problem) => not_valid(name, &problem),
        }
    })
}

/// The text of a value. What is not text in a struct is read from it: see [`TryFrom`].
struct QueryValue(String);

impl<'de> Deserializer<'de> for QueryValue {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl IntoDeserializer<'_, QueryError> for QueryValue {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn refused(message: impl Into<String>) -> GatewayError {
    GatewayError::new(ErrorCode::InvalidRequest, message)
}

fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// What serde finds wrong with the parameters.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is unknown")]
    Unknown(String),
    #[error("{0}")]
    NotValid(String),
}

impl serde::de::Error for QueryError {
    fn custom<T: Display>(problem: T) -> Self {
        Self::NotValid(problem.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown(name.to_owned())
    }

    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self::NotValid(format!("one of {}", words.join(", ")))
    }
}
