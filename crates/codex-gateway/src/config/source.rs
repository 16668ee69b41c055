//! Where the configuration and the data directory are looked for. The only file that reads the
//! environment.

use std::path::{Path, PathBuf};

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

impl Source {
    /// The directory that paths in the configuration are relative to.
    pub fn base(&self) -> PathBuf {
        let parent = self.file.as_deref().and_then(Path::parent);
        parent.map(Path::to_owned).unwrap_or_default()
    }
}

/// What the command line says; it outranks the environment, which outranks the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub listen: Option<String>,
    pub secrets: SecretsRead,
}

/// Which secrets of the configuration are read. A command must work where secrets that it does not
/// need are not, such as in the shell of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecretsRead {
    /// The upstreams' credentials and the admin token.
    #[default]
    All,
    AdminToken,
    None,
}

/// What the sections need to know besides their own text.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub overrides: &'a Overrides,
    /// The directory that paths in the configuration are relative to.
    pub base: &'a Path,
}

/// The environment variable `name`, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one file that reads the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Finds and reads the configuration: the flag, then `CODEX_GATEWAY_CONFIG`, then the two usual
/// places, then the built-in defaults.
///
/// # Errors
/// When a file that was named cannot be read; the text says which and why.
pub fn find(overrides: &Overrides) -> Result<Source, String> {
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
