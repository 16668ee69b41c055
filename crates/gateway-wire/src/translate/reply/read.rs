//! Reads a whole answer, out of whatever an upstream wrapped around it.

use serde_json::value::RawValue;

use crate::json::raw::{Fields, fields_of, text_of};
use crate::stream::StreamFailure;
use crate::translate::failure::{own_failure, read_error};

/// Why an answer with a good status cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The upstream told an error, or what amounts to one.
    #[error("the upstream answered with an error: {}", .0.message.as_deref().unwrap_or("no message"))]
    Failed(Box<StreamFailure>),
    /// Not the JSON object that it must be.
    #[error("the upstream's answer is not readable: {0}")]
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

/// The top-level fields of an answer, out of the wrapper that some upstreams put around it.
pub(super) fn read_answer<'a>(body: &'a [u8], expected: &str) -> Result<Fields<'a>, ReplyError> {
    let unreadable = |problem: String| ReplyError::Unreadable(problem);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let Some(fields) = fields_of(raw) else {
        return Err(if raw.get().contains("\"error\"") {
            ReplyError::Failed(Box::new(read_error(body, None)))
        } else {
            unreadable("it is not an object".to_owned())
        });
    };
    if fields.get(expected).is_some() {
        return Ok(fields);
    }
    if let Some(inner) = fields
        .object("data")
        .filter(|inner| inner.get(expected).is_some())
    {
        return Ok(inner);
    }
    if fields.get("error").is_some()
        || fields.get("detail").is_some()
        || fields.get("message").is_some()
    {
        return Err(ReplyError::Failed(Box::new(read_error(body, None))));
    }
    Err(unreadable(format!("it has no `{expected}`")))
}

/// The text of a raw string, or nothing.
pub(super) fn plain(raw: Option<&RawValue>) -> String {
    raw.and_then(text_of)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}
