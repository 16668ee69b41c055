//! What parameters and bodies of `/api` may be, as JSON Schema. Words come from the types that read
//! them, so that the two cannot differ.

use gateway_ledger::{GroupBy, Outcome};
use gateway_policy::limit::Window;
use gateway_policy::{AuthRoute, Billing, DecisionKind};
use gateway_wire::codex::RequestKind;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::reports::usage::DEFAULT_BY;

/// A name or a model id: words without control characters, with single spaces between them.
const NAME: &str = r"^[^\s\x00-\x1f\x7f-\x9f]+( [^\s\x00-\x1f\x7f-\x9f]+)*$";
/// A segment of a path cannot climb, nor be decoded to something else.
const SEGMENT: &str = "^[A-Za-z0-9_:@-]{1,50}$";
/// `90m`, `7d`, `2026-11-01`, `2026-11-01T12:00:00Z`, or nothing.
const MOMENT: &str = "^([0-9]{1,4}[smhdw]|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?)?$";
const DAY: &str = "^(20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8]))?$";
/// A glob over model ids: `*`, `?`, `[ab]`, `{a,b}`.
const GLOB: &str = "^[A-Za-z0-9._:/*?-]{1,100}$";

/// One of some words; an empty value of a filter is none.
fn one_of<T: Copy>(all: &[T], name: fn(T) -> &'static str, may_be_empty: bool) -> Value {
    let empty = may_be_empty.then_some("");
    let words: Vec<&str> = all.iter().map(|word| name(*word)).chain(empty).collect();
    json!({"type": "string", "enum": words})
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// What a key, an owner or a team is called.
fn name() -> Value {
    json!({"type": "string", "pattern": NAME, "maxLength": 100})
}

/// A model id is measured in bytes; so many characters always fit.
fn model(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "maxLength": 64})
}

fn or_null(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("type".to_owned(), json!(["string", "null"]));
    }
    schema
}

/// A parameter in the path.
pub(super) fn in_path(name: &str) -> Value {
    match name {
        "scope" => text("^(gateway|(team|key):[A-Za-z0-9_-]{1,50})$"),
        "window" => one_of(&Window::ALL, Window::as_str, false),
        "billing" => one_of(&[Billing::Metered, Billing::Plan], Billing::as_str, false),
        _ => text(SEGMENT),
    }
}

/// A parameter in the query that narrows, or asks about a model.
pub(super) fn in_query(name: &str) -> Value {
    match name {
        "since" | "until" => text(MOMENT),
        "day" => text(DAY),
        "route" => one_of(&AuthRoute::ALL, AuthRoute::as_str, true),
        "kind" => one_of(&RequestKind::ALL, RequestKind::as_str, true),
        "endpoint" => one_of(&Endpoint::ALL, Endpoint::as_str, true),
        "decision" => one_of(&DecisionKind::ALL, DecisionKind::as_str, true),
        "outcome" => one_of(&Outcome::ALL, Outcome::as_str, true),
        "billing" => one_of(&[Billing::Metered, Billing::Plan], Billing::as_str, true),
        "status" => json!({"type": "integer", "minimum": 100, "maximum": 599}),
        _ => json!({"type": "string"}),
    }
}

/// What `explain` asks about.
pub(super) fn in_question(name: &str) -> Value {
    match name {
        "route" => one_of(&AuthRoute::ALL, AuthRoute::as_str, false),
        "model" => model(NAME),
        "endpoint" => one_of(
            &gateway_wire::WireApi::ALL,
            gateway_wire::WireApi::as_str,
            true,
        ),
        other => in_query(other),
    }
}

/// A model that may be left out.
pub(super) fn optional_model() -> Value {
    model(&format!("^$|{NAME}"))
}

/// What usage is grouped by.
pub(super) fn group_by() -> Value {
    let words: Vec<&str> = GroupBy::ALL.iter().map(|by| by.as_str()).collect();
    let word = words.join("|");
    json!({
        "type": "string", "default": DEFAULT_BY, "examples": ["model,day"],
        "pattern": format!("^(({word})(,({word}))*)?$"),
    })
}

/// How many, of a page.
pub(super) fn page() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
}

/// The bodies.
pub(super) fn bodies() -> Value {
    let limit = json!({"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000_000});
    json!({
        "Key": {"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
            "name": name(),
            "team": or_null(name()),
            "owner": or_null(name()),
            "expires": or_null(text("^[1-9][0-9]{0,2}[hd]$")),
            "models": {"type": "array", "items": text(GLOB)},
            "routes": {"type": "array", "items": one_of(&AuthRoute::ALL, AuthRoute::as_str, false)},
            "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}},
            "requests_per_minute": limit, "tokens_per_minute": limit, "concurrency": limit,
        }},
        "Budget": {"type": "object", "additionalProperties": false, "required": ["amount"], "properties": {
            "amount": {
                "type": "string", "examples": ["5.00/day"],
                "pattern": "^[1-9][0-9]{0,5}(\\.[0-9]{1,2})?/(day|week|month|total)$",
            },
            "soft": or_null(text("^([1-9][0-9]?|100)%$")),
            "billing": {"enum": ["metered", "plan", null]},
        }},
        "Team": {"type": "object", "additionalProperties": false, "properties": {
            "requests_per_minute": limit, "tokens_per_minute": limit, "concurrency": limit,
        }},
        "SignIn": {"type": "object", "additionalProperties": false, "required": ["link"], "properties": {
            "link": {"type": "string", "minLength": 1},
        }},
        "Empty": {"type": "object", "additionalProperties": false},
    })
}
