//! The ways a person points Codex at a gateway, as files and environment.

use base64::Engine as _;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The account of the fake ChatGPT sign-in.
pub const FAKE_ACCOUNT: &str = "acct-sim-123";
/// The environment variable that holds the key of a custom provider.
const KEY_VARIABLE: &str = "SIM_API_KEY";
/// The one that holds the value of a header.
const HEADER_VARIABLE: &str = "SIM_HEADER";

/// How Codex is set up.
#[derive(Debug, Clone, Default)]
pub struct SetUp {
    sign_in: SignIn,
    /// Of the model; Codex's own default when `None`.
    model: Option<String>,
    /// Lines of `config.toml` before any table.
    lines: Vec<String>,
    /// Lines of the provider's table.
    provider_lines: Vec<String>,
    catalogue: bool,
    /// Where the working directory was cloned from; `None`: it is no repository.
    remote: Option<String>,
    /// Further environment variables.
    variables: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
enum SignIn {
    /// `[model_providers]` with `env_key`.
    EnvKey(String),
    /// ChatGPT, through `openai_base_url`.
    ChatGptBuiltIn,
    /// ChatGPT, through `[model_providers]` with `requires_openai_auth`.
    ChatGptProvider,
    /// An API key, through `openai_base_url`.
    ApiKeyBuiltIn(String),
    /// `[model_providers]` without any credential.
    Keyless,
}

impl Default for SignIn {
    fn default() -> Self {
        Self::EnvKey("sk-sim-caller-key".to_owned())
    }
}

impl SetUp {
    /// (a) A custom provider with `env_key`.
    pub fn env_key(key: &str) -> Self {
        Self::of(SignIn::EnvKey(key.to_owned()))
    }

    /// (b) ChatGPT sign-in through `openai_base_url`: zstd bodies, WebSocket first.
    pub fn chatgpt_built_in() -> Self {
        Self::of(SignIn::ChatGptBuiltIn)
    }

    /// (c) ChatGPT sign-in with a custom provider that has `requires_openai_auth`.
    pub fn chatgpt_provider() -> Self {
        Self::of(SignIn::ChatGptProvider)
    }

    /// (d) As (a), with `model_catalog_url` at the same base.
    pub fn with_catalogue(key: &str) -> Self {
        Self {
            catalogue: true,
            ..Self::env_key(key)
        }
    }

    /// An API key through `openai_base_url`.
    pub fn api_key_built_in(key: &str) -> Self {
        Self::of(SignIn::ApiKeyBuiltIn(key.to_owned()))
    }

    /// A custom provider without any credential.
    pub fn keyless() -> Self {
        Self::of(SignIn::Keyless)
    }

    fn of(sign_in: SignIn) -> Self {
        Self {
            sign_in,
            model: Some("gpt-5.5".to_owned()),
            ..Self::default()
        }
    }

    /// Another model, or with `None` the one Codex chooses.
    #[must_use]
    pub fn model(mut self, model: Option<&str>) -> Self {
        self.model = model.map(str::to_owned);
        self
    }

    /// Codex works in a repository that was cloned from there.
    #[must_use]
    pub fn clone_of(mut self, remote: &str) -> Self {
        self.remote = Some(remote.to_owned());
        self
    }

    /// Makes the working directory what was asked for.
    pub(super) fn write_work(&self, work: &Path) {
        let Some(remote) = &self.remote else { return };
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        for arguments in [
            &["init", "--quiet"][..],
            &["remote", "add", "origin", remote],
            &["commit", "--quiet", "--allow-empty", "--message", "first"],
        ] {
            let status = std::process::Command::new("git")
                .args(identity)
                .args(arguments)
                .current_dir(work)
                .status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "git {arguments:?}"
            );
        }
    }

    /// A line of `config.toml` before any table.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// A line of the provider's table.
    #[must_use]
    pub fn provider_line(mut self, line: &str) -> Self {
        self.provider_lines.push(line.to_owned());
        self
    }

    /// A header of the provider's, read from an environment variable as a secret should be.
    #[must_use]
    pub fn header_from_variable(self, header: &str, value: &str) -> Self {
        let line = format!("env_http_headers = {{ \"{header}\" = \"{HEADER_VARIABLE}\" }}");
        let mut with = self.provider_line(&line);
        with.variables
            .push((HEADER_VARIABLE.to_owned(), value.to_owned()));
        with
    }

    pub(super) fn environment(&self) -> Vec<(&str, &str)> {
        let further = self.variables.iter();
        let mut all: Vec<(&str, &str)> = further
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        match &self.sign_in {
            SignIn::EnvKey(key) => all.push((KEY_VARIABLE, key)),
            SignIn::ChatGptBuiltIn
            | SignIn::ChatGptProvider
            | SignIn::ApiKeyBuiltIn(_)
            | SignIn::Keyless => {}
        }
        all
    }

    /// Writes `config.toml` and, where there is a sign-in, `auth.json`.
    pub(super) fn write(&self, home: &Path, base_url: &str, account_url: &str) {
        let mut lines = vec![format!("chatgpt_base_url = \"{account_url}/backend-api/\"")];
        lines.extend(
            self.model
                .iter()
                .map(|model| format!("model = \"{model}\"")),
        );
        lines.extend(self.lines.iter().cloned());
        let mut table = vec![
            "[model_providers.gw]".to_owned(),
            "name = \"gw\"".to_owned(),
            format!("base_url = \"{base_url}\""),
        ];
        match &self.sign_in {
            SignIn::ChatGptBuiltIn | SignIn::ApiKeyBuiltIn(_) => {
                lines.push(format!("openai_base_url = \"{base_url}\""));
                table.clear();
            }
            SignIn::EnvKey(_) => table.push(format!("env_key = \"{KEY_VARIABLE}\"")),
            SignIn::ChatGptProvider => table.push("requires_openai_auth = true".to_owned()),
            SignIn::Keyless => {}
        }
        if !table.is_empty() {
            lines.push("model_provider = \"gw\"".to_owned());
            if self.catalogue {
                table.push(format!("model_catalog_url = \"{base_url}/models\""));
            }
            table.extend(self.provider_lines.iter().cloned());
        }
        lines.extend(table);
        write(&home.join("config.toml"), &(lines.join("\n") + "\n"));
        let auth = match &self.sign_in {
            SignIn::ChatGptBuiltIn | SignIn::ChatGptProvider => {
                let token = chatgpt_token();
                json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2099-01-01T00:00:00Z",
                    "tokens": {"id_token": token, "access_token": token, "refresh_token": "rt-sim", "account_id": FAKE_ACCOUNT}})
            }
            SignIn::ApiKeyBuiltIn(key) => json!({"auth_mode": "apikey", "OPENAI_API_KEY": key}),
            SignIn::EnvKey(_) | SignIn::Keyless => return,
        };
        write(&home.join("auth.json"), &auth.to_string());
    }
}

/// An unsigned token with the claims of a ChatGPT sign-in, good for decades.
pub fn chatgpt_token() -> String {
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = json!({
        "exp": 4_102_444_800_u64,
        "https://api.openai.com/auth": {"chatgpt_account_id": FAKE_ACCOUNT, "chatgpt_plan_type": "pro",
            "chatgpt_user_id": "user-sim", "user_id": "user-sim"},
        "https://api.openai.com/profile": {"email": "sim@example.com"},
    });
    let header = json!({"alg": "none", "typ": "JWT"});
    format!(
        "{}.{}.{}",
        encode(header.to_string()),
        encode(claims.to_string()),
        encode("unsigned".to_owned())
    )
}

fn write(path: &PathBuf, text: &str) {
    std::fs::write(path, text)
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
