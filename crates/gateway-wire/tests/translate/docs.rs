//! `docs/translation.md` says what the code says.

use gateway_wire::Dialect;
use gateway_wire::translate::LossKind;

const DOCS: &str = include_str!("../../../../docs/translation.md");

/// The first two cells of every table row that starts with a name in backticks.
fn rows(heading: &str) -> Vec<(String, String)> {
    let (_, section) = DOCS.split_once(heading).expect("the section is there");
    let section = section.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((name.to_owned(), rest.trim_end_matches(" |").to_owned()))
        })
        .collect()
}

#[test]
fn every_kind_of_loss_has_its_row() {
    let documented: Vec<(String, bool)> = rows("## Losses")
        .into_iter()
        .map(|(name, rest)| (name, rest.starts_with("yes")))
        .collect();
    let known: Vec<(String, bool)> = LossKind::ALL
        .iter()
        .map(|kind| (kind.as_str().to_owned(), kind.is_severe()))
        .collect();
    assert_eq!(documented, known);
}

#[test]
fn every_flag_has_its_row() {
    let known: Vec<(String, String)> = Dialect::FLAGS
        .iter()
        .map(|(name, doc)| ((*name).to_owned(), doc.trim().to_owned()))
        .collect();
    assert_eq!(rows("## Dialects"), known);
}

#[test]
fn every_dialect_is_named() {
    let (_, section) = DOCS.split_once("## Dialects").unwrap();
    for name in Dialect::names() {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_evidence_for_every_dialect_is_documented() {
    let (_, section) = DOCS.split_once("## Evidence for each dialect").unwrap();
    for name in Dialect::names() {
        let has_row = section.lines().any(|line| {
            let first = line.trim_start_matches('|').split('|').next();
            first.is_some_and(|cell| cell.contains(&format!("`{name}`")))
        });
        assert!(has_row, "{name}");
    }
}
