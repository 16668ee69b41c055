//! Decides which lines point Codex at the gateway, from what its configuration says now. Reads and
//! writes no file.

use super::document::{Change, quoted};
use crate::codex_home::{BUILT_IN_PROVIDER, SignIn};

/// The environment variable that a gateway key is read from.
pub const KEY_VARIABLE: &str = "CODEX_GATEWAY_KEY";
/// The id of a provider of the gateway's own, where one is needed and none is named.
pub const OWN_PROVIDER: &str = "gateway";
/// Provider ids that Codex does not let a configuration define.
const RESERVED: &str = include_str!("reserved-providers.txt");

/// What the user wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The gateway's address for clients, with `/v1`.
    pub base_url: String,
    pub sign_in: SignIn,
    /// A provider by name.
    pub provider: Option<String>,
    /// Whether a gateway key comes along.
    pub key: bool,
    /// Whether Codex shall ask the gateway for the list of models.
    pub catalog: bool,
}

/// What to change, and what the user has to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub notes: Vec<String>,
}

/// Plans the changes of a configuration: `file` is the file that is changed, `below` what a profile
/// is laid upon.
///
/// # Errors
/// When it would not do what the user wants; the text says why, and what to do instead.
pub fn plan(file: &toml::Table, below: &toml::Table, wish: &Wish) -> Result<Plan, String> {
    let look = Look { file, below };
    let active = look.active_provider();
    match &wish.provider {
        Some(name) if name == BUILT_IN_PROVIDER => built_in(wish, active != *name),
        Some(name) => provider(look, wish, name),
        // The built-in provider sends no further header, and asks for a list of models by itself
        // only with a ChatGPT sign-in.
        None if wish.key => provider(look, wish, OWN_PROVIDER),
        None if wish.catalog && wish.sign_in != SignIn::ChatGpt => {
            provider(look, wish, OWN_PROVIDER)
        }
        None if active == BUILT_IN_PROVIDER => built_in(wish, false),
        None => Err(other_provider(look, &active)),
    }
}

#[derive(Clone, Copy)]
struct Look<'t> {
    file: &'t toml::Table,
    below: &'t toml::Table,
}

impl<'t> Look<'t> {
    fn text(self, key: &str) -> Option<&'t str> {
        let value = self.file.get(key).or_else(|| self.below.get(key));
        value.and_then(toml::Value::as_str)
    }

    fn active_provider(self) -> String {
        self.text("model_provider")
            .unwrap_or(BUILT_IN_PROVIDER)
            .to_owned()
    }

    /// The provider's table in the file that is changed.
    fn provider(self, name: &str) -> Option<&'t toml::Table> {
        table_of(self.file, name)
    }

    fn address(self, name: &str) -> Option<&'t str> {
        let table = table_of(self.file, name).or_else(|| table_of(self.below, name));
        table?.get("base_url")?.as_str()
    }
}

fn table_of<'t>(values: &'t toml::Table, provider: &str) -> Option<&'t toml::Table> {
    values.get("model_providers")?.get(provider)?.as_table()
}

fn other_provider(look: Look<'_>, active: &str) -> String {
    let address = look
        .address(active)
        .map(|url| format!(" ({url})"))
        .unwrap_or_default();
    format!(
        "Codex uses the provider `{active}`{address}, which `openai_base_url` would not change. \
         Choose one:\n\
         \x20 --provider {active}   sends this provider's requests to the gateway. Its sessions stay \
         in the list; the gateway needs an upstream for it\n\
         \x20 --provider {BUILT_IN_PROVIDER}   switches to Codex's built-in provider, through the gateway. \
         Sessions of `{active}` are listed again after `--restore`"
    )
}

/// Codex's built-in provider, at another address: the id stays, and with it the list of sessions.
fn built_in(wish: &Wish, is_switched: bool) -> Result<Plan, String> {
    if wish.key {
        return Err(format!(
            "Codex's built-in provider cannot send a gateway key beside its sign-in. Leave \
             `--provider {BUILT_IN_PROVIDER}` out to get a provider that can, or sign Codex in with the \
             gateway key in place of its own: \
             `printenv {KEY_VARIABLE} | codex login --with-api-key`"
        ));
    }
    let mut changes = vec![set(&["openai_base_url"], &wish.base_url)];
    let mut notes = Vec::new();
    if is_switched {
        changes.push(set(&["model_provider"], BUILT_IN_PROVIDER));
    } else {
        notes.push(format!(
            "history: the provider stays `{BUILT_IN_PROVIDER}`, so `codex resume` lists the same sessions as \
             before"
        ));
    }
    if wish.catalog {
        notes.push(
            "model list: with a ChatGPT sign-in, Codex asks the gateway by itself; nothing to write"
                .to_owned(),
        );
    }
    Ok(Plan { changes, notes })
}

