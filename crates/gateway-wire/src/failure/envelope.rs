//! The shapes in which upstreams wrap an error. Finds the words; never judges them.

use serde_json::{Map, Value};

/// What an error body says, whatever its shape.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    /// A status written inside the body.
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    /// `type`, or a status word such as `NOT_FOUND`.
    pub(super) kind: Option<String>,
    pub(super) param: Option<String>,
    pub(super) message: Option<String>,
}

/// Longest body that is taken as a message when it is no JSON.
const MAX_PLAIN_TEXT: usize = 1024;

impl Envelope {
    /// Reads `{detail}`, `{error:{…}}`, `{error:"…"}`, `{message}`, a failed response, an error
    /// event, an array of one of these, or a short plain text.
    pub(super) fn parse(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(object)) => Self::of_object(&object),
            Ok(Value::Array(items)) => match items.as_slice() {
                [Value::Object(object)] => Self::of_object(object),
                _ => Self::default(),
            },
            Ok(Value::String(text)) => Self::of_message(&text),
            Ok(Value::Null | Value::Bool(_) | Value::Number(_)) => Self::default(),
            Err(_) => Self::of_plain_text(body),
        }
    }

    fn of_object(object: &Map<String, Value>) -> Self {
        let mut found = if let Some(response) = object.get("response").and_then(Value::as_object) {
            response
                .get("error")
                .map(Self::of_error)
                .unwrap_or_default()
        } else if let Some(error) = object.get("error").filter(|error| !error.is_null()) {
            Self::of_error(error)
        } else if let Some(detail) = object.get("detail") {
            Self::of_detail(detail)
        } else {
            Self::of_error_fields(object)
        };
        found.status = found.status.or_else(|| number(object.get("status")));
        found
    }

    fn of_error(error: &Value) -> Self {
        match error {
            Value::Object(fields) => Self::of_error_fields(fields),
            Value::String(text) => Self::of_message(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Self::default(),
        }
    }

    fn of_error_fields(fields: &Map<String, Value>) -> Self {
        // `"type":"error"` says that an event is an error, not which.
        let kind = text(fields.get("type")).filter(|kind| kind != "error");
        Self {
            status: number(fields.get("status")),
            code: text(fields.get("code")),
            kind: kind.or_else(|| {
                fields
                    .get("status")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            }),
            param: text(fields.get("param")),
            message: text(fields.get("message")),
        }
    }

    fn of_detail(detail: &Value) -> Self {
        match detail {
            Value::String(text) => Self::of_message(text),
            Value::Array(items) => match items.as_slice() {
                [Value::Object(item)] => Self {
                    message: text(item.get("msg")),
                    ..Self::of_error_fields(item)
                },
                _ => Self::default(),
            },
            Value::Object(fields) => Self::of_error_fields(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::default(),
        }
    }

    fn of_message(text: &str) -> Self {
        Self {
            message: Some(text.to_owned()),
            ..Self::default()
        }
    }

    fn of_plain_text(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).map(str::trim).unwrap_or_default();
        let readable = !text.is_empty()
            && text.len() <= MAX_PLAIN_TEXT
            && !text.starts_with(['<', '{', '['])
            && !text.contains('\0');
        if readable {
            Self::of_message(text)
        } else {
            Self::default()
        }
    }

    /// Everything that may carry a structured code, the most specific first.
    pub(super) fn codes(&self) -> Vec<&str> {
        [self.code.as_deref(), self.kind.as_deref()]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// A text or a number as text. An empty text is absent, and so is the `None` that some servers
/// write for it.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty() && text != "None"),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: Option<&Value>) -> Option<u16> {
    value?
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
}
