//! Checks everything between a user's Codex and the upstreams, and says for each part what is wrong,
//! what that means and what to do. Changes nothing; nothing that costs money is sent.

mod codex;
mod connection;
mod machine;
mod network;
mod rehearsal;
mod report;
mod store;
mod upstreams;

pub use report::{Check, CheckResult, Report};

use crate::clock::Clock;
use crate::codex_home::CodexHome;
use crate::config::{self, Loaded, Overrides, SecretsRead};

/// What to leave out.
#[derive(Debug, Clone, Copy)]
pub struct CheckScope {
    /// Whether upstreams are asked whether they are there.
    pub upstreams: bool,
    /// Whether the installed Codex runs a turn against the scripted upstream.
    pub turn: bool,
}

/// Checks everything.
pub async fn examine(overrides: &Overrides, scope: CheckScope) -> Report {
    // The only way to fail is that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let clock = Clock::system();
    let mut report = Report::default();
    let blind = Overrides {
        secrets: SecretsRead::None,
        ..overrides.clone()
    };
    let Some(loaded) = configuration(overrides, &blind, &mut report) else {
        return report;
    };
    let Some(settings) = &loaded.settings else {
        return report;
    };
    report.add(machine::data_dir(&settings.data_dir));
    let gateway = machine::gateway(settings).await;
    report.add(gateway.check());
    report.add(machine::backlog(&gateway));
    store::examine(settings, &clock, &mut report).await;
    if scope.upstreams {
        upstreams::examine(settings, &clock, &mut report).await;
    } else {
        report.add(Check::skipped("upstreams", "not asked (--offline)"));
    }
    report.add(machine::proxies());
    let home = CodexHome::find();
    let program = codex::program(&mut report).await;
    if let Ok(home) = &home
        && let Some(address) = codex::configuration(home, settings, &mut report)
    {
        connection::examine(&address, &clock, &mut report).await;
    }
    match program {
        Some(program) if scope.turn => {
            rehearsal::examine(&program, &loaded, home.as_ref().ok(), &mut report).await;
        }
        Some(_) => report.add(Check::skipped("turn", "not tried (--no-turn)")),
        None => report.add(Check::skipped(
            "turn",
            "not tried: Codex is not installed here",
        )),
    }
    report
}

/// The configuration as this user sees it; secrets that only the server may read are no fault.
fn configuration(overrides: &Overrides, blind: &Overrides, report: &mut Report) -> Option<Loaded> {
    let loaded = match config::load(blind) {
        Ok(loaded) => loaded,
        Err(why) => {
            report.is_misconfigured = true;
            report.add(Check::failed(
                "configuration",
                why,
                "name a file that exists with --config",
            ));
            return None;
        }
    };
    let (path, problems) = (loaded.source.path.clone(), loaded.problems.len());
    if loaded.settings.is_none() {
        report.is_misconfigured = true;
        report.add(Check::failed(
            "configuration",
            format!("{path} has errors"),
            "`codex-gateway check` shows each with its place",
        ));
        return None;
    }
    report.add(if problems > 0 {
        let message = format!("{path}: {problems} warning(s)");
        Check::warning("configuration", message, "`codex-gateway check` shows them")
    } else {
        Check::ok("configuration", path)
    });
    let with_secrets = config::load(overrides);
    if with_secrets.is_ok_and(|whole| whole.settings.is_none()) {
        report.add(Check::warning(
            "secrets",
            "a credential that the configuration names cannot be read by this user in this shell",
            "fine if the server gets it elsewhere, such as from its service file; `codex-gateway \
             check` names it",
        ));
    }
    Some(loaded)
}
