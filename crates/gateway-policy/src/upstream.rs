//! One configured destination of requests: what the TOML says and what it compiles to. Never reads
//! a secret.

mod base_url;
mod compile;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_wire::dialect::{Dialect, DialectOverrides};
use gateway_wire::{OperatorPattern, WireApi};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_spanned::Spanned;

use crate::problem::{Problem, did_you_mean};
use crate::string_list::StringList;

/// The name of a configured upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UpstreamName(Arc<str>);

impl UpstreamName {
    /// Takes a name as it is, without checking that such an upstream exists.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl utoipa::PartialSchema for UpstreamName {
    fn schema() -> gateway_wire::words::Schema {
        String::schema()
    }
}

impl utoipa::ToSchema for UpstreamName {}

impl std::fmt::Display for UpstreamName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for UpstreamName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Reports a name for which no upstream is configured.
pub(crate) fn unknown_upstream<'a>(
    name: &Spanned<String>,
    known: impl Iterator<Item = &'a UpstreamName>,
) -> Problem {
    let hint = did_you_mean(name.get_ref(), known.map(UpstreamName::as_str));
    let message = format!("unknown upstream `{}`", name.get_ref());
    Problem::error(name.span(), message).with_hint(hint)
}

/// `[upstreams.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Its base URL; `/responses` and the like are appended.
    pub base_url: Spanned<String>,
    /// `"responses"` (default), `"chat"`, or both.
    pub wire_api: Option<StringList>,
    /// `"caller"` (default), `"none"`, `{ env }`, `{ file }`, `{ header, env | file }`.
    pub credential: Option<Spanned<CredentialSpec>>,
    /// A named set of deviations from the protocol.
    pub dialect: Option<Spanned<String>>,
    /// Single deviations beside it, `[upstreams.NAME.deviations]`.
    pub deviations: Option<DialectOverrides>,
    /// Whether a request is refused instead of translated with a severe loss.
    pub strict_translation: Option<bool>,
    /// Whether headers that name the client, its session and its turn are forwarded; by
    /// default only together with the caller's own credential.
    pub forward_client_headers: Option<bool>,
    /// Whether callers may use what others stored at the upstream with the gateway's credential.
    pub shared_ids: Option<bool>,
    /// Added to the query of every request.
    #[serde(default)]
    pub query_params: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Added to every request.
    #[serde(default)]
    pub http_headers: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Encodings in which compressed bodies pass unchanged: `zstd`, `gzip`, `deflate`, `br`.
    pub request_encodings: Option<StringList>,
    /// How long a connection may take to open.
    pub connect_timeout: Option<Spanned<String>>,
    /// How long the answer's head may take.
    pub headers_timeout: Option<Spanned<String>>,
    /// How long a stream may be silent.
    pub stream_idle_timeout: Option<Spanned<String>>,
    /// How often the client receives something while the upstream is silent; `"0s"` for never.
    pub keepalive: Option<Spanned<String>>,
    /// How often a request that certainly had no effect is repeated.
    pub request_max_retries: Option<Spanned<u32>>,
}

/// Whose credential a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSpec {
    /// `"caller"` or `"none"`, or a misspelling.
    Word(String),
    /// A table.
    Own(OwnCredentialSpec),
}

/// `{ env = "NAME" }`, `{ file = "PATH" }`, `{ header = "api-key", env = "NAME" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCredentialSpec {
    /// The header that carries it; left out, it is sent as a bearer token.
    pub header: Option<String>,
    /// An environment variable.
    pub env: Option<String>,
    /// A file.
    pub file: Option<String>,
}

impl<'de> Deserialize<'de> for CredentialSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CredentialVisitor;
        impl<'de> Visitor<'de> for CredentialVisitor {
            type Value = CredentialSpec;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"caller\", \"none\", or a table with `env` or `file`")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<CredentialSpec, E> {
                Ok(CredentialSpec::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CredentialSpec, A::Error> {
                OwnCredentialSpec::deserialize(MapAccessDeserializer::new(map))
                    .map(CredentialSpec::Own)
            }
        }
        deserializer.deserialize_any(CredentialVisitor)
    }
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}

