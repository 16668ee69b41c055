//! Whether an event of a stream, or an answer with a good status, is an error.

use serde_json::{Map, Value};

use super::read::{ErrorEnvelope, text};

/// Types of events that say nothing but that the connection lives.
const KEEPALIVES: [&str; 4] = ["ping", "keepalive", "keep-alive", "heartbeat"];

/// The error that `object` is or holds; `None` for anything else. `event_name` is the `event:`
/// field of the event it came in.
///
/// An object with a payload (choices, output, an item) is an error only where it says so; one
/// without is an error as soon as it has the words of one.
pub(crate) fn error_in(
    object: &Map<String, Value>,
    event_name: Option<&str>,
) -> Option<ErrorEnvelope> {
    let is_error = event_name == Some("error")
        || says_error(object)
        || (!has_payload(object) && has_words_of_error(object));
    is_error.then(|| ErrorEnvelope::of(&Value::Object(object.clone())))
}

/// Whether a member says that this is an error, whatever stands beside it.
fn says_error(object: &Map<String, Value>) -> bool {
    let word = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = word("type");
    ["error", "errors"]
        .iter()
        .any(|name| is_filled(object.get(*name)))
        || word("object") == "error"
        || kind == "error"
        || ["_error", "Error", "Exception"]
            .iter()
            .any(|end| kind.ends_with(end))
        || is_failing_code(
            object
                .get("base_resp")
                .and_then(|base| base.get("status_code")),
        )
}

/// Whether there is something that an answer is made of.
fn has_payload(object: &Map<String, Value>) -> bool {
    let names = [
        "choices", "output", "item", "delta", "part", "response", "usage",
    ];
    names.iter().any(|name| is_filled(object.get(*name)))
}

fn has_words_of_error(object: &Map<String, Value>) -> bool {
    let kind = object
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if KEEPALIVES.contains(&kind) || kind.starts_with("response.") || kind.starts_with("codex.") {
        return false;
    }
    let has = |name: &str| text(object.get(name)).is_some();
    let is_refused = object.get("success") == Some(&Value::Bool(false));
    let is_failed = matches!(
        object.get("status").and_then(Value::as_str),
        Some("error" | "failed" | "fail")
    );
    is_refused
        || is_failed
        || ["detail", "fault"]
            .iter()
            .any(|name| is_filled(object.get(*name)))
        || [
            "message",
            "msg",
            "Message",
            "error_message",
            "error_msg",
            "errorMessage",
        ]
        .iter()
        .any(|name| has(name))
        || (has("title") && has("status"))
        || is_failing_code(object.get("error_code"))
}

/// Whether a member is there that is neither null, false, zero nor empty.
fn is_filled(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

/// Whether a code is none of those that stand for success.
fn is_failing_code(value: Option<&Value>) -> bool {
    text(value).is_some_and(|code| !matches!(code.as_str(), "0" | "200" | "success" | "ok"))
}