/// A provider of its own, or one that exists, at another address.
fn provider(look: Look<'_>, wish: &Wish, name: &str) -> Result<Plan, String> {
    if RESERVED.lines().any(|reserved| reserved == name) {
        return Err(format!(
            "Codex does not let a configuration change its built-in provider `{name}`; choose \
             another name"
        ));
    }
    let mut notes = Vec::new();
    let active = look.active_provider();
    let mut changes = Vec::new();
    if active == name {
        notes.push(format!(
            "history: the provider stays `{name}`, so `codex resume` lists the same sessions as \
             before"
        ));
    } else {
        changes.push(set(&["model_provider"], name));
        notes.push(format!(
            "history: Codex lists sessions by provider. Those of `{active}` are not lost, but \
             `codex resume` shows them only after `--restore`, or with \
             `codex -c model_provider={active} resume`"
        ));
        if wish.key && active == BUILT_IN_PROVIDER {
            notes.push(format!(
                "to keep the id `{BUILT_IN_PROVIDER}`, and so the list, run this command without `--key` and \
                 sign Codex in with the gateway key instead of its own credential: `printenv \
                 {KEY_VARIABLE} | codex login --with-api-key`"
            ));
        }
    }
    let credential = credential(wish, &mut notes);
    if let Some(table) = look.provider(name) {
        existing(wish, name, table, &credential, &mut changes, &mut notes)?;
    } else {
        let mut values = vec![
            ("name".to_owned(), quoted("codex-gateway")),
            ("base_url".to_owned(), quoted(&wish.base_url)),
            ("wire_api".to_owned(), quoted("responses")),
        ];
        values.extend(credential);
        if wish.catalog {
            values.push(catalog(wish));
        }
        let path = vec!["model_providers".to_owned(), name.to_owned()];
        changes.push(Change::Table { path, values });
    }
    Ok(Plan { changes, notes })
}

fn existing(
    wish: &Wish,
    name: &str,
    table: &toml::Table,
    credential: &[(String, String)],
    changes: &mut Vec<Change>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let at = |key: &str| {
        vec![
            "model_providers".to_owned(),
            name.to_owned(),
            key.to_owned(),
        ]
    };
    if let Some(address) = table.get("base_url").and_then(toml::Value::as_str)
        && address != wish.base_url
    {
        notes.push(format!(
            "upstream: requests of `{name}` went to {address} until now. The gateway sends them to \
             the upstream of their auth route; give it one with that address (docs: \"other \
             providers\")"
        ));
    }
    changes.push(set_at(at("base_url"), &quoted(&wish.base_url)));
    if wish.key {
        for (key, value) in credential {
            if table.contains_key(key) {
                return Err(format!(
                    "`model_providers.{name}.{key}` is set already; add `{key} = {value}` to it by \
                     hand, or choose another name with --provider"
                ));
            }
            changes.push(set_at(at(key), value));
        }
    }
    if wish.catalog {
        let (key, value) = catalog(wish);
        changes.push(set_at(at(&key), &value));
    }
    Ok(())
}

/// The lines by which a provider gets its credential, and where the user puts it.
fn credential(wish: &Wish, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let line = |key: &str, value: String| (key.to_owned(), value);
    let sign_in = || line("requires_openai_auth", "true".to_owned());
    if wish.key {
        notes.push(format!(
            "gateway key: put it into the environment variable {KEY_VARIABLE}, for example with \
             `export {KEY_VARIABLE}=cgw_…` in the profile of your shell. It is not written into \
             this file"
        ));
    }
    match (wish.sign_in, wish.key) {
        (SignIn::ChatGpt | SignIn::Unknown, true) => vec![
            sign_in(),
            line(
                "env_http_headers",
                format!("{{ \"x-gateway-key\" = {} }}", quoted(KEY_VARIABLE)),
            ),
        ],
        (SignIn::ApiKey | SignIn::NotFound, true) => vec![line("env_key", quoted(KEY_VARIABLE))],
        (SignIn::ChatGpt | SignIn::ApiKey | SignIn::Unknown, false) => vec![sign_in()],
        (SignIn::NotFound, false) => {
            notes.push(
                "API key: put it into the environment variable OPENAI_API_KEY, or sign in with \
                 `codex login` first and run this command again"
                    .to_owned(),
            );
            vec![line("env_key", quoted("OPENAI_API_KEY"))]
        }
    }
}

fn catalog(wish: &Wish) -> (String, String) {
    let url = format!("{}/models", wish.base_url);
    ("model_catalog_url".to_owned(), quoted(&url))
}

fn set(path: &[&str], value: &str) -> Change {
    let path = path.iter().map(|part| (*part).to_owned()).collect();
    set_at(path, &quoted(value))
}

/// The value that stood there is filled in from the text, which alone knows how it was written.
fn set_at(path: Vec<String>, value: &str) -> Change {
    Change::Set {
        path,
        value: value.to_owned(),
        was: None,
    }
}

#[cfg(test)]
mod tests;
