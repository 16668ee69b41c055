//! `check`: every problem of a configuration at once, with file, line, caret and hint.
//!
//! Each file in `fixtures/config/invalid` has a snapshot of what is said about it; each in `valid`
//! must pass.

use gateway_tests::gateway;
use std::path::{Path, PathBuf};

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/config")
        .join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no fixtures in {}", folder.display());
    files
}

/// Checks a copy of the file under its own name, so that messages hold no path of this machine.
fn check(file: &Path, arguments: &[&str]) -> gateway::Ended {
    let place = tempfile::tempdir().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    std::fs::copy(file, place.path().join(name)).unwrap();
    let mut all = vec!["--config", name, "--data-dir", "data", "check"];
    all.extend(arguments);
    let ended = gateway::run(place.path(), &all);
    assert!(
        !place.path().join("data").exists(),
        "`check` writes nothing"
    );
    ended
}

#[test]
fn valid_configurations_pass() {
    for file in fixtures("valid") {
        let ended = check(&file, &[]);
        assert_eq!(ended.code, Some(0), "{}: {ended:#?}", file.display());
    }
}

#[test]
fn invalid_configurations_are_refused_with_every_problem() {
    for file in fixtures("invalid") {
        let ended = check(&file, &[]);
        assert_eq!(ended.code, Some(64), "{}: {ended:#?}", file.display());
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        // A fixture says in its comments how many problems it has and on which lines.
        for (number, line) in text.lines().enumerate() {
            if line.contains("# problem") {
                let place = format!("{name}.toml:{}", number + 1);
                let said = format!("{}{}", ended.stdout, ended.stderr);
                assert!(
                    said.contains(&place),
                    "nothing is said about {place}:\n{said}"
                );
            }
        }
        insta::assert_snapshot!(
            format!("check_{name}"),
            format!("{}{}", ended.stdout, ended.stderr)
        );
    }
}

#[test]
fn serve_refuses_what_check_refuses() {
    let file = fixtures("invalid").remove(0);
    let place = tempfile::tempdir().unwrap();
    let ended = gateway::run(
        place.path(),
        &[
            "--config",
            file.to_str().unwrap(),
            "--data-dir",
            "data",
            "serve",
            "--listen",
            "127.0.0.1:0",
        ],
    );
    assert_eq!(ended.code, Some(64), "{ended:#?}");
}

#[test]
fn a_missing_file_is_named() {
    let place = tempfile::tempdir().unwrap();
    let ended = gateway::run(place.path(), &["check", "--config", "nowhere.toml"]);
    assert_eq!(ended.code, Some(64), "{ended:#?}");
    assert!(ended.stderr.contains("nowhere.toml"), "{ended:#?}");
}

#[test]
fn without_any_file_the_defaults_pass() {
    let place = tempfile::tempdir().unwrap();
    let ended = gateway::run(place.path(), &["check"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
