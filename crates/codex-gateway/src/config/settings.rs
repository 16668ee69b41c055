//! From the file's words to checked values. Reports every problem; reads the secrets that the file
//! names.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_ledger::Durability;
use gateway_policy::price::BUILTIN_PRICES;
use gateway_policy::problem::{Problem, Severity};
use gateway_policy::{Catalog, ModelId, Policy, PolicyInput, PriceTable};
use http::{HeaderName, HeaderValue};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::access::client_address::TrustedProxies;
use crate::access::request_guard::AllowedHosts;
use crate::codex_catalog::entries;
use crate::config::exposure;
use crate::config::file::ConfigFile;
use crate::config::reader::Reader;
use crate::config::{Overrides, data_dir};
use crate::secret::Secret;
use crate::telemetry::LogFormat;
use crate::tls::TlsFiles;

/// The built-in model catalogue.
pub const MODELS: &str = include_str!("../../../../config/models.toml");

/// What happens to the upstream's stream when the client leaves early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// Close it at once: the user pressed Esc and should not pay for what nobody reads.
    Cancel,
    /// Read on, bounded, for exact usage.
    Drain,
}

/// What becomes of a model without a price where a budget counts the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpriced {
    /// It goes on and costs the budget nothing; the log says so once.
    #[default]
    Allow,
    /// It is refused.
    Refuse,
}

/// Who may use an upstream's own credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareKeys {
    /// Every proxied request needs a valid gateway key.
    pub is_key_required: bool,
    /// Callers without a gateway key may use upstreams that have a credential of their own.
    pub is_open: bool,
}

/// A configuration, checked.
pub struct Settings {
    pub listen: SocketAddr,
    pub hosts: AllowedHosts,
    pub share: ShareKeys,
    pub limits: Limits,
    pub on_disconnect: OnDisconnect,
    pub data_dir: PathBuf,
    pub storage: Storage,
    pub log_format: LogFormat,
    pub catalog_file: Option<PathBuf>,
    /// Codex catalogue entries of models that only the operator knows.
    pub catalog_entries: Vec<serde_json::Value>,
    pub admin: Admin,
    /// The certificate to serve with.
    pub tls: Option<TlsFiles>,
    /// Reverse proxies whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    pub policy: Policy,
    pub prices: PriceTable,
    pub unpriced: Unpriced,
    /// The credentials of upstreams that have one of their own, by upstream name.
    pub credentials: HashMap<String, OwnCredential>,
}

/// Sizes and times.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a request body, before and after decompression.
    pub max_request_body: usize,
    /// Most bytes of one event of a stream.
    pub max_event: usize,
    /// Most exchanges at a time.
    pub max_concurrent: usize,
    pub shutdown_grace: Duration,
    /// Longest reading on after a client left.
    pub drain_timeout: Duration,
    /// How long the beginning of a stream is held back while a fallback is possible.
    pub hold_timeout: Duration,
    pub hold_bytes: usize,
    /// How long an upstream's refusal of a model is believed.
    pub learned_ttl: Duration,
}

/// Where and how the ledger is kept.
#[derive(Clone)]
pub struct Storage {
    pub url: String,
    pub durability: Durability,
    pub retention: Option<Duration>,
    /// Where a day begins, for reports and budgets.
    pub time_zone: TimeZone,
}

