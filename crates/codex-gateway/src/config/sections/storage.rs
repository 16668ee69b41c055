//! `[storage]`: where and how the ledger is kept. All of it waits for the next start, as the ledger
//! is opened once.

use std::time::Duration;

use gateway_ledger::Durability;
use gateway_policy::problem::Problem;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::config::key::{Key, next_start};
use crate::config::values;
use crate::secret::digest;

/// Default of `url`: a file in the data directory.
pub const URL: &str = "sqlite";
/// Default of `durability`.
pub const DURABILITY: Durability = Durability::Committed;
/// Default of `retention`.
pub const RETENTION: Duration = Duration::from_hours(400 * 24);

/// When a change of each key takes effect.
pub const KEYS: &[Key<StorageSettings>] = &[
    next_start!(url),
    next_start!(durability),
    next_start!(retention),
    next_start!(time_zone),
    next_start!(repositories),
];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageSpec {
    pub url: Option<Spanned<String>>,
    pub durability: Option<Spanned<String>>,
    pub retention: Option<Spanned<String>>,
    pub time_zone: Option<Spanned<String>>,
    pub repositories: Option<Spanned<String>>,
}

gateway_wire::words! {
    /// How the repository that a client says it works on is recorded.
    #[derive(Default)]
    pub enum RecordedRepos {
        /// Host and path, such as `github.com/acme/shop`.
        #[default]
        Name = "name",
        /// A digest of them: alike for the same repository.
        Digest = "digest",
        /// Not at all.
        None = "none",
    }
}

impl RecordedRepos {
    /// What is recorded of a repository.
    pub fn recorded(self, repo: Option<&str>) -> Option<String> {
        match self {
            Self::Name => repo.map(str::to_owned),
            Self::Digest => repo.map(|repo| digest(repo.as_bytes())),
            Self::None => None,
        }
    }
}

/// The checked values.
#[derive(Clone, PartialEq)]
pub struct StorageSettings {
    pub url: String,
    pub durability: Durability,
    pub retention: Option<Duration>,
    /// Where a day begins, for reports and budgets; the machine's zone by default.
    pub time_zone: TimeZone,
    pub repositories: RecordedRepos,
}

/// Checks the table and fills in the defaults.
pub fn compile(spec: &StorageSpec, problems: &mut Vec<Problem>) -> StorageSettings {
    StorageSettings {
        url: url(spec.url.as_ref(), problems),
        durability: durability(spec.durability.as_ref(), problems),
        retention: Some(values::duration(
            spec.retention.as_ref(),
            RETENTION,
            problems,
        )),
        time_zone: time_zone(spec.time_zone.as_ref(), problems),
        repositories: repositories(spec.repositories.as_ref(), problems),
    }
}

fn url(spec: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> String {
    let Some(spec) = spec else {
        return URL.to_owned();
    };
    let url = spec.get_ref();
    if let Err((message, hint)) = check_url(url) {
        // The text may hold a password, so it is not repeated.
        problems.push(Problem::error(spec.span(), message).with_hint(hint));
    }
    url.clone()
}

fn check_url(url: &str) -> Result<(), (&'static str, String)> {
    if url == URL {
        return Ok(());
    }
    if let Some(path) = url.strip_prefix("sqlite://") {
        return if path.is_empty() {
            Err((
                "the storage URL has no file name",
                "write `sqlite:///path/file.db`, or `sqlite` for a file in the data directory"
                    .to_owned(),
            ))
        } else {
            Ok(())
        };
    }
    let Some(rest) = ["postgres://", "postgresql://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
    else {
        let path = url
            .trim_start_matches("sqlite:")
            .trim_start_matches("file:");
        let hint = if path.starts_with('/') && !path.contains('@') {
            format!("did you mean `sqlite://{path}`?")
        } else {
            "use `sqlite` (in the data directory), `sqlite:///path/file.db` or \
             `postgres://user@host/database`"
                .to_owned()
        };
        return Err(("this is not a valid storage URL", hint));
    };
    check_postgres(rest)
}

/// Checks what follows the scheme of a PostgreSQL URL.
fn check_postgres(rest: &str) -> Result<(), (&'static str, String)> {
    // A password may hold any of `/?@`, so the last `@` ends it.
    let (user, server) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (place, query) = server.split_once('?').unwrap_or((server, ""));
    let has = |name: &str| {
        query.split('&').any(|pair| {
            pair.split_once('=')
                .is_some_and(|(key, value)| key == name && !value.is_empty())
        })
    };
    if user
        .split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
        || has("password")
    {
        return Err((
            "the storage URL contains a password, and secrets do not belong in this file",
            "remove it; the password is read from the environment variable `PGPASSWORD`, or from \
             `~/.pgpass`"
                .to_owned(),
        ));
    }
    let database = place.split_once('/').map_or("", |(_, database)| database);
    if database.is_empty() && !has("dbname") {
        return Err((
            "the storage URL has no database name",
            "write `postgres://user@host/database`".to_owned(),
        ));
    }
    Ok(())
}

fn durability(spec: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> Durability {
    match spec.map(|spec| (spec.get_ref().as_str(), spec.span())) {
        None => DURABILITY,
        Some(("committed", _)) => Durability::Committed,
        Some(("queued", _)) => Durability::Queued,
        Some((other, span)) => {
            problems.push(
                Problem::error(span, format!("unknown durability `{other}`"))
                    .with_hint("`committed` or `queued`".to_owned()),
            );
            DURABILITY
        }
    }
}

fn time_zone(spec: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> TimeZone {
    let Some(spec) = spec else {
        return TimeZone::system();
    };
    TimeZone::get(spec.get_ref()).unwrap_or_else(|_| {
        problems.push(
            Problem::error(
                spec.span(),
                format!("unknown time zone `{}`", spec.get_ref()),
            )
            .with_hint("use an IANA time zone name, such as `Europe/Berlin` or `UTC`".to_owned()),
        );
        TimeZone::UTC
    })
}

fn repositories(spec: Option<&Spanned<String>>, problems: &mut Vec<Problem>) -> RecordedRepos {
    let Some(spec) = spec else {
        return RecordedRepos::default();
    };
    RecordedRepos::parse(spec.get_ref()).unwrap_or_else(|| {
        let message = format!("unknown value `{}`", spec.get_ref());
        let hint = "`name`, `digest` or `none`".to_owned();
        problems.push(Problem::error(spec.span(), message).with_hint(hint));
        RecordedRepos::default()
    })
}