/// Whether a text can be the name of an environment variable, and not a secret in the place of one.
pub fn is_variable_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `env` holds something else; it may be the secret itself, so it is not repeated.
pub fn no_variable(span: std::ops::Range<usize>) -> Problem {
    Problem::error(span, "`env` must be the name of an environment variable").with_hint(
        "such as `TEAM_API_KEY`; the secret itself does not belong in this file".to_owned(),
    )
}

/// How a secret travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HeaderKind {
    /// `authorization: Bearer …`.
    Bearer,
    /// A header of this name, in lower case, holding the secret alone.
    Named(String),
}

/// Whose credential a request carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialSource {
    /// The caller's own, passed through.
    Caller,
    /// None at all.
    None,
    /// The upstream's own.
    Own {
        /// How it travels.
        header: HeaderKind,
        /// Where it is kept.
        from: SecretPlace,
    },
}

impl CredentialSource {
    /// Whether requests carry the caller's credential.
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::Caller)
    }

    /// Whether requests carry a credential of the upstream's own, which the gateway's operator pays
    /// for.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own { .. })
    }
}

gateway_wire::words! {
    /// An encoding in which a compressed request body may pass unchanged.
    pub enum RequestEncoding {
        /// Zstandard.
        Zstd = "zstd",
        /// Gzip.
        Gzip = "gzip",
        /// Deflate.
        Deflate = "deflate",
        /// Brotli.
        Br = "br",
    }
}

/// A configured upstream, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name.
    pub name: UpstreamName,
    /// Its base URL, without a slash at the end.
    pub base_url: String,
    /// The protocols it speaks, the preferred one first; never empty.
    pub wire_apis: Vec<WireApi>,
    /// Whose credential requests carry.
    pub credential: CredentialSource,
    /// How it deviates from the protocol: the named set and the single flags beside it.
    pub dialect: Dialect,
    /// Whether a request is refused instead of translated with a severe loss.
    pub strict_translation: bool,
    /// Whether headers that name the client, its session and its turn are forwarded;
    /// `None`: only together with the caller's own credential.
    pub forward_client_headers: Option<bool>,
    /// Whether callers may use what others stored at the upstream with the gateway's credential.
    pub shared_ids: bool,
    /// Added to the query of every request.
    pub query_params: Vec<(String, String)>,
    /// Added to every request, names in lower case.
    pub http_headers: Vec<(String, String)>,
    /// Encodings in which compressed bodies pass unchanged.
    pub request_encodings: Vec<RequestEncoding>,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long the answer's head may take.
    pub headers_timeout: Duration,
    /// How long a stream may be silent.
    pub stream_idle_timeout: Duration,
    /// How often the client receives something while the upstream is silent; `None` for never.
    pub keepalive: Option<Duration>,
    /// How often a request that certainly had no effect is repeated.
    pub request_max_retries: u32,
    /// The operator's patterns for this upstream's errors.
    pub patterns: Vec<OperatorPattern>,
}

/// Default of `connect_timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of `headers_timeout`: a whole answer takes as long as it takes to generate, and the
/// SDKs wait for 600 s.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(600);
/// Default of `stream_idle_timeout`; under the 300 s after which Codex gives up, so that our
/// message comes first.
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(270);
/// Default of `keepalive`.
pub const KEEPALIVE: Duration = Duration::from_secs(15);
/// The most retries that can be configured; Codex itself multiplies them by thirty.
pub const MAX_RETRIES: u32 = 10;

impl Upstream {
    /// Whether it speaks this protocol.
    pub fn speaks(&self, wire: WireApi) -> bool {
        self.wire_apis.contains(&wire)
    }

    /// The protocol for a request that came in on `client`: the client's own where possible, but
    /// the Responses API for a model that answers only there.
    pub fn choose_wire(&self, client: WireApi, responses_only: bool) -> WireApi {
        let wanted = if responses_only {
            WireApi::Responses
        } else {
            client
        };
        if self.speaks(wanted) {
            wanted
        } else {
            self.wire_apis.first().copied().unwrap_or(wanted)
        }
    }

    /// Scheme, host and port: requests to two upstreams of one origin reach the same party.
    pub fn origin(&self) -> &str {
        let after_scheme = self.base_url.find("://").map_or(0, |at| at + 3);
        let end = self
            .base_url
            .get(after_scheme..)
            .and_then(|rest| rest.find('/'))
            .map_or(self.base_url.len(), |at| after_scheme + at);
        self.base_url.get(..end).unwrap_or(&self.base_url)
    }
}
