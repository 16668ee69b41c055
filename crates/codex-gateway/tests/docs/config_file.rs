//! `config/gateway.toml` shows every key, and what it shows as a default is the default.

use std::collections::BTreeSet;

use codex_gateway::config::{self, Loaded, Overrides, SecretsRead, Settings, file};
use gateway_policy::{AuthRoute, NoMemory, Subject};

use super::examples;

pub(crate) const FILE: &str = include_str!("../../../../config/gateway.toml");

/// In front of a key at its default; nothing but a key, a table or a string may follow.
const DEFAULT: &str = "#";
/// In front of a key that has no default.
const EXAMPLE: &str = "#:";

/// Removes the markers of defaults, and of examples where wanted.
fn activated(with_examples: bool) -> String {
    FILE.lines()
        .map(|line| match line.strip_prefix(EXAMPLE) {
            Some(key) if with_examples => key,
            Some(_) => "",
            None => line
                .strip_prefix(DEFAULT)
                .filter(|rest| rest.starts_with(|first: char| !first.is_whitespace()))
                .unwrap_or(line),
        })
        .fold(String::new(), |text, line| text + line + "\n")
}

fn load(text: &str) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    config::load(&Overrides {
        config: Some(path),
        data_dir: Some("data".into()),
        listen: None,
        secrets: SecretsRead::All,
    })
    .unwrap()
}

fn settings(text: &str) -> Settings {
    let loaded = load(text);
    assert!(loaded.problems.is_empty(), "{}", loaded.report(false));
    loaded.settings.unwrap()
}

fn assert_same(left: &Settings, right: &Settings) {
    assert_eq!(format!("{:?}", left.server), format!("{:?}", right.server));
    assert_eq!(left.admin.listen, right.admin.listen);
    assert_eq!(left.admin.token.is_some(), right.admin.token.is_some());
    assert!(left.storage == right.storage);
    assert_eq!(left.catalog, right.catalog);
    assert_eq!(left.log, right.log);
    assert_eq!(left.models, right.models);
    assert_eq!(left.prices.unpriced, right.prices.unpriced);
    assert_eq!(left.prices.table.version(), right.prices.table.version());
    assert_eq!(left.share, right.share);
    assert_eq!(left.credentials.len(), right.credentials.len());
    let (left, right) = (&left.policy, &right.policy);
    assert!(left.upstreams().eq(right.upstreams()));
    for route in AuthRoute::ALL {
        assert_eq!(left.route_upstream(route), right.route_upstream(route));
        let subject = Subject::new(route);
        assert_eq!(
            left.models_for(subject, &NoMemory),
            right.models_for(subject, &NoMemory)
        );
    }
}

#[test]
fn the_file_as_shipped_changes_nothing() {
    assert_same(&settings(FILE), &settings(""));
}

#[test]
fn every_default_it_shows_is_the_default() {
    assert_same(&settings(&activated(false)), &settings(""));
}

#[test]
fn a_wrong_default_would_be_found() {
    let wrong = activated(false).replace("hold_bytes = \"256KiB\"", "hold_bytes = \"257KiB\"");
    let (wrong, right) = (settings(&wrong), settings(""));
    let is_caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_same(&wrong, &right);
    }));
    assert!(is_caught.is_err());
}

#[test]
fn every_example_it_shows_is_accepted() {
    examples::check_text("gateway.toml", &activated(true));
}

