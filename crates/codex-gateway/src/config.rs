//! Configuration: where it is looked for, what it may say, what it compiles to. The only file that
//! reads the environment.

pub mod active;
pub mod diagnostic;
mod exposure;
pub mod file;
pub mod places;
mod reader;
pub mod recover;
pub mod settings;

use std::path::{Path, PathBuf};

use gateway_policy::problem::{Problem, Severity};

pub use places::Places;
pub use reader::is_hard_to_guess;
pub use settings::{Admin, AdminToken, OnDisconnect, Settings, ShareKeys, Unpriced};

/// Where the configuration came from, and its text for carets.
#[derive(Debug, Clone)]
pub struct Source {
    /// Shown in messages.
    pub path: String,
    /// The file's text; empty for the built-in defaults.
    pub text: String,
    /// The file itself; `None` for the built-in defaults.
    pub file: Option<PathBuf>,
}

/// What the command line says; it outranks the environment, which outranks the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<String>,
    /// Reads neither the upstreams' credentials nor the admin token: whoever revokes a key needs no
    /// secret of the server's.
    pub without_secrets: bool,
}

/// A configuration that was read.
pub struct Loaded {
    pub source: Source,
    /// `None` when there are errors.
    pub settings: Option<Settings>,
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Errors and warnings as text with carets.
    pub fn report(&self, is_coloured: bool) -> String {
        diagnostic::render(
            &self.source.path,
            &self.source.text,
            &self.problems,
            is_coloured,
        )
    }

    /// How many problems there are of a kind.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    }
}

/// The environment variable `name`, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one file that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Finds and reads the configuration.
///
/// # Errors
/// When a file that was named cannot be read; the text says which and why.
pub fn load(overrides: &Overrides) -> Result<Loaded, String> {
    find(overrides).map(|source| check(source, overrides))
}

/// Checks a configuration that was found.
pub fn check(source: Source, overrides: &Overrides) -> Loaded {
    let (file, mut problems) = file::read(&source.text);
    let Some(file) = file else {
        return Loaded {
            source,
            settings: None,
            problems,
        };
    };
    let base = source
        .file
        .as_deref()
        .and_then(Path::parent)
        .map(Path::to_owned)
        .unwrap_or_default();
    let settings = settings::compile(file, overrides, &base, &mut problems);
    let settings = settings.filter(|_| {
        problems
            .iter()
            .all(|problem| problem.severity != Severity::Error)
    });
    Loaded {
        source,
        settings,
        problems,
    }
}

fn find(overrides: &Overrides) -> Result<Source, String> {
    let named = overrides
        .config
        .clone()
        .or_else(|| environment("CODEX_GATEWAY_CONFIG").map(PathBuf::from));
    if let Some(path) = named {
        return read(&path);
    }
    for candidate in ["./config/gateway.toml", "/etc/codex-gateway/gateway.toml"] {
        let path = Path::new(candidate);
        if path.exists() {
            return read(path);
        }
    }
    Ok(Source {
        path: "(built-in defaults)".to_owned(),
        text: String::new(),
        file: None,
    })
}

fn read(path: &Path) -> Result<Source, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
    Ok(Source {
        path: path.display().to_string(),
        text,
        file: Some(path.to_owned()),
    })
}

/// The data directory: flag, then environment, then the user's state directory.
pub fn data_dir(overrides: &Overrides) -> PathBuf {
    overrides
        .data_dir
        .clone()
        .or_else(|| environment("CODEX_GATEWAY_DATA_DIR").map(PathBuf::from))
        .or_else(|| {
            environment("XDG_STATE_HOME").map(|base| PathBuf::from(base).join("codex-gateway"))
        })
        .or_else(|| {
            environment("HOME").map(|home| PathBuf::from(home).join(".local/state/codex-gateway"))
        })
        .unwrap_or_else(|| PathBuf::from("codex-gateway-data"))
}