/// The administrator's way in.
#[derive(Clone, Default)]
pub struct Admin {
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

/// An upstream's own credential as a header.
#[derive(Clone)]
pub struct OwnCredential {
    pub header: HeaderName,
    pub value: HeaderValue,
}

/// Checks everything. `None` when the policy could not be compiled.
pub fn compile(
    file: ConfigFile,
    overrides: &Overrides,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let listen = exposure::listen(&file.server, overrides, problems);
    let share = exposure::share_keys(&file, listen, problems);
    let mut reader = Reader { problems };
    let limits = reader.limits(&file);
    let storage = reader.storage(&file.storage);
    let catalog_file = reader.catalog_file(&file, base);
    let admin = Admin {
        listen: exposure::admin_listen(&file, listen, reader.problems),
        token: file
            .admin
            .token
            .as_ref()
            .filter(|_| !overrides.without_secrets)
            .and_then(|spec| reader.admin_token(spec, base)),
    };
    let tls = exposure::tls(&file.server, base, reader.problems);
    let trusted_proxies = exposure::trusted_proxies(&file.server, reader.problems);
    let credentials = if overrides.without_secrets {
        HashMap::new()
    } else {
        reader.credentials(&file, base)
    };
    let unpriced = file.prices.unpriced.unwrap_or_default();
    let prices = prices(&file, base, problems)?;
    let catalog = catalog(&file, base, problems)?;
    let catalog_entries = entries::compile(&file.catalog.entries, &catalog, base, problems);
    let (policy, found) = Policy::compile(&PolicyInput {
        upstreams: file.upstreams,
        routes: file.routes,
        rules: file.rules,
        fallback: file.fallback,
        patterns: file.error_patterns,
        encrypted_reasoning: file.models.encrypted_reasoning.unwrap_or_default(),
        catalog: Arc::new(catalog),
        known_models: prices
            .rows()
            .filter_map(|row| ModelId::new(&row.model).ok())
            .collect(),
    });
    problems.extend(found);
    Some(Settings {
        listen,
        hosts: AllowedHosts::new(&file.server.hosts, &file.server.origins),
        share,
        limits,
        on_disconnect: file
            .server
            .on_disconnect
            .map_or(OnDisconnect::Cancel, Spanned::into_inner),
        data_dir: data_dir(overrides),
        storage,
        log_format: file.log.format.unwrap_or_default(),
        catalog_file,
        catalog_entries,
        admin,
        tls,
        trusted_proxies,
        policy: policy?,
        prices,
        unpriced,
        credentials,
    })
}

fn catalog(file: &ConfigFile, base: &Path, problems: &mut Vec<Problem>) -> Option<Catalog> {
    let overlay = match &file.catalog.models {
        None => None,
        Some(spec) => match std::fs::read_to_string(base.join(spec.get_ref())) {
            Ok(text) => Some((text, spec.span())),
            Err(error) => {
                problems.push(Problem::error(
                    spec.span(),
                    format!("cannot read the models file: {error}"),
                ));
                None
            }
        },
    };
    let catalog = match Catalog::read(MODELS) {
        Ok(catalog) => catalog,
        Err(found) => return built_in((None, found), "models", problems),
    };
    let Some((text, span)) = overlay else {
        return Some(catalog);
    };
    match catalog.overlay(&text) {
        Ok(overlaid) => Some(overlaid),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| Problem {
                span: Some(span.clone()),
                ..problem
            }));
            Some(catalog)
        }
    }
}

fn prices(file: &ConfigFile, base: &Path, problems: &mut Vec<Problem>) -> Option<PriceTable> {
    let (table, found) = PriceTable::parse(BUILTIN_PRICES);
    let found = found
        .into_iter()
        .map(|found| Problem::error(found.span, found.message))
        .collect();
    let table = built_in((table, found), "prices", problems)?;
    let Some(spec) = &file.prices.file else {
        return Some(table);
    };
    let path = base.join(spec.get_ref());
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::error(
                spec.span(),
                format!("cannot read the price file: {error}"),
            ));
            return Some(table);
        }
    };
    let (parsed, found) = PriceTable::parse(&text);
    // The carets of this report point into the configuration; the place in the price file stands in
    // words.
    problems.extend(found.into_iter().map(|found| {
        let line = text
            .get(..found.span.start)
            .map_or(1, |before| before.matches('\n').count() + 1);
        Problem::error(
            spec.span(),
            format!("{} line {line}: {}", path.display(), found.message),
        )
        .with_hint(found.hint)
    }));
    // A broken file is reported; the other checks go on with the built-in table.
    Some(match parsed {
        Some(parsed) => PriceTable::overlay(&table, &parsed),
        None => table,
    })
}

/// A table that comes with the program; a test keeps it free of problems.
fn built_in<T>(
    parsed: (Option<T>, Vec<Problem>),
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let (value, found) = parsed;
    if found
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        problems.push(Problem::error(
            None,
            format!("the built-in {name} table is broken"),
        ));
    }
    value
}