/// A file with an unknown key at one place, and where the same place is in a parsed file; `*`
/// stands for any key or entry.
pub(crate) const PLACES: [(&str, &str); 19] = [
    ("zqx = 1", ""),
    ("[server]\nzqx = 1", "server"),
    ("[server.tls]\nzqx = 1", "server.tls"),
    ("[admin]\nzqx = 1", "admin"),
    ("[admin]\ntoken = { zqx = 1 }", "admin.token"),
    ("[storage]\nzqx = 1", "storage"),
    ("[catalog]\nzqx = 1", "catalog"),
    (
        "[[catalog.entries]]\nmodel = \"m\"\nzqx = 1",
        "catalog.entries.*",
    ),
    ("[log]\nzqx = 1", "log"),
    (
        "[upstreams.a]\nbase_url = \"https://a.example\"\nzqx = 1",
        "upstreams.*",
    ),
    (
        "[upstreams.a]\nbase_url = \"https://a.example\"\ncredential = { zqx = 1 }",
        "upstreams.*.credential",
    ),
    ("[routes]\nzqx = 1", "routes"),
    (
        "[[rules]]\nname = \"n\"\nthen = \"allow\"\nzqx = 1",
        "rules.*",
    ),
    (
        "[[rules]]\nname = \"n\"\nthen = \"allow\"\nwhen = { zqx = 1 }",
        "rules.*.when",
    ),
    (
        "[[rules]]\nname = \"n\"\nthen = { zqx = \"\" }",
        "rules.*.then",
    ),
    (
        "[[error_patterns]]\nverdict = \"unclassified\"\nzqx = 1",
        "error_patterns.*",
    ),
    ("[models]\nzqx = 1", "models"),
    ("[prices]\nzqx = 1", "prices"),
    ("[log]\nformat = \"zqx\"", "log.format"),
];

/// The keys (or words) that the program knows at a place: its own answer to an unknown one.
pub(crate) fn known(sample: &str) -> BTreeSet<String> {
    let (_, problems) = file::read(sample);
    let hint = problems
        .iter()
        .find_map(|problem| {
            let hint = problem.hint.as_deref()?;
            hint.strip_prefix("known keys: ")
                .or_else(|| hint.strip_prefix("valid values: "))
        })
        .unwrap_or_else(|| panic!("{sample}: {problems:?}"));
    hint.split(", ")
        .map(|name| name.trim_matches('`').to_owned())
        .collect()
}

/// The keys that stand at a place, and words where a word can stand in place of a table.
fn shown(value: &toml::Value, path: &[&str]) -> BTreeSet<String> {
    let nested = |values: &mut dyn Iterator<Item = &toml::Value>, rest: &[&str]| {
        values.flat_map(|value| shown(value, rest)).collect()
    };
    match (path.split_first(), value) {
        (None, toml::Value::Table(table)) => table.keys().cloned().collect(),
        (None, toml::Value::String(word)) => [word.clone()].into(),
        (Some((&"*", rest)), toml::Value::Table(table)) => nested(&mut table.values(), rest),
        (Some((&"*", rest)), toml::Value::Array(list)) => nested(&mut list.iter(), rest),
        (Some((key, rest)), toml::Value::Table(table)) => {
            nested(&mut table.get(*key).into_iter(), rest)
        }
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_key_occurs() {
    let file: toml::Value = toml::from_str(&activated(true)).unwrap();
    for (sample, place) in PLACES {
        let path: Vec<&str> = place.split('.').filter(|part| !part.is_empty()).collect();
        let shown = shown(&file, &path);
        // One of these stands in the file; the comment above it names the others.
        let is_one_of = matches!(place, "log.format" | "admin.token");
        let is_named = |word: &String| {
            is_one_of
                && (FILE.contains(&format!("\"{word}\"")) || FILE.contains(&format!("{word} = ")))
        };
        let missing: Vec<_> = known(sample)
            .difference(&shown)
            .filter(|word| !is_named(word))
            .cloned()
            .collect();
        assert!(missing.is_empty(), "[{place}] lacks {missing:?}");
    }
    // Tables whose keys are the operator's own names.
    for place in ["upstreams", "fallback"] {
        assert!(!shown(&file, &[place]).is_empty());
    }
}

/// In an emergency a key is revoked from a shell that has none of the server's secrets.
#[test]
fn commands_on_the_store_need_none_of_the_servers_secrets() {
    let text = "[admin]\ntoken = { env = \"NOT_SET_ANYWHERE\" }\n\
                [upstreams.team]\nbase_url = \"http://127.0.0.1:1/v1\"\ncredential = { env = \"NOT_SET_ANYWHERE\" }\n\
                [routes]\ngateway_key = \"team\"\n";
    assert!(load(text).settings.is_none());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gateway.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = config::load(&Overrides {
        config: Some(path),
        data_dir: Some("data".into()),
        listen: None,
        secrets: SecretsRead::None,
    });
    let loaded = loaded.unwrap();
    assert!(loaded.settings.is_some(), "{}", loaded.report(false));
}
