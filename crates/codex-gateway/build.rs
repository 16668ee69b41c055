//! Puts the commit and its date into release builds, for `--version`. The date is that of the
//! commit, not of the build, so that two builds of one commit are the same. Without git, or in other
//! profiles, there is neither: a debug build is not built anew for each commit.

use std::path::Path;
use std::process::Command;

/// What packagers set where there is no repository: the commit, and its time in Unix seconds.
const COMMIT: &str = "CODEX_GATEWAY_COMMIT";
const DATE: &str = "SOURCE_DATE_EPOCH";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rerun-if-env-changed={DATE}");
    let is_release = variable("PROFILE").is_some_and(|profile| profile == "release");
    if is_release && let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        // Written by every commit and every checkout.
        println!("cargo::rerun-if-changed={log}");
    }
    let of_git = |arguments: &[&str]| is_release.then(|| git(arguments)).flatten();
    let commit = variable(COMMIT).or_else(|| of_git(&["rev-parse", "--short=12", "HEAD"]));
    let date = variable(DATE).or_else(|| of_git(&["log", "-1", "--format=%ct"]));
    let date = date.and_then(|seconds| seconds.trim().parse().ok());
    let facts: Vec<String> = commit.into_iter().chain(date.map(day)).collect();
    let facts = match facts.as_slice() {
        [] => String::new(),
        facts => format!(" ({})", facts.join(" ")),
    };
    let version = variable("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=CODEX_GATEWAY_VERSION={version}{facts}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told by its environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What git answers about the sources; `None` without git or outside a repository of their own.
fn git(arguments: &[&str]) -> Option<String> {
    let sources = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../..");
    // A source tree that was unpacked inside another repository is not described by it.
    if !sources.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .current_dir(sources)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The day of a time in Unix seconds, in UTC: `2026-11-27`.
fn day(seconds: i64) -> String {
    // Days since 0000-03-01, counted in eras of 400 years, each of 146,097 days.
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next)
}
