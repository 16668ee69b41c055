//! Mistakes that people make with the file as a whole, found before it is read section by section:
//! another program's file, keys in the wrong place, single brackets, unquoted keys, and secrets.

use gateway_policy::lenient_parse::Mistakes;
use gateway_policy::problem::Problem;
use serde_spanned::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::reload;

/// The tables of this file.
pub(super) const TABLES: [&str; 12] = [
    "server",
    "admin",
    "storage",
    "catalog",
    "log",
    "upstreams",
    "routes",
    "rules",
    "fallback",
    "error_patterns",
    "prices",
    "models",
];

/// Top-level keys of Codex's own `config.toml` (its documentation for 0.171.0).
const CODEX_KEYS: [&str; 22] = [
    "approval_policy",
    "chatgpt_base_url",
    "features",
    "forced_login_method",
    "hide_agent_reasoning",
    "history",
    "mcp_servers",
    "model",
    "model_catalog_url",
    "model_provider",
    "model_providers",
    "model_reasoning_effort",
    "model_reasoning_summary",
    "notify",
    "openai_base_url",
    "preferred_auth_method",
    "profile",
    "profiles",
    "projects",
    "sandbox_mode",
    "sandbox_workspace_write",
    "shell_environment_policy",
];

/// Keys of other programs for what is here another key of `[upstreams.NAME]`: the key, the one that
/// is meant, and what to write.
const UPSTREAM_KEYS: [(&str, &str, &str); 9] = [
    ("api_base", "base_url", "did you mean `base_url`?"),
    ("url", "base_url", "did you mean `base_url`?"),
    ("api_key", "credential", SECRET_PLACE),
    ("key", "credential", SECRET_PLACE),
    ("token", "credential", SECRET_PLACE),
    ("experimental_bearer_token", "credential", SECRET_PLACE),
    (
        "env_key",
        "credential",
        "the credential is written `credential = { env = \"NAME\" }`",
    ),
    (
        "name",
        "",
        "an upstream's name is in its header: `[upstreams.NAME]`",
    ),
    (
        "requires_openai_auth",
        "credential",
        "the caller's own credential is passed on with `credential = \"caller\"`",
    ),
];

const SECRET_PLACE: &str = "secrets do not belong in this file; write `credential = { env = \"NAME\" }` or \
     `credential = { file = \"PATH\" }`";

/// Reports what is found; what is clear is read as it was meant, the rest is left out.
pub(super) fn find(table: &mut DeTable<'_>, mistakes: &mut Mistakes) {
    if is_codex_file(table) {
        return reject_codex_file(table, mistakes);
    }
    root_keys(table, mistakes);
    for name in ["rules", "error_patterns"] {
        single_brackets(table, name, name, mistakes);
    }
    if let Some(catalog) = inner(table, "catalog") {
        single_brackets(catalog, "entries", "catalog.entries", mistakes);
    }
    if let Some(fallback) = inner(table, "fallback") {
        unquoted_models(fallback, "", mistakes);
    }
    if let Some(token) = inner(table, "admin").and_then(|admin| admin.get("token"))
        && token.get_ref().is_str()
    {
        let problem = Problem::error(
            token.span(),
            "the admin token itself must not be in this file",
        )
        .with_hint(
            "write `token = { env = \"NAME\" }` or `token = { file = \"PATH\" }`".to_owned(),
        );
        mistakes.reject(token.span(), problem, None);
    }
    for (_, upstream) in inner(table, "upstreams").into_iter().flatten() {
        if let DeValue::Table(upstream) = upstream.get_ref() {
            foreign_upstream_keys(upstream, mistakes);
        }
    }
}

fn inner<'a, 't>(table: &'a mut DeTable<'t>, name: &str) -> Option<&'a mut DeTable<'t>> {
    match table.get_mut(name)?.get_mut() {
        DeValue::Table(inner) => Some(inner),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => None,
    }
}

/// Keys of Codex's and none of our tables.
fn is_codex_file(table: &DeTable<'_>) -> bool {
    let has_any = |names: &[&str]| names.iter().any(|name| table.contains_key(*name));
    has_any(&CODEX_KEYS) && !has_any(&TABLES)
}

fn reject_codex_file(table: &mut DeTable<'_>, mistakes: &mut Mistakes) {
    let first = table
        .keys()
        .map(Spanned::span)
        .min_by_key(|span| span.start);
    table.clear();
    mistakes.report(
        Problem::error(first, "this is Codex's own configuration, not the gateway's").with_hint(
            "Codex's file stays `~/.codex/config.toml`; the gateway's has tables such as `[server]` and \
             `[upstreams.NAME]`, see config/gateway.toml"
                .to_owned(),
        ),
    );
}

/// Keys at the top of the file, where only tables are.
fn root_keys(table: &DeTable<'_>, mistakes: &mut Mistakes) {
    for key in table.keys() {
        let name = key.get_ref().as_ref();
        if TABLES.contains(&name) {
            continue;
        }
        let hint = if CODEX_KEYS.contains(&name) {
            "it belongs in Codex's own `~/.codex/config.toml`".to_owned()
        } else if let Some(tables) = tables_with(name) {
            format!("it belongs in {tables}")
        } else {
            continue;
        };
        let problem = Problem::error(key.span(), format!("unknown key `{name}`")).with_hint(hint);
        mistakes.reject(key.span(), problem, None);
    }
}

/// The tables that have a key of this name, as headers.
fn tables_with(name: &str) -> Option<String> {
    let tables: Vec<String> = reload::keys()
        .into_iter()
        .filter_map(|(path, _)| {
            let (table, key) = path.split_once('.')?;
            (key == name).then(|| format!("`[{table}]`"))
        })
        .collect();
    (!tables.is_empty()).then(|| tables.join(" or "))
}

/// `[rules]` in the place of `[[rules]]`: read as the one element that it is.
fn single_brackets(table: &mut DeTable<'_>, key: &str, path: &str, mistakes: &mut Mistakes) {
    let Some(value) = table.get_mut(key) else {
        return;
    };
    let span = value.span();
    if !value.get_ref().is_table() {
        return;
    }
    let problem = Problem::error(
        span.clone(),
        format!("`{path}` is a list, so its tables are in double brackets"),
    );
    mistakes.report(problem.with_hint(format!("write `[[{path}]]`")));
    let mut list = DeArray::new();
    let element = std::mem::replace(value.get_mut(), DeValue::Boolean(false));
    list.push(Spanned::new(span, element));
    *value.get_mut() = DeValue::Array(list);
}

/// `gpt-5.5 = […]`: TOML takes the dot for a table in a table.
fn unquoted_models(table: &DeTable<'_>, before: &str, mistakes: &mut Mistakes) {
    for (key, value) in table {
        let model = format!("{before}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => unquoted_models(inner, &format!("{model}."), mistakes),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                if !before.is_empty() {
                    let problem = Problem::error(
                        key.span(),
                        format!(
                            "the model `{model}` must be in quotes, as its name contains a dot"
                        ),
                    );
                    let problem = problem.with_hint(format!("write `\"{model}\" = […]`"));
                    mistakes.reject(key.span(), problem, None);
                }
            }
        }
    }
}

fn foreign_upstream_keys(upstream: &DeTable<'_>, mistakes: &mut Mistakes) {
    for (wrong, meant, hint) in UPSTREAM_KEYS {
        let found = upstream.keys().find(|key| key.get_ref().as_ref() == wrong);
        if let Some(key) = found {
            let problem = Problem::error(key.span(), format!("unknown key `{wrong}`"));
            mistakes.reject(key.span(), problem.with_hint(hint.to_owned()), Some(meant));
        }
    }
}
