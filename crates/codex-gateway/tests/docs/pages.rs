//! What stands in fences on the pages is accepted, and what they link to exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use codex_gateway::endpoint::Endpoint;
use codex_gateway::http::admin;
use codex_gateway::http::router;

use super::examples::{check_text, root};

/// Pages about other things have `toml` blocks of other forms, which are tested where those forms
/// are read.
const OTHER_FORMS: [&str; 3] = ["prices.md", "cookbook.md", "models.md"];

pub(crate) fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [".", "docs", "docs/decisions", "docs/guide", "deploy"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        found.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "md")),
        );
    }
    found.sort();
    found
}

/// Fenced blocks as (what stands behind the fence, line, text).
pub(crate) fn blocks(page: &str) -> Vec<(&str, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (at, line) in page.lines().enumerate() {
        let line = line.strip_prefix("   ").unwrap_or(line);
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, at + 1, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, text))) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[test]
fn every_configuration_on_a_page_passes_the_check() {
    let mut count = 0;
    for path in pages() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if OTHER_FORMS.contains(&name.as_str()) {
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap();
        for (language, line, text) in blocks(&page) {
            match language {
                "toml" => check_text(&format!("{name}:{line}"), &text),
                // Codex's own configuration.
                "toml codex" => {
                    toml::from_str::<toml::Table>(&text)
                        .unwrap_or_else(|error| panic!("{name}:{line}: {error}"));
                }
                _ => continue,
            }
            count += 1;
        }
    }
    assert!(count >= 15, "{count} blocks");
}

fn is_there(page: &Path, target: &str) -> bool {
    let file = target.split('#').next().unwrap_or_default();
    file.is_empty() || page.parent().unwrap().join(file).exists()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for piece in page.split("](").skip(1) {
            let target = piece.split(')').next().unwrap_or_default();
            if !target.contains("://") && !is_there(&path, target) {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_path_is_on_the_page_about_http() {
    let page = include_str!("../../../../docs/http.md");
    let own = router::EVERYWHERE.into_iter().chain(router::METRICS);
    let beside = router::BESIDE_ENDPOINTS.into_iter();
    let served = own
        .map(|(path, _)| path.to_owned())
        .chain(beside.map(|(path, _)| format!("/v1{path}")));
    let rows = Endpoint::ALL
        .into_iter()
        .flat_map(|endpoint| endpoint.row().routes);
    let proxied = rows.map(|route| format!("/v1{}", route.path));
    let missing: Vec<_> = served
        .chain(proxied)
        .filter(|path| !page.contains(&format!("`{path}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_about_http_lists_every_endpoint_of_the_admin_api_and_no_other() {
    let page = include_str!("../../../../docs/http.md");
    let (_, section) = page.split_once("\n## The admin API\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| {
        let (path, rest) = line.strip_prefix("| `/api")?.split_once("` | ")?;
        let (methods, _) = rest.split_once(" | ")?;
        Some((format!("/api{path}"), methods.to_owned()))
    });
    let documented: BTreeMap<String, String> = rows.collect();
    let description = serde_json::to_value(admin::description()).unwrap();
    let paths = description["paths"].as_object().unwrap().iter();
    let served: BTreeMap<String, String> = paths
        .map(|(path, operations)| {
            let operations = operations.as_object().unwrap();
            let methods = ["get", "post", "put", "patch", "delete"]
                .into_iter()
                .filter(|method| operations.contains_key(*method));
            let methods: Vec<String> = methods.map(str::to_uppercase).collect();
            assert_eq!(methods.len(), operations.len(), "{path}");
            (path.clone(), methods.join(", "))
        })
        .collect();
    assert!(served.len() >= 15, "{served:?}");
    assert_eq!(documented, served);
}

#[test]
fn every_header_of_an_answer_is_on_the_page_about_http() {
    let headers = codex_gateway::exchange::head::DESCRIBED;
    let page = include_str!("../../../../docs/http.md");
    let missing: Vec<_> = headers
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_walk_on_the_page_about_the_architecture_is_that_of_the_code() {
    let code = include_str!("../../src/lib.rs");
    let page = include_str!("../../../../docs/ARCHITECTURE.md");
    let steps: Vec<&str> = code
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    assert_eq!(steps.len(), 9);
    let missing: Vec<_> = steps.iter().filter(|step| !page.contains(**step)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_page_about_the_command_line_lists_every_command_and_no_other() {
    let page = include_str!("../../../../docs/cli.md");
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_codex-gateway"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let real: Vec<&str> = rest
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect();
    let documented: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn every_protection_on_the_page_about_security_has_a_test() {
    let page = include_str!("../../../../docs/security.md");
    let root = root();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| threat"))
        .collect();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    let mut missing = Vec::new();
    for row in rows {
        let proof = row.trim_end_matches('|').rsplit(" | ").next().unwrap();
        let names: Vec<&str> = proof
            .split('`')
            .filter(|text| text.contains("::"))
            .collect();
        assert!(!names.is_empty(), "no test stands behind: {row}");
        for name in names {
            let (place, test) = name.rsplit_once("::").unwrap();
            let path = place.replace("::", "/");
            let is_there = [
                "tests/e2e",
                "crates/codex-gateway/src",
                "crates/gateway-ledger/tests/contract",
            ]
            .iter()
            .any(|folder| {
                let source = std::fs::read_to_string(root.join(format!("{folder}/{path}.rs")));
                source.is_ok_and(|source| source.contains(&format!("fn {test}(")))
            });
            if !is_there {
                missing.push(name.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
