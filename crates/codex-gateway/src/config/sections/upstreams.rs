//! `[upstreams.*]` and `[routes]`: what exists without any configuration, and the credentials that
//! upstreams have of their own. The tables themselves are read and checked by gateway-policy.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use gateway_policy::problem::Problem;
use gateway_policy::upstream::{CredentialSpec, SecretPlace, UpstreamSpec, is_variable_name};
use http::{HeaderName, HeaderValue, Uri, header};
use serde_spanned::Spanned;

use crate::config::secret_source::read_secret;
use crate::config::sections::server::ServerSettings;
use crate::config::source::{Context, SecretsRead};
use crate::secret::Secret;
use crate::secret::reflected::ReflectedSecrets;

/// The upstreams and routes that exist without any configuration. They complete one that changes
/// only some of their keys.
pub const BUILT_IN: &str = r#"
[upstreams.chatgpt]
base_url = "https://chatgpt.com/backend-api/codex"
wire_api = "responses"
credential = "caller"
dialect = "chatgpt"
request_encodings = ["zstd"]

[upstreams.openai]
base_url = "https://api.openai.com/v1"
wire_api = ["responses", "chat"]
credential = "caller"
dialect = "openai"

[routes]
chatgpt = "chatgpt"
api_key = "openai"
"#;

/// An upstream's own credential as a header.
#[derive(Clone)]
pub struct OwnCredential {
    pub header: HeaderName,
    pub value: HeaderValue,
    /// What of it an answer may not repeat.
    pub reflected: ReflectedSecrets,
}

/// Reads the credentials of upstreams that have one of their own, by upstream name. A credential
/// that is not well formed is gateway-policy's to report.
pub fn credentials(
    specs: &BTreeMap<Spanned<String>, UpstreamSpec>,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> HashMap<String, OwnCredential> {
    let mut credentials = HashMap::new();
    if context.overrides.secrets != SecretsRead::All {
        return credentials;
    }
    for (name, spec) in specs {
        let headers = &spec.http_headers;
        let Some(spec) = &spec.credential else {
            continue;
        };
        let CredentialSpec::Own(own) = spec.get_ref() else {
            continue;
        };
        let place = match (&own.env, &own.file) {
            (Some(name), None) if is_variable_name(name) => SecretPlace::Env(name.clone()),
            (None, Some(path)) => SecretPlace::File(path.clone()),
            (Some(_), _) | (None, None) => continue,
        };
        let name = name.get_ref();
        match read_secret(&place, context.base)
            .and_then(|secret| own_credential(own.header.as_deref(), &secret, headers))
        {
            Ok(credential) => {
                credentials.insert(name.clone(), credential);
            }
            Err(problem) => problems.push(
                Problem::error(
                    spec.span(),
                    format!("upstream `{name}` has no credential: {problem}"),
                )
                .with_hint(
                    "set it before starting the gateway; it is read at startup and at each reload"
                        .to_owned(),
                ),
            ),
        }
    }
    credentials
}

/// Words in the names of headers whose values name the operator's account or open it.
const PRIVATE_WORDS: [&str; 7] = [
    "account", "auth", "key", "org", "project", "secret", "token",
];

fn own_credential(
    name: Option<&str>,
    secret: &Secret,
    headers: &BTreeMap<Spanned<String>, Spanned<String>>,
) -> Result<OwnCredential, String> {
    let (header, text) = match name {
        None => (header::AUTHORIZATION, format!("Bearer {}", secret.expose())),
        Some(name) => (
            HeaderName::try_from(name)
                .map_err(|_| format!("`{name}` is not a valid header name"))?,
            secret.expose().to_owned(),
        ),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "it contains characters that are not valid in a header".to_owned())?;
    value.set_sensitive(true);
    let is_private = |name: &str| {
        let name = name.to_ascii_lowercase();
        PRIVATE_WORDS.iter().any(|word| name.contains(word))
    };
    let private = headers
        .iter()
        .filter(|(name, _)| is_private(name.get_ref()))
        .map(|(_, value)| bare(value.get_ref()));
    Ok(OwnCredential {
        header,
        value,
        reflected: ReflectedSecrets::new(private.chain([bare(secret.expose())])),
    })
}

/// The secret of a header's value, without the word for its scheme.
fn bare(value: &str) -> &[u8] {
    let last = value.trim().rsplit(' ').next();
    last.unwrap_or_default().as_bytes()
}

/// An upstream in the place of one that could not be read, so that what names it is not reported.
pub fn stand_in() -> Option<UpstreamSpec> {
    toml::from_str("base_url = \"http://127.0.0.1\"").ok()
}

/// What the gateway appends to a base URL, or the client's library does.
const ENDPOINTS: [&str; 7] = [
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/messages",
    "/models",
    "/responses",
    "/responses/compact",
];

/// Warns about base URLs that are well formed and hardly meant.
pub fn check_base_urls(
    specs: &BTreeMap<Spanned<String>, UpstreamSpec>,
    server: &ServerSettings,
    admin_listen: Option<SocketAddr>,
    problems: &mut Vec<Problem>,
) {
    for spec in specs.values() {
        let url = spec.base_url.get_ref();
        // What cannot be read is gateway-policy's to report.
        let Ok(parsed) = url.parse::<Uri>() else {
            continue;
        };
        let path = parsed.path().trim_end_matches('/');
        let endpoint = ENDPOINTS.iter().find(|endpoint| path.ends_with(**endpoint));
        let (message, hint) = if is_own_address(&parsed, server, admin_listen) {
            (
                "is the address of this gateway",
                "use another service; a request that comes back is refused as a loop".to_owned(),
            )
        } else if let Some(endpoint) = endpoint {
            let base = url.trim_end_matches('/').trim_end_matches(endpoint);
            (
                "ends in an endpoint, and the gateway appends the endpoint itself",
                format!("did you mean `{base}`?"),
            )
        } else if path.is_empty() && parsed.host().is_some() {
            (
                "has no path, but most services serve their API below `/v1`",
                format!("did you mean `{}/v1`?", url.trim_end_matches('/')),
            )
        } else {
            continue;
        };
        problems.push(
            Problem::warning(spec.base_url.span(), format!("`{url}` {message}")).with_hint(hint),
        );
    }
}

fn is_own_address(url: &Uri, server: &ServerSettings, admin_listen: Option<SocketAddr>) -> bool {
    let Some(host) = url.host() else {
        return false;
    };
    let default_port = if url.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    let port = url.port_u16().unwrap_or(default_port);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_here = host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback());
    std::iter::once(server.listen)
        .chain(admin_listen)
        .any(|own| {
            let is_same_host = is_here && (own.ip().is_loopback() || own.ip().is_unspecified())
                || ip == Some(own.ip())
                || server
                    .hosts
                    .first()
                    .is_some_and(|name| name.eq_ignore_ascii_case(host));
            is_same_host && port == own.port()
        })
}
