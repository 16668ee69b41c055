//! Every example is accepted by the real program, without a warning.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The quoted texts behind a word, such as the names behind `env = `.
fn quoted_behind<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.split(word)
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect()
}

/// Runs `check --strict` on a configuration; the variables and files that it names exist.
pub(crate) fn check_text(name: &str, text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    for file in quoted_behind(text, "file =") {
        let text = match file.rsplit_once('.') {
            Some((_, "json")) => "{\"models\":[]}",
            Some((_, "toml")) => "",
            _ => "a-secret-that-is-long-enough",
        };
        std::fs::write(dir.path().join(file), text).unwrap();
    }
    for word in ["models =", "instructions ="] {
        for file in quoted_behind(text, word) {
            let text = if word == "models =" { "" } else { "work well" };
            std::fs::write(dir.path().join(file), text).unwrap();
        }
    }
    let tls = text.split("[server.tls]").nth(1).unwrap_or_default();
    if let (Some(cert), Some(key)) = (
        quoted_behind(tls, "cert =").first(),
        quoted_behind(tls, "key =").first(),
    ) {
        let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        std::fs::write(dir.path().join(cert), made.cert.pem()).unwrap();
        let secret = made.signing_key.serialize_pem();
        std::fs::write(dir.path().join(key), secret).unwrap();
    }
    let mut check = Command::new(env!("CARGO_BIN_EXE_codex-gateway"));
    check.args(["check", "--strict"]).arg(&path).env_clear();
    for variable in quoted_behind(text, "env =") {
        check.env(variable, "a-secret-that-is-long-enough");
    }
    let output = check.output().unwrap();
    assert!(
        output.status.success(),
        "{name}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_example_passes_the_check() {
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        check_text(&name, &std::fs::read_to_string(&path).unwrap());
        count += 1;
    }
    assert!(count >= 7, "{count} examples");
}

#[test]
fn the_kubernetes_manifest_holds_the_teams_example() {
    let manifest =
        std::fs::read_to_string(root().join("deploy/kubernetes/codex-gateway.yaml")).unwrap();
    let example =
        std::fs::read_to_string(root().join("config/examples/team-postgres.toml")).unwrap();
    let (_, rest) = manifest.split_once("  gateway.toml: |\n").unwrap();
    let embedded: Vec<&str> = rest
        .lines()
        .take_while(|line| *line != "---")
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect();
    assert_eq!(embedded, example.lines().collect::<Vec<_>>());
}
