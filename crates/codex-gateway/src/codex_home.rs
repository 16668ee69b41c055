//! Finds the user's Codex: its program, its home, its configuration and which kind of sign-in it has. Never
//! reads a credential's value.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config;

/// The id of the provider that Codex has built in. It is what `openai_base_url` points elsewhere,
/// and what Codex writes into the sessions of its users.
pub const BUILT_IN_PROVIDER: &str = "openai";

/// The directory in which Codex keeps its configuration, sign-in and sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodexHome {
    dir: PathBuf,
}

/// What Codex is signed in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    ChatGpt,
    ApiKey,
    /// There is no sign-in file: not signed in, or kept in the keyring of the system.
    NotFound,
    /// There is one, of a kind or form that is not known here.
    Unknown,
}

impl SignIn {
    /// In the words of a message.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ChatGpt => "signed in with ChatGPT",
            Self::ApiKey => "signed in with an API key",
            Self::NotFound => {
                "no auth.json: not signed in, or the sign-in is in the system's keyring"
            }
            Self::Unknown => "signed in with something that this version does not know",
        }
    }
}

impl CodexHome {
    /// `CODEX_HOME`, else `.codex` in the user's home.
    ///
    /// # Errors
    /// When neither is known; the text says what to set.
    pub fn find() -> Result<Self, String> {
        let home = || config::environment("HOME").or_else(|| config::environment("USERPROFILE"));
        config::environment("CODEX_HOME")
            .map(PathBuf::from)
            .or_else(|| home().map(|home| PathBuf::from(home).join(".codex")))
            .map(Self::at)
            .ok_or_else(|| "cannot tell where Codex keeps its files; set CODEX_HOME".to_owned())
    }

    /// A home at a known place.
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The user's configuration, or with a name the profile's that is laid on top of it.
    pub fn config_file(&self, profile: Option<&str>) -> PathBuf {
        self.dir.join(match profile {
            Some(name) => format!("{name}.config.toml"),
            None => "config.toml".to_owned(),
        })
    }

    /// Which kind of sign-in there is.
    pub fn sign_in(&self) -> SignIn {
        match std::fs::read(self.dir.join("auth.json")) {
            Ok(bytes) => kind(&bytes),
            Err(_) => SignIn::NotFound,
        }
    }
}

/// Where a program is, by the `PATH` of the environment.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = config::environment("PATH")?;
    let names = [
        name.to_owned(),
        format!("{name}.exe"),
        format!("{name}.cmd"),
    ];
    std::env::split_paths(&path)
        .flat_map(|dir| names.clone().map(|name| dir.join(name)))
        .find(|candidate| is_program(candidate))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.extension().is_some() && path.is_file()
}

/// What tells the kinds apart; values are skipped, not kept.
#[derive(Deserialize)]
struct AuthFile {
    auth_mode: Option<String>,
    tokens: Option<IgnoredAny>,
    #[serde(rename = "OPENAI_API_KEY")]
    api_key: Option<IgnoredAny>,
}

fn kind(bytes: &[u8]) -> SignIn {
    let Ok(file) = serde_json::from_slice::<AuthFile>(bytes) else {
        return SignIn::Unknown;
    };
    match (file.auth_mode.as_deref(), file.tokens, file.api_key) {
        (Some("chatgpt" | "chatgptAuthTokens" | "personalAccessToken"), _, _)
        | (None, Some(_), _) => SignIn::ChatGpt,
        (Some("apikey"), _, _) | (None, None, Some(_)) => SignIn::ApiKey,
        (Some(_), _, _) => SignIn::Unknown,
        (None, None, None) => SignIn::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_sign_in_is_known_without_its_values() {
        for (text, expected) in [
            (
                r#"{"auth_mode":"chatgpt","tokens":{"access_token":"x"}}"#,
                SignIn::ChatGpt,
            ),
            (
                r#"{"OPENAI_API_KEY":null,"tokens":{"access_token":"x"}}"#,
                SignIn::ChatGpt,
            ),
            (
                r#"{"auth_mode":"apikey","OPENAI_API_KEY":"x"}"#,
                SignIn::ApiKey,
            ),
            (r#"{"OPENAI_API_KEY":"x"}"#, SignIn::ApiKey),
            (r#"{"auth_mode":"agentIdentity"}"#, SignIn::Unknown),
            ("{}", SignIn::NotFound),
            ("half", SignIn::Unknown),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text}");
        }
        let nowhere = CodexHome::at("/nonexistent".into());
        assert_eq!(nowhere.sign_in(), SignIn::NotFound);
    }
}
