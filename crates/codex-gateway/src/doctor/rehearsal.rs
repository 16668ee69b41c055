//! One turn of the installed Codex, through a gateway with the user's rules, to the scripted
//! upstream: shows that a request arrives, what is decided and what is recorded.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

use gateway_ledger::{ExchangeQuery, Filters, LedgerEntry};
use gateway_policy::money::Usd;
use serde_json::{Value, json};

use super::report::{Check, Report};
use crate::codex_home::CodexHome;
use crate::config::{Loaded, SourceMap};
use crate::sandbox::{self, Running, TemporaryDir};
use crate::scripted_upstream::{ANSWER, ScriptedUpstream, SeenRequests};
use crate::setup::document;
use crate::tasks;

/// A turn that takes longer hangs.
const LONGEST_TURN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Where nothing listens: the turn may reach nothing but the gateway.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Runs the turn, with each kind of sign-in.
pub(super) async fn examine(
    program: &Path,
    loaded: &Loaded,
    home: Option<&CodexHome>,
    report: &mut Report,
) {
    if let Err(why) = run(program, loaded, home, report).await {
        report.add(Check::failed(
            "turn",
            format!("no turn could be tried: {why}"),
            "try again with `--no-turn`, and report this",
        ));
    }
}

async fn run(
    program: &Path,
    loaded: &Loaded,
    home: Option<&CodexHome>,
    report: &mut Report,
) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let settings = loaded
        .settings
        .as_ref()
        .ok_or("the configuration has errors")?;
    let place = TemporaryDir::create("doctor").map_err(text)?;
    let upstream = ScriptedUpstream::bind().await.map_err(text)?;
    let seen = upstream.seen();
    let dir = place.path().join("gateway");
    let made = sandbox::rehearsal(&loaded.source, settings, &upstream.base_url(), &dir)?;
    let places = SourceMap::new(&made.source);
    let report_text = made.report(false);
    let settings = made.settings.ok_or(report_text)?;
    let model = home.and_then(model);
    let checks = sandbox::serve_while(settings, places, Some(upstream), async |gateway| {
        let mut checks = Vec::new();
        for sign_in in [TurnSignIn::ApiKey, TurnSignIn::ChatGpt] {
            let home = place.path().join(sign_in.word());
            checks.push(turn(program, gateway, &seen, &home, sign_in, model.as_deref()).await);
        }
        checks
    });
    for check in checks.await.map_err(|error| format!("{error:#}"))? {
        report.add(check);
    }
    Ok(())
}

/// The model that the user has chosen.
fn model(home: &CodexHome) -> Option<String> {
    let text = std::fs::read_to_string(home.config_file(None)).ok()?;
    let file = document::values(&text).ok()?;
    file.get("model")?.as_str().map(str::to_owned)
}

#[derive(Debug, Clone, Copy)]
enum TurnSignIn {
    ApiKey,
    ChatGpt,
}

impl TurnSignIn {
    const fn word(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::ChatGpt => "chatgpt",
        }
    }

    /// A sign-in that is good for nothing.
    fn auth_file(self) -> Value {
        match self {
            Self::ApiKey => {
                json!({"auth_mode": "apikey", "OPENAI_API_KEY": "sk-codex-gateway-doctor"})
            }
            Self::ChatGpt => {
                let token = unsigned_token();
                json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "last_refresh": "2099-01-01T00:00:00Z",
                    "tokens": {"id_token": token, "access_token": token, "refresh_token": "none",
                        "account_id": "codex-gateway-doctor"}})
            }
        }
    }
}

/// A token with the claims that Codex looks at, and no signature.
fn unsigned_token() -> String {
    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = json!({
        "exp": 4_102_444_800_u64,
        "https://api.openai.com/auth": {"chatgpt_account_id": "codex-gateway-doctor", "chatgpt_plan_type": "pro",
            "chatgpt_user_id": "doctor", "user_id": "doctor"},
        "https://api.openai.com/profile": {"email": "doctor@example.invalid"},
    });
    let header = json!({"alg": "none", "typ": "JWT"});
    let parts = [header.to_string(), claims.to_string(), "none".to_owned()];
    parts.map(encode).join(".")
}

