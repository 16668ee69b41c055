//! `/api/openapi.json`: the description of the admin API, from one table of its routes. A route
//! that is not in the table is not described; a test compares it with the router.

mod schema;

use axum::Json;
use serde_json::{Map, Value, json};

/// Path below `/api`, method, what it does, and the schema of its body.
const ROUTES: &[(&str, &str, &str, Option<&str>)] = &[
    ("/version", "get", "Name and version", None),
    ("/openapi.json", "get", "This description", None),
    (
        "/explain",
        "get",
        "What would happen to a request, and which rule decides",
        None,
    ),
    (
        "/models",
        "get",
        "The catalogue with routes, prices and dated sources",
        None,
    ),
    ("/usage", "get", "Sums of the ledger", None),
    (
        "/exchanges",
        "get",
        "Exchanges, the newest first, page by page",
        None,
    ),
    (
        "/facts",
        "get",
        "Refusals of models that were learned",
        None,
    ),
    ("/facts", "delete", "Forget learned refusals", None),
    (
        "/plan",
        "get",
        "What ChatGPT accounts were last told about their plans",
        None,
    ),
    (
        "/keys",
        "get",
        "All gateway keys, without their secrets",
        None,
    ),
    (
        "/keys",
        "post",
        "Make a key; the answer is the only one that shows it",
        Some("Key"),
    ),
    ("/keys/{key}", "delete", "Revoke a key, by id or name", None),
    (
        "/keys/{key}/rotate",
        "post",
        "Give a key another secret",
        Some("Empty"),
    ),
    ("/teams", "get", "All teams", None),
    (
        "/teams/{team}",
        "put",
        "Make a team, or replace its limits",
        Some("Team"),
    ),
    (
        "/teams/{team}",
        "delete",
        "Delete a team without live keys",
        None,
    ),
    ("/budgets", "get", "All budgets and where they stand", None),
    (
        "/budgets/{scope}",
        "put",
        "Set a budget; the scope is gateway, team:NAME or key:ID",
        Some("Budget"),
    ),
    (
        "/budgets/{scope}/{window}/{billing}",
        "delete",
        "Take a budget away",
        None,
    ),
    ("/audit", "get", "The newest administrative changes", None),
    ("/session", "get", "Who is signed in, and until when", None),
    (
        "/session",
        "post",
        "Turn the secret of a one-time sign-in link into a session cookie; needs no token",
        Some("SignIn"),
    ),
    ("/session", "delete", "Sign out", None),
];

/// What sums and listings can be narrowed to.
const FILTERS: [&str; 16] = [
    "since", "until", "day", "route", "key", "team", "session", "turn", "kind", "endpoint",
    "decision", "upstream", "model", "outcome", "billing", "status",
];

/// Query parameters: name, schema, whether it must be there.
fn query(path: &str, method: &str) -> Vec<(&'static str, Value, bool)> {
    let filters = || FILTERS.map(|name| (name, schema::in_query(name), false));
    match (path, method) {
        ("/audit", _) => vec![("limit", schema::page(), false)],
        ("/explain", _) => {
            let names = [
                "route", "model", "endpoint", "effort", "plan", "key", "team", "kind",
            ];
            let is_required = |name| matches!(name, "route" | "model");
            names
                .map(|name| (name, schema::in_question(name), is_required(name)))
                .into()
        }
        ("/models", _) => vec![("route", schema::in_query("route"), false)],
        ("/facts", "delete") => vec![("model", schema::optional_model(), false)],
        ("/usage", _) => {
            let by = ("by", schema::group_by(), false);
            std::iter::once(by).chain(filters()).collect()
        }
        ("/exchanges", _) => {
            let cursor = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]*$"});
            [("limit", schema::page(), false), ("cursor", cursor, false)]
                .into_iter()
                .chain(filters())
                .collect()
        }
        _ => Vec::new(),
    }
}

/// `GET /api/openapi.json`.
pub(super) async fn document() -> Json<Value> {
    Json(description())
}

fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (path, method, summary, body) in ROUTES {
        let operations = paths
            .entry(format!("/api{path}"))
            .or_insert_with(|| json!({}));
        if let Some(operations) = operations.as_object_mut() {
            operations.insert(
                (*method).to_owned(),
                operation(path, method, summary, *body),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "codex-gateway admin API", "version": env!("CARGO_PKG_VERSION")},
        "security": [{"admin": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "codex_gateway_session"},
            },
            "schemas": schema::bodies(),
        },
    })
}

fn operation(path: &str, method: &str, summary: &str, body: Option<&str>) -> Value {
    let named = path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"name": name, "in": "path", "required": true, "schema": schema::in_path(name)}))
    });
    let mut parameters: Vec<Value> = named.collect();
    let asked = query(path, method).into_iter().map(|(name, schema, is_required)| {
        json!({"name": name, "in": "query", "required": is_required, "schema": schema})
    });
    parameters.extend(asked);
    let answer = json!({"description": "JSON", "content": {"application/json": {"schema": {"type": "object"}}}});
    let mut operation = json!({
        "summary": summary,
        "parameters": parameters,
        "responses": {"2XX": answer, "4XX": answer, "5XX": answer},
    });
    if (path, method) == ("/session", "post")
        && let Some(operation) = operation.as_object_mut()
    {
        operation.insert("security".to_owned(), json!([]));
    }
    if let (Some(schema), Some(operation)) = (body, operation.as_object_mut()) {
        let reference = format!("#/components/schemas/{schema}");
        operation.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": {"application/json": {"schema": {"$ref": reference}}}}),
        );
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let sources = [include_str!("../admin.rs"), include_str!("team.rs")].concat();
        let mut routed: Vec<&str> = sources
            .split(".route(")
            .skip(1)
            .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
            .collect();
        routed.sort_unstable();
        let mut described: Vec<&str> = ROUTES.iter().map(|(path, ..)| *path).collect();
        described.sort_unstable();
        described.dedup();
        assert_eq!(described, routed);
        assert!(description()["paths"]["/api/keys"]["post"]["requestBody"].is_object());
    }
}
