//! `docs/dependencies.md` lists the direct dependencies, and no others.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../../docs/dependencies.md");
const MANIFEST: &str = include_str!("../../../../Cargo.toml");

#[test]
fn every_dependency_is_on_the_page_with_its_reason() {
    let (_, rest) = MANIFEST.split_once("[workspace.dependencies]").unwrap();
    let (shipped, _) = rest.split_once("# Tests and benchmarks only.").unwrap();
    let real: BTreeSet<&str> = shipped
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(_, what)| !what.contains("path = "))
        .map(|(name, _)| name)
        .collect();
    let (listed, _) = PAGE.split_once("## Written by hand").unwrap();
    let rows = listed.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(documented, real);
}