async fn turn(
    program: &Path,
    gateway: &Running,
    seen: &SeenRequests,
    home: &Path,
    sign_in: TurnSignIn,
    model: Option<&str>,
) -> Check {
    let name = format!("turn.{}", sign_in.word());
    let prepared = prepare(home, &gateway.base_url(), sign_in, model);
    if let Err(error) = prepared {
        let fix = "make room in the system's directory for temporary files";
        return Check::failed(name, format!("cannot be prepared: {error}"), fix);
    }
    let before = seen.lock().unwrap_or_else(PoisonError::into_inner).len();
    let command = command(program, home);
    let output = tasks::run_blocking(true, move || run_to_end(command))
        .await
        .flatten();
    let Some(events) = output else {
        return Check::failed(
            name,
            format!(
                "Codex did not finish a turn within {} s",
                LONGEST_TURN.as_secs()
            ),
            "run `codex exec hello` to see what it waits for",
        );
    };
    let arrived = seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(before..)
        .map(<[_]>::to_vec);
    let arrived = arrived.unwrap_or_default();
    let Some(entry) = newest(gateway, sign_in.word()).await else {
        return Check::failed(
            name,
            format!("no request of Codex reached the gateway{}", said(&events)),
            "see whether something outranks Codex's configuration, such as a managed one in /etc/codex",
        );
    };
    let described = describe(&entry);
    if events.contains(ANSWER) && !arrived.is_empty() {
        let encoding = arrived
            .last()
            .and_then(|request| request.encoding.as_deref());
        let body = encoding.map_or_else(
            || "plain".to_owned(),
            |encoding| format!("{encoding}-compressed"),
        );
        return Check::ok(
            name,
            format!("a turn of the real Codex passes ({body} body): {described}"),
        );
    }
    Check::warning(
        name,
        format!(
            "the turn reached the gateway and was not answered by an upstream: {described}{}",
            said(&events)
        ),
        "if a rule refuses the model, choose another; `codex-gateway explain` says which rule",
    )
}

fn prepare(
    home: &Path,
    base_url: &str,
    sign_in: TurnSignIn,
    model: Option<&str>,
) -> std::io::Result<()> {
    std::fs::create_dir_all(home.join("work"))?;
    let mut text = format!(
        "openai_base_url = \"{base_url}\"\nchatgpt_base_url = \"{NOWHERE}/backend-api/\"\n"
    );
    if let Some(model) = model {
        text.extend(["model = ", &document::quoted(model), "\n"]);
    }
    std::fs::write(home.join("config.toml"), text)?;
    std::fs::write(home.join("auth.json"), sign_in.auth_file().to_string())
}

fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["exec", "--json", "--skip-git-repo-check", "Say hello."])
        .current_dir(home.join("work"))
        .env("CODEX_HOME", home)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        command.env(name, NOWHERE);
    }
    for name in ["OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN"] {
        command.env_remove(name);
    }
    command
}

/// What it wrote; `None` when it had to be ended or could not be started.
fn run_to_end(mut command: Command) -> Option<String> {
    use std::io::Read as _;
    let mut child = command.spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stdout.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut waited = Duration::ZERO;
    while waited < LONGEST_TURN {
        match child.try_wait() {
            Ok(Some(_)) => return reader.join().ok(),
            Ok(None) => std::thread::sleep(POLL),
            Err(_) => break,
        }
        waited += POLL;
    }
    drop(child.kill());
    drop(child.wait());
    None
}

async fn newest(gateway: &Running, route: &str) -> Option<LedgerEntry> {
    let query = ExchangeQuery {
        limit: 1,
        filters: Filters {
            route: Some(route.to_owned()),
            ..Filters::default()
        },
        ..ExchangeQuery::default()
    };
    gateway
        .ledger
        .exchanges(&query)
        .await
        .ok()?
        .items
        .into_iter()
        .next()
}

fn describe(entry: &LedgerEntry) -> String {
    let (intent, result) = (&entry.intent, &entry.result);
    let none = || "-".to_owned();
    let served = intent.dispatch.model_served.clone();
    let rule = intent
        .dispatch
        .rule
        .as_ref()
        .map(|rule| format!(" by rule \"{rule}\""))
        .unwrap_or_default();
    let tokens = result.usage.map_or_else(
        || "no tokens".to_owned(),
        |usage| format!("{} + {} tokens", usage.input(), usage.output()),
    );
    let cost = result.cost.nanos.map_or_else(
        || "no price".to_owned(),
        |nanos| format!("${}", Usd::from_nanos(nanos)),
    );
    format!(
        "{} {}{rule} to {}, recorded with {tokens}, {cost} ({})",
        intent.model_requested.clone().unwrap_or_else(none),
        intent.dispatch.decision.as_str(),
        served.unwrap_or_else(none),
        intent.dispatch.billing.as_str(),
    )
}

/// The last error that Codex showed.
fn said(events: &str) -> String {
    let errors = events
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut texts = errors.filter_map(|event| {
        let message = event
            .get("message")
            .or_else(|| event.pointer("/error/message"))?;
        message
            .as_str()
            .map(|text| text.chars().take(200).collect::<String>())
    });
    texts
        .next()
        .map(|text| format!("; Codex says: {text}"))
        .unwrap_or_default()
}
