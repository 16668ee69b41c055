//! The user's Codex: the program, and what its configuration says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::report::{Check, Report};
use crate::codex_home::{BUILT_IN_PROVIDER, CodexHome, find_program};
use crate::config::{self, Settings};
use crate::setup::document;
use crate::tasks;

/// The versions that this gateway is tested with.
const TESTED: &str = include_str!("tested-codex.txt");
const FIX_SETUP: &str = "`codex-gateway setup codex` shows and writes what is needed";

/// Finds the program, and says whether its version is known.
pub(super) async fn program(report: &mut Report) -> Option<PathBuf> {
    let Some(program) = find_program("codex") else {
        report.add(Check::warning(
            "codex",
            "not found on the PATH",
            "install it with `npm install -g @openai/codex`; the IDE extension and the desktop app \
             bring their own",
        ));
        return None;
    };
    let path = program.clone();
    let answer = tasks::run_blocking(true, move || {
        Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()
    });
    let output = answer
        .await
        .flatten()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let shown = program.display();
    let Some(version) = text.trim().strip_prefix("codex-cli ") else {
        report.add(Check::failed(
            "codex",
            format!("{shown} does not say which version it is"),
            "install it again with `npm install -g @openai/codex`",
        ));
        return None;
    };
    let tested: Vec<&str> = TESTED.lines().collect();
    report.add(if tested.contains(&version) {
        Check::ok(
            "codex",
            format!("{version} at {shown}, tested with this gateway"),
        )
    } else {
        Check::warning(
            "codex",
            format!("{version} at {shown}; tested are {}", tested.join(", ")),
            "most likely it works; the turn below shows it",
        )
    });
    Some(program)
}

/// Reads the configuration; answers where Codex sends its requests, where that is known.
pub(super) fn configuration(
    home: &CodexHome,
    settings: &Settings,
    report: &mut Report,
) -> Option<String> {
    let path = home.config_file(None);
    let shown = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let message = format!("{shown} cannot be read: {error}");
            report.add(Check::failed(
                "codex_config",
                message,
                "make it readable for this user",
            ));
            return None;
        }
    };
    let Ok(file) = document::values(&text) else {
        let message = format!("{shown} is not valid TOML, so Codex does not start");
        report.add(Check::failed(
            "codex_config",
            message,
            "`codex exec x` shows the line",
        ));
        return None;
    };
    report.add(Check::ok("codex_sign_in", home.sign_in().describe()));
    let active = text_of(&file, "model_provider")
        .unwrap_or(BUILT_IN_PROVIDER)
        .to_owned();
    ignored(&file, &active, report);
    let address = if active == BUILT_IN_PROVIDER {
        text_of(&file, "openai_base_url").map(str::to_owned)
    } else {
        let tables = file
            .get("model_providers")
            .and_then(|tables| tables.get(&active));
        tables
            .and_then(|table| table.get("base_url")?.as_str())
            .map(str::to_owned)
    };
    let Some(address) = address else {
        let message =
            format!("{shown} does not name a gateway: Codex (provider `{active}`) goes past it");
        report.add(Check::warning("codex_config", message, FIX_SETUP));
        return None;
    };
    report.add(points_here(&shown, &address, settings));
    Some(address)
}

fn points_here(shown: &str, address: &str, settings: &Settings) -> Check {
    let trimmed = address.trim_end_matches('/');
    if trimmed.ends_with("/backend-api/codex") {
        let message = format!(
            "{shown} points at {address}: with a ChatGPT sign-in, Codex then asks another service where to go"
        );
        return Check::failed("codex_config", message, "end the address with /v1");
    }
    let port = settings.server.listen.port();
    let url = reqwest::Url::parse(address);
    let is_here = url.as_ref().is_ok_and(|url| {
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        is_local && url.port_or_known_default() == Some(port)
    });
    if is_here {
        return Check::ok(
            "codex_config",
            format!("{shown} points at this gateway ({address})"),
        );
    }
    let message = format!(
        "{shown} points at {address}; this configuration listens on {}",
        settings.server.listen
    );
    Check::warning(
        "codex_config",
        message,
        format!("fine if that is another gateway; else {FIX_SETUP}"),
    )
}

fn text_of<'t>(file: &'t toml::Table, key: &str) -> Option<&'t str> {
    file.get(key).and_then(toml::Value::as_str)
}

/// Settings that look as if they did something.
fn ignored(file: &toml::Table, active: &str, report: &mut Report) {
    let mut found: Vec<String> = Vec::new();
    if active != BUILT_IN_PROVIDER && file.contains_key("openai_base_url") {
        found.push(format!("`openai_base_url`: `model_provider` is `{active}`"));
    }
    if config::environment("OPENAI_BASE_URL").is_some() {
        found
            .push("the variable OPENAI_BASE_URL: Codex reads `openai_base_url` instead".to_owned());
    }
    if file.contains_key("profile") {
        found.push("`profile`: newer versions refuse it; use `codex --profile NAME`".to_owned());
    }
    let tables = file.get("model_providers").and_then(toml::Value::as_table);
    if let Some(table) = tables.and_then(|tables| tables.get(active)?.as_table()) {
        let has = |key: &str| table.contains_key(key);
        if has("env_key") && has("requires_openai_auth") {
            found.push("`requires_openai_auth`: `env_key` outranks it".to_owned());
        }
        if table.get("wire_api").and_then(toml::Value::as_str) == Some("chat") {
            found.push("`wire_api = \"chat\"`: Codex refuses to start with it".to_owned());
        }
        let variable = table.get("env_key").and_then(toml::Value::as_str);
        if let Some(variable) = variable.filter(|name| config::environment(name).is_none()) {
            found.push(format!(
                "`env_key`: the variable {variable} is not set in this shell"
            ));
        }
    }
    if Path::new(".codex/config.toml").exists() {
        found.push(
            "nothing here, but .codex/config.toml of this directory may override it".to_owned(),
        );
    }
    if !found.is_empty() {
        let message = format!("without effect: {}", found.join("; "));
        report.add(Check::warning(
            "codex_ignored",
            message,
            "remove what is not needed",
        ));
    }
}
