//! `[admin]`: where administration listens, and the token that opens it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway_policy::problem::Problem;
use gateway_policy::upstream::{SecretPlace, is_variable_name, no_variable};
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::config::key::{Key, next_start};
use crate::config::network::{self, WrittenIn};
use crate::config::secret_source::read_secret;
use crate::config::source::{Context, SecretsRead};
use crate::secret::Secret;

/// Shortest admin token, in bytes.
const SHORTEST_TOKEN: usize = 16;

/// When a change of each key takes effect.
pub const KEYS: &[Key<AdminSettings>] = &[
    next_start!(listen),
    Key::now("token"),
    Key::now("token.env"),
    Key::now("token.file"),
];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSpec {
    pub listen: Option<Spanned<String>>,
    pub token: Option<Spanned<TokenSpec>>,
}

/// `token`: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSpec {
    pub env: Option<String>,
    pub file: Option<String>,
}

/// The checked values.
#[derive(Clone)]
pub struct AdminSettings {
    /// A listener of its own for `/api`, `/dashboard` and `/metrics`.
    pub listen: Option<SocketAddr>,
    /// `None`: the file `admin-token` of the data directory.
    pub token: Option<AdminToken>,
}

/// An admin token that the configuration names.
#[derive(Clone)]
pub struct AdminToken {
    pub secret: Secret,
    /// The file it came from, which is read again when it changes; `None`: the environment, which
    /// does not.
    pub file: Option<PathBuf>,
}

/// Checks the table; `main` is where the gateway itself listens.
pub fn compile(
    spec: &AdminSpec,
    main: SocketAddr,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> AdminSettings {
    let token = spec
        .token
        .as_ref()
        .filter(|_| context.overrides.secrets != SecretsRead::None);
    AdminSettings {
        listen: spec
            .listen
            .as_ref()
            .and_then(|spec| listen(spec, main, problems)),
        token: token.and_then(|spec| admin_token(spec, context.base, problems)),
    }
}

fn listen(
    spec: &Spanned<String>,
    main: SocketAddr,
    problems: &mut Vec<Problem>,
) -> Option<SocketAddr> {
    let address = network::address(spec.get_ref(), &WrittenIn::File(spec.span()), problems)?;
    if address == main && address.port() != 0 {
        problems.push(
            Problem::error(
                spec.span(),
                format!("`{address}` is the main listener's own address"),
            )
            .with_hint(
                "use another port, or omit it to serve everything on one address".to_owned(),
            ),
        );
    }
    Some(address)
}

fn admin_token(
    spec: &Spanned<TokenSpec>,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<AdminToken> {
    let place = match (&spec.get_ref().env, &spec.get_ref().file) {
        (Some(name), None) if !is_variable_name(name) => {
            problems.push(no_variable(spec.span()));
            return None;
        }
        (Some(name), None) => SecretPlace::Env(name.clone()),
        (None, Some(path)) => SecretPlace::File(path.clone()),
        (Some(_), Some(_)) | (None, None) => {
            problems.push(
                Problem::error(
                    spec.span(),
                    "the admin token needs exactly one of `env` and `file`",
                )
                .with_hint("`{ env = \"NAME\" }` or `{ file = \"PATH\" }`".to_owned()),
            );
            return None;
        }
    };
    let read = read_secret(&place, base).and_then(|secret| {
        is_hard_to_guess(&secret)?;
        Ok(secret)
    });
    match read {
        Ok(secret) => Some(AdminToken {
            secret,
            file: match place {
                SecretPlace::File(path) => Some(base.join(path)),
                SecretPlace::Env(_) => None,
            },
        }),
        Err(problem) => {
            problems.push(
                Problem::error(
                    spec.span(),
                    format!("the admin token cannot be used: {problem}"),
                )
                .with_hint("make one with `openssl rand -hex 32`".to_owned()),
            );
            None
        }
    }
}

/// Refuses what people put in the place of a secret.
///
/// # Errors
/// When the token is short, a placeholder, too regular, or cannot be sent as a bearer token; the
/// text says which.
pub fn is_hard_to_guess(token: &Secret) -> Result<(), String> {
    let text = token.expose();
    if text.len() < SHORTEST_TOKEN {
        return Err(format!("it is shorter than {SHORTEST_TOKEN} characters"));
    }
    let lower = text.to_ascii_lowercase();
    let is_example = ["changeme", "change-me", "change_me", "example", "password"]
        .iter()
        .any(|word| lower.contains(word));
    let kinds: std::collections::HashSet<char> = text.chars().collect();
    if is_example || kinds.len() < 6 {
        return Err("it is a placeholder, or too regular to be a secret".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it contains characters that are not valid in a bearer token".to_owned());
    }
    Ok(())
}
