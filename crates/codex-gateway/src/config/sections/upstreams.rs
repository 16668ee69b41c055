//! Single values of the configuration: durations, sizes, places of secrets. Reads the secrets that
//! the file names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_ledger::Durability;
use gateway_policy::fallback::learned::DEFAULT_TTL;
use gateway_policy::problem::Problem;
use gateway_policy::units;
use gateway_policy::upstream::{CredentialSpec, SecretPlace};
use http::{HeaderName, HeaderValue, header};
use jiff::tz::TimeZone;
use serde_spanned::Spanned;

use crate::codex_catalog::file::CatalogFile;
use crate::config::environment;
use crate::config::file::{ConfigFile, SecretSpec, StorageSpec};
use crate::config::settings::{AdminToken, Limits, OwnCredential, Storage};
use crate::secret::Secret;

/// Reads single values; what is wrong with them is collected.
pub(super) struct Reader<'p> {
    pub(super) problems: &'p mut Vec<Problem>,
}

impl Reader<'_> {
    fn duration(&mut self, spec: Option<&Spanned<String>>, default: Duration) -> Duration {
        let Some(spec) = spec else { return default };
        units::parse_duration(spec.get_ref()).unwrap_or_else(|error| {
            self.problems
                .push(Problem::error(spec.span(), error.to_string()));
            default
        })
    }

    fn size(&mut self, spec: Option<&Spanned<String>>, default: usize) -> usize {
        let Some(spec) = spec else { return default };
        match units::parse_size(spec.get_ref()) {
            Ok(size) => usize::try_from(size).unwrap_or(usize::MAX),
            Err(error) => {
                self.problems
                    .push(Problem::error(spec.span(), error.to_string()));
                default
            }
        }
    }

    /// Sizes and times.
    pub(super) fn limits(&mut self, file: &ConfigFile) -> Limits {
        let server = &file.server;
        Limits {
            max_request_body: self.size(server.max_request_body.as_ref(), 64 << 20),
            max_event: self.size(server.max_event.as_ref(), 64 << 20),
            max_concurrent: server
                .max_concurrent
                .as_ref()
                .map_or(1024, |count| *count.get_ref()),
            shutdown_grace: self.duration(server.shutdown_grace.as_ref(), Duration::from_secs(120)),
            drain_timeout: self.duration(server.drain_timeout.as_ref(), Duration::from_secs(30)),
            hold_timeout: self.duration(server.hold_timeout.as_ref(), Duration::from_secs(3)),
            hold_bytes: self.size(server.hold_bytes.as_ref(), 256 << 10),
            learned_ttl: self.duration(file.models.learned_ttl.as_ref(), DEFAULT_TTL),
        }
    }

    /// `[storage]`.
    pub(super) fn storage(&mut self, spec: &StorageSpec) -> Storage {
        let default = Duration::from_hours(400 * 24);
        Storage {
            url: self.storage_url(spec.url.as_ref()),
            durability: self.durability(spec.durability.as_ref()),
            retention: Some(self.duration(spec.retention.as_ref(), default)),
            time_zone: self.time_zone(spec.time_zone.as_ref()),
        }
    }

    /// The operator's Codex catalogue: read once here, so that a broken one is found before the
    /// start.
    pub(super) fn catalog_file(&mut self, file: &ConfigFile, base: &Path) -> Option<PathBuf> {
        let spec = file.catalog.file.as_ref()?;
        let path = base.join(spec.get_ref());
        if let Err(error) = CatalogFile::read(&path) {
            self.problems.push(
                Problem::error(
                    spec.span(),
                    format!("the catalogue file cannot be used: {error}"),
                )
                .with_hint(
                    "a catalogue in the right shape is printed by `codex debug models --bundled`"
                        .to_owned(),
                ),
            );
        }
        Some(path)
    }

    /// The credentials of upstreams that have one of their own. A table that is no credential is
    /// the policy's to report.
    pub(super) fn credentials(
        &mut self,
        file: &ConfigFile,
        base: &Path,
    ) -> HashMap<String, OwnCredential> {
        let mut credentials = HashMap::new();
        for (name, spec) in &file.upstreams {
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
            match read_secret(&place, base)
                .and_then(|secret| own_credential(own.header.as_deref(), &secret))
            {
                Ok(credential) => {
                    credentials.insert(name.clone(), credential);
                }
                Err(problem) => self.problems.push(
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

    fn durability(&mut self, spec: Option<&Spanned<String>>) -> Durability {
        match spec.map(|spec| (spec.get_ref().as_str(), spec.span())) {
            None | Some(("committed", _)) => Durability::Committed,
            Some(("queued", _)) => Durability::Queued,
            Some((other, span)) => {
                self.problems.push(
                    Problem::error(span, format!("unknown durability `{other}`"))
                        .with_hint("`committed` or `queued`".to_owned()),
                );
                Durability::Committed
            }
        }
    }

    fn storage_url(&mut self, spec: Option<&Spanned<String>>) -> String {
        let Some(spec) = spec else {
            return "sqlite".to_owned();
        };
        let url = spec.get_ref();
        let is_known = url == "sqlite"
            || ["sqlite://", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
        if !is_known {
            // The text may hold a password, so it is not repeated.
            self.problems.push(Problem::error(spec.span(), "this is no storage url").with_hint(
                "`sqlite` (in the data directory), `sqlite:///path/file.db` or `postgres://user@host/database`".to_owned(),
            ));
        }
        url.clone()
    }

    fn time_zone(&mut self, spec: Option<&Spanned<String>>) -> TimeZone {
        let Some(spec) = spec else {
            return TimeZone::system();
        };
        TimeZone::get(spec.get_ref()).unwrap_or_else(|_| {
            self.problems.push(
                Problem::error(
                    spec.span(),
                    format!("unknown time zone `{}`", spec.get_ref()),
                )
                .with_hint(
                    "a name of the IANA database, such as `Europe/Berlin` or `UTC`".to_owned(),
                ),
            );
            TimeZone::UTC
        })
    }

    pub(super) fn admin_token(
        &mut self,
        spec: &Spanned<SecretSpec>,
        base: &Path,
    ) -> Option<AdminToken> {
        let place = match (&spec.get_ref().env, &spec.get_ref().file) {
            (Some(name), None) => SecretPlace::Env(name.clone()),
            (None, Some(path)) => SecretPlace::File(path.clone()),
            (Some(_), Some(_)) | (None, None) => {
                self.problems.push(
                    Problem::error(spec.span(), "the admin token needs exactly one place")
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
                self.problems.push(
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
}

/// Shortest admin token.
const SHORTEST_TOKEN: usize = 16;

/// Refuses what people put in the place of a secret.
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
        return Err("it holds characters that no bearer token can have".to_owned());
    }
    Ok(())
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

fn read_secret(place: &SecretPlace, base: &Path) -> Result<Secret, String> {
    match place {
        SecretPlace::Env(name) => {
            let text = environment(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set"))?;
            let text = text.trim();
            if text.is_empty() {
                Err(format!("the environment variable `{name}` is empty"))
            } else {
                Ok(Secret::new(text))
            }
        }
        SecretPlace::File(path) => {
            let path = base.join(path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            let text = text.trim();
            if text.is_empty() {
                Err(format!("{} is empty", path.display()))
            } else {
                Ok(Secret::new(text))
            }
        }
    }
}
