//! The golden matrix: every file below `tests/fixtures/exchange` and
//! `tests/fixtures/dialect/<name>` is translated there and back, and compared with its snapshot.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gateway_wire::Dialect;

use crate::harness::{Fixture, pretty, show_answer, show_losses};

pub(crate) fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut folders = vec![root.join("exchange"), root.join("dialect")];
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

pub(crate) fn load(path: &Path) -> Fixture {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `exchange/tools` or `dialect/name/tools`, as a snapshot's name.
fn name_of(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    path.strip_prefix(root)
        .unwrap()
        .with_extension("")
        .to_string_lossy()
        .replace('/', "-")
}

#[test]
fn every_fixture_translates_as_recorded() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    for path in fixtures() {
        let fixture = load(&path);
        let mut out = String::new();
        match fixture.translate() {
            Ok(translated) => {
                writeln!(
                    out,
                    "== request\n{}\n{}",
                    pretty(&translated.body),
                    show_losses(&translated.losses)
                )
                .unwrap();
                out.push_str(&show_answer(&fixture, &translated.reply));
            }
            Err(error) => writeln!(
                out,
                "== refused\n{} ({})\n{error}",
                error.code(),
                error.param()
            )
            .unwrap(),
        }
        insta::assert_snapshot!(name_of(&path), out);
    }
}

#[test]
fn every_dialect_has_a_fixture_of_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialect");
    for name in Dialect::names() {
        let files = std::fs::read_dir(root.join(name))
            .unwrap_or_else(|_| panic!("no fixtures for `{name}`"));
        for file in files {
            assert_eq!(
                load(&file.unwrap().path()).dialect,
                name,
                "a fixture stands in the folder of its dialect"
            );
        }
    }
}
