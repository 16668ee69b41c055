//! What the configuration file may say, word by word. Defaults of single values are in
//! `settings.rs`.

use std::collections::BTreeMap;

use gateway_policy::pattern::PatternSpec;
use gateway_policy::problem::Problem;
use gateway_policy::rule::RuleSpec;
use gateway_policy::upstream::UpstreamSpec;
use gateway_policy::{EncryptedReasoning, FallbackSpec, RoutesSpec};
use serde::Deserialize;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::codex_catalog::entries::EntrySpec;
use crate::config::recover;
use crate::telemetry::LogFormat;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    pub server: ServerSpec,
    pub admin: AdminSpec,
    pub storage: StorageSpec,
    pub catalog: CatalogSpec,
    pub log: LogSpec,
    pub upstreams: BTreeMap<Spanned<String>, UpstreamSpec>,
    pub routes: RoutesSpec,
    pub rules: Vec<Spanned<RuleSpec>>,
    pub fallback: FallbackSpec,
    pub error_patterns: Vec<Spanned<PatternSpec>>,
    pub prices: PricesSpec,
    pub models: ModelsSpec,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSpec {
    pub listen: Option<Spanned<String>>,
    pub hosts: Vec<String>,
    pub origins: Vec<String>,
    pub require_gateway_key: Option<Spanned<AutoOrBool>>,
    pub max_request_body: Option<Spanned<String>>,
    pub max_event: Option<Spanned<String>>,
    pub max_concurrent: Option<Spanned<usize>>,
    pub shutdown_grace: Option<Spanned<String>>,
    pub on_disconnect: Option<Spanned<super::OnDisconnect>>,
    pub drain_timeout: Option<Spanned<String>>,
    pub hold_timeout: Option<Spanned<String>>,
    pub hold_bytes: Option<Spanned<String>>,
    pub trusted_proxies: Vec<Spanned<String>>,
    pub tls: Option<Spanned<TlsSpec>>,
}

/// `[server.tls]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSpec {
    pub cert: Option<Spanned<String>>,
    pub key: Option<Spanned<String>>,
}

/// `"auto"`, `true` or `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoOrBool {
    Auto,
    Fixed(bool),
}

impl<'de> Deserialize<'de> for AutoOrBool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = AutoOrBool;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"auto\", true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<AutoOrBool, E> {
                Ok(AutoOrBool::Fixed(value))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<AutoOrBool, E> {
                match word {
                    "auto" => Ok(AutoOrBool::Auto),
                    other => Err(E::unknown_variant(other, &["auto"])),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// `[admin]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSpec {
    pub listen: Option<Spanned<String>>,
    pub token: Option<Spanned<SecretSpec>>,
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSpec {
    pub env: Option<String>,
    pub file: Option<String>,
}

/// `[storage]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSpec {
    pub url: Option<Spanned<String>>,
    pub durability: Option<Spanned<String>>,
    pub retention: Option<Spanned<String>>,
    pub time_zone: Option<Spanned<String>>,
}

/// `[catalog]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogSpec {
    pub file: Option<Spanned<String>>,
    pub models: Option<Spanned<String>>,
    pub entries: Vec<EntrySpec>,
}

/// `[log]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    pub format: Option<LogFormat>,
}

/// `[models]`: how fallback behaves.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSpec {
    pub encrypted_reasoning: Option<EncryptedReasoning>,
    pub learned_ttl: Option<Spanned<String>>,
}

/// `[prices]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PricesSpec {
    pub file: Option<Spanned<String>>,
    pub unpriced: Option<super::Unpriced>,
}

/// The upstreams and routes that exist without any configuration, and complete one that changes a
/// part of them.
const BUILT_IN: &str = r#"
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

/// Reads a file's text; what it does not say about the built-in upstreams and routes is filled in.
pub fn read(text: &str) -> (Option<ConfigFile>, Vec<Problem>) {
    recover::read(text, |table| {
        let (built_in, _) = DeTable::parse_recoverable(BUILT_IN);
        complete(table, built_in.into_inner());
    })
}

/// Adds the entries that are missing, table by table.
fn complete<'t>(table: &mut DeTable<'t>, defaults: DeTable<'t>) {
    for (key, default) in defaults {
        match (table.get_mut(&key).map(Spanned::get_mut), default) {
            (None, default) => {
                table.insert(key, default);
            }
            (Some(DeValue::Table(present)), default) => {
                if let DeValue::Table(defaults) = default.into_inner() {
                    complete(present, defaults);
                }
            }
            (Some(_), _) => {}
        }
    }
}
