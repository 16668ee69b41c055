//! `[upstreams.*]` and `[routes]`: what exists without any configuration, and the credentials that
//! upstreams have of their own. The tables themselves are read and checked by gateway-policy.

use std::collections::{BTreeMap, HashMap};

use gateway_policy::problem::Problem;
use gateway_policy::upstream::{CredentialSpec, SecretPlace, UpstreamSpec};
use http::{HeaderName, HeaderValue, header};
use serde_spanned::Spanned;

use crate::config::secret_source::read_secret;
use crate::config::source::Context;
use crate::secret::Secret;

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
}

/// Reads the credentials of upstreams that have one of their own, by upstream name. A credential
/// that is not well formed is gateway-policy's to report.
pub fn credentials(
    specs: &BTreeMap<Spanned<String>, UpstreamSpec>,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> HashMap<String, OwnCredential> {
    let mut credentials = HashMap::new();
    if context.overrides.without_secrets {
        return credentials;
    }
    for (name, spec) in specs {
        let Some(spec) = &spec.credential else {
            continue;
        };
        let CredentialSpec::Own(own) = spec.get_ref() else {
            continue;
        };
        let place = match (&own.env, &own.file) {
            (Some(name), None) => SecretPlace::Env(name.clone()),
            (None, Some(path)) => SecretPlace::File(path.clone()),
            (Some(_), Some(_)) | (None, None) => continue,
        };
        let name = name.get_ref();
        match read_secret(&place, context.base)
            .and_then(|secret| own_credential(own.header.as_deref(), &secret))
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
                    "set it before the start; it is read at the start and at each reload"
                        .to_owned(),
                ),
            ),
        }
    }
    credentials
}

fn own_credential(name: Option<&str>, secret: &Secret) -> Result<OwnCredential, String> {
    let (header, text) = match name {
        None => (header::AUTHORIZATION, format!("Bearer {}", secret.expose())),
        Some(name) => (
            HeaderName::try_from(name).map_err(|_| format!("`{name}` is no header name"))?,
            secret.expose().to_owned(),
        ),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "it holds characters that no header can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(OwnCredential { header, value })
}
