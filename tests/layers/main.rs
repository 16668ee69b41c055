//! The layers of each crate: no file imports itself around a circle, and no module imports one
//! that stands above it in the table.

mod circles;
mod modules;
mod order;

use std::path::PathBuf;

use circles::circles;
use modules::Crate;
use order::{Layer, ORDER};

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

/// What a module imports from its own layer or from one above.
fn upward(parsed: &Crate, layers: &[Layer]) -> Vec<String> {
    let height = |module: &str| {
        layers
            .iter()
            .position(|layer| layer.modules.contains(&module))
    };
    let mut found = Vec::new();
    for (from, to) in parsed.imports() {
        let [from_top, to_top] = [&from, &to].map(|path| path.first().map_or("lib", |it| it));
        if from_top == to_top {
            continue;
        }
        match (height(from_top), height(to_top)) {
            (Some(from_height), Some(to_height)) if to_height < from_height => {}
            (Some(from_height), Some(_)) => found.push(format!(
                "{} imports `{to_top}`, which does not stand below `{from_top}` ({})",
                parsed.file(&from),
                layers[from_height].reason
            )),
            (None, _) => found.push(format!(
                "`{from_top}` has no layer; give it one in order.rs"
            )),
            (_, None) => found.push(format!("`{to_top}` has no layer; give it one in order.rs")),
        }
    }
    found.dedup();
    found
}

#[test]
fn every_import_leads_to_a_lower_layer() {
    let mut found = Vec::new();
    for (name, layers) in ORDER {
        let parsed = read(name);
        found.extend(
            upward(&parsed, layers)
                .into_iter()
                .map(|it| format!("{name}: {it}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_layer_names_modules_that_exist() {
    for (name, layers) in ORDER {
        let parsed = read(name);
        for module in layers.iter().flat_map(|layer| layer.modules) {
            assert!(
                *module == "lib" || parsed.has_module(module),
                "{name} has no module `{module}`; delete it from order.rs"
            );
        }
    }
}
