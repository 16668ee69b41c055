//! Reads a whole answer, out of whatever an upstream wrapped around it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::json::raw::{Fields, fields_of, text_of};
use crate::json::tolerant;
use crate::stream::StreamFailure;
use crate::translate::failure::{error_event, own_failure};

/// Why an answer with a good status cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The upstream told an error, or what amounts to one.
    #[error("the upstream responded with an error: {}", .0.message.as_deref().unwrap_or("no message"))]
    Failed(Box<StreamFailure>),
    /// Not the JSON object that it must be.
    #[error("the upstream's response is not readable: {0}")]
    Unreadable(String),
}

impl ReplyError {
    /// The error for the client: code and message of what happened.
    pub fn failure(&self) -> StreamFailure {
        match self {
            Self::Failed(failure) => (**failure).clone(),
            Self::Unreadable(_) => own_failure("server_error", self.to_string()),
        }
    }
}

pub(super) fn unreadable(problem: impl Into<String>) -> ReplyError {
    ReplyError::Unreadable(problem.into())
}

/// A whole answer, as valid JSON.
pub(super) struct WholeAnswer<'a>(Cow<'a, str>);

impl WholeAnswer<'_> {
    pub(super) fn json(&self) -> &str {
        &self.0
    }

    /// Its top-level fields.
    pub(super) fn fields(&self) -> Result<Fields<'_>, ReplyError> {
        serde_json::from_str(&self.0).map_err(|error| unreadable(error.to_string()))
    }
}

/// The answer of a body, out of the wrapper that some upstreams put around it. `expected` is the
/// member that makes an answer of it.
pub(super) fn read_answer<'a>(
    body: &'a [u8],
    expected: &str,
) -> Result<WholeAnswer<'a>, ReplyError> {
    let text = valid_json(body)?;
    let raw: &RawValue =
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let fields = fields_of(raw).ok_or_else(|| unreadable("it is not an object"))?;
    let is_answer =
        |fields: &Fields<'_>| fields.array(expected).is_some_and(|list| !list.is_empty());
    if is_answer(&fields) || (expected == "output" && fields.array(expected).is_some()) {
        return Ok(WholeAnswer(text));
    }
    let inner = fields
        .get("data")
        .filter(|inner| fields_of(inner).is_some_and(|inner| is_answer(&inner)));
    if let Some(inner) = inner {
        return Ok(WholeAnswer(Cow::Owned(inner.get().to_owned())));
    }
    match error_event(text.as_bytes(), None) {
        Some(failure) => Err(ReplyError::Failed(Box::new(failure))),
        None => Err(unreadable(format!("it has no `{expected}`"))),
    }
}

/// The body, with what has one reading only put right.
fn valid_json(body: &[u8]) -> Result<Cow<'_, str>, ReplyError> {
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let error = match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if raw.get().starts_with('{') => return Ok(Cow::Borrowed(text)),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    match tolerant::objects(body).map(<[String; 1]>::try_from) {
        Some(Ok([only])) => Ok(Cow::Owned(only)),
        Some(Err(_)) | None => Err(error.map_or_else(
            || unreadable("it is not an object"),
            |error| unreadable(error.to_string()),
        )),
    }
}

/// The text of a raw string, or nothing.
pub(super) fn plain(raw: Option<&RawValue>) -> String {
    raw.and_then(text_of)
        .map(Cow::into_owned)
        .unwrap_or_default()
}
