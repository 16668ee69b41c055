//! The upstream's own endpoints under `/__sim/`, for tests and people outside its process.

use super::script::{FixedResponse, Script};
use super::{Shared, record::Recorded};
use serde_json::{Value, json};

pub(super) const PREFIX: &str = "/__sim/";

/// Answers `GET served`, `GET requests`, `POST script`, `POST reset`.
pub(super) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> FixedResponse {
    match (method, path.trim_start_matches(PREFIX)) {
        ("GET", "served") => FixedResponse::json(200, json!({"served": shared.served()})),
        ("GET", "requests") => {
            let requests: Vec<Value> = shared.requests().iter().map(Recorded::describe).collect();
            FixedResponse::json(200, json!({"requests": requests}))
        }
        ("POST", "script") => match serde_json::from_slice::<Script>(body) {
            Ok(script) => {
                shared.set_script(script);
                FixedResponse::json(200, json!({"ok": true}))
            }
            Err(problem) => {
                FixedResponse::json(400, json!({"ok": false, "problem": problem.to_string()}))
            }
        },
        ("POST", "reset") => {
            shared.reset();
            FixedResponse::json(200, json!({"ok": true}))
        }
        _ => FixedResponse::json(
            404,
            json!({"ok": false, "problem": "GET served, GET requests, POST script and POST reset are what there is"}),
        ),
    }
}
