//! The layers of each crate: no file imports itself around a circle, and no module imports one
//! that stands above it in the table.

mod circles;
mod modules;

use std::path::PathBuf;

use circles::circles;
use modules::Crate;

fn read(name: &str) -> Crate {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Crate::read(&root.join("../crates").join(name).join("src"))
}

fn assert_no_circle(name: &str) {
    let found = circles(&read(name));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_file_of_gateway_wire_imports_itself_around_a_circle() {
    assert_no_circle("gateway-wire");
}

#[test]
fn no_file_of_gateway_policy_imports_itself_around_a_circle() {
    assert_no_circle("gateway-policy");
}

#[test]
fn no_file_of_gateway_ledger_imports_itself_around_a_circle() {
    assert_no_circle("gateway-ledger");
}

#[test]
fn no_file_of_codex_gateway_imports_itself_around_a_circle() {
    assert_no_circle("codex-gateway");
}
