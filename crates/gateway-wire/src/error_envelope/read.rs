//! Reads an error object, wherever an upstream put its parts.

use serde_json::{Map, Value};

/// What an error says, whatever its shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ErrorEnvelope {
    /// A status written inside the body.
    pub(crate) status: Option<u16>,
    /// `code`, numbers as text.
    pub(crate) code: Option<String>,
    /// `type`, or a status word such as `NOT_FOUND`.
    pub(crate) kind: Option<String>,
    pub(crate) param: Option<String>,
    pub(crate) message: Option<String>,
}

/// Longest body that is taken as a message when it is not JSON, in bytes.
const MAX_PLAIN_TEXT: usize = 1024;

/// Longest text kept of one field, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// How deep wrappers are followed: `[{"data":{"error":{…}}}]`.
const MAX_DEPTH: u8 = 5;

/// Members that hold the error itself.
const INNER: [&str; 5] = ["error", "errors", "fault", "base_resp", "response"];
/// Members that hold it, or a text, where nothing better is said.
const LAST: [&str; 4] = ["detail", "data", "details", "body"];

const MESSAGES: [&str; 13] = [
    "message",
    "msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "status_msg",
    "Message",
    "faultstring",
    "title",
    "error_description",
    "description",
    "reason",
    "err_msg",
];
const CODES: [&str; 6] = [
    "code",
    "error_code",
    "errorCode",
    "errorcode",
    "err_code",
    "Code",
];
const STATUSES: [&str; 4] = ["status", "status_code", "statusCode", "http_status"];

impl ErrorEnvelope {
    /// Reads a whole body: any of the known shapes, an array of them, one framed as a server-sent
    /// event, or a short plain text.
    pub(crate) fn read(body: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return Self::of(&value);
        }
        // Some upstreams frame the error of a refused stream as an event.
        let data = body
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.trim_ascii().strip_prefix(b"data:"));
        if let Some(Ok(value)) = data.map(serde_json::from_slice::<Value>) {
            return Self::of(&value);
        }
        Self::of_plain_text(body)
    }

    /// Reads an error object, or whatever stands in its place.
    pub(crate) fn of(value: &Value) -> Self {
        let mut found = Self::default();
        found.collect(value, MAX_DEPTH);
        found
    }

    fn of_plain_text(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).map(str::trim).unwrap_or_default();
        let is_readable = !text.is_empty()
            && text.len() <= MAX_PLAIN_TEXT
            && !text.starts_with(['<', '{', '['])
            && !text.contains('\0');
        Self {
            message: is_readable.then(|| text.to_owned()),
            ..Self::default()
        }
    }

    fn collect(&mut self, value: &Value, depth: u8) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        match value {
            Value::String(message) => keep(&mut self.message, text(Some(value)), message.len()),
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    self.collect(first, depth);
                }
            }
            Value::Object(fields) => self.collect_fields(fields, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn collect_fields(&mut self, fields: &Map<String, Value>, depth: u8) {
        for name in INNER {
            match (name, fields.get(name)) {
                // A response object names its own id and status beside its error.
                ("response", Some(Value::Object(response))) => {
                    if let Some(error) = response.get("error") {
                        self.collect(error, depth);
                    }
                }
                (_, Some(inner)) => self.collect(inner, depth),
                (_, None) => {}
            }
        }
        for name in MESSAGES {
            keep(&mut self.message, text(fields.get(name)), MAX_TEXT);
        }
        for name in CODES {
            keep(&mut self.code, text(fields.get(name)), MAX_TEXT);
        }
        keep(&mut self.param, text(fields.get("param")), MAX_TEXT);
        // An event's own type says that it is an error, not which.
        let kind = text(fields.get("type"))
            .filter(|kind| kind != "error" && !kind.starts_with("response."))
            .or_else(|| text(fields.get("__type")))
            .or_else(|| fields.get("status")?.as_str().map(str::to_owned));
        keep(&mut self.kind, kind, MAX_TEXT);
        let status = STATUSES.iter().find_map(|name| status(fields.get(*name)?));
        self.status = self.status.or(status);
        for name in LAST {
            if let Some(inner) = fields.get(name) {
                self.collect(inner, depth);
            }
        }
    }

    /// Everything that may carry a structured code, the most specific first.
    pub(crate) fn codes(&self) -> Vec<&str> {
        [self.code.as_deref(), self.kind.as_deref()]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn keep(field: &mut Option<String>, value: Option<String>, longest: usize) {
    if field.is_some() {
        return;
    }
    *field = value.map(|mut text| {
        let end = (0..=longest.min(MAX_TEXT).min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text
    });
}

/// A text or a number as text. An empty text is absent, and so is the `None` that some servers
/// write for it.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty() && text != "None"),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn status(value: &Value) -> Option<u16> {
    value
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|status| (100..600).contains(status))
}
