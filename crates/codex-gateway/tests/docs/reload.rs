//! What the shipped configuration and its page say about reloads is what the program does.

use std::collections::{BTreeMap, BTreeSet};

use codex_gateway::config::reload;

use super::config_file::{FILE, PLACES, known};

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// Tables without rows of their own: a reload replaces all of them.
const REPLACED: [&str; 5] = ["upstreams", "routes", "rules", "fallback", "error_patterns"];

fn classes() -> BTreeMap<String, bool> {
    reload::keys().into_iter().collect()
}

#[test]
fn every_key_has_a_reload_class() {
    let mut expected = BTreeSet::new();
    for (sample, place) in PLACES {
        let table = place.split('.').next().unwrap_or_default();
        // The last place is a list of words.
        if table.is_empty() || REPLACED.contains(&table) || place == "log.format" {
            continue;
        }
        let place = place.trim_end_matches(".*");
        expected.extend(known(sample).iter().map(|key| format!("{place}.{key}")));
    }
    let real: BTreeSet<String> = classes().into_keys().collect();
    assert_eq!(real, expected);
}

/// The comment above each key, such as `server.listen`, with that of its table.
fn comments() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut table, mut about_table, mut above) = (String::new(), String::new(), String::new());
    for line in FILE.lines() {
        if let Some(text) = line.strip_prefix("# ") {
            above = above + " " + text;
            continue;
        }
        let key = line.trim_start_matches("#:").trim_start_matches('#');
        if let Some(name) = key.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
            about_table = above;
            found.push((table.clone(), about_table.clone()));
        } else if let Some((name, _)) = key.split_once(" = ") {
            found.push((format!("{table}.{name}"), format!("{about_table}{above}")));
        }
        above = String::new();
    }
    found
}

#[test]
fn the_file_says_which_keys_need_a_restart() {
    let classes = classes();
    let mut seen = BTreeSet::new();
    for (key, comment) in comments() {
        // The comment of this table is about the table: its files are taken over at once.
        if let Some(waits) = classes
            .get(&key)
            .filter(|_| !key.starts_with("server.tls."))
        {
            assert_eq!(comment.contains("a restart"), *waits, "{key}:{comment}");
        }
        seen.insert(key);
    }
    let missing: Vec<_> = classes
        .iter()
        .filter(|(key, waits)| **waits && !seen.contains(*key))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_page_lists_the_keys_that_need_a_restart() {
    let (_, rest) = PAGE.split_once("only after a restart").unwrap();
    let listed: BTreeSet<&str> = rest
        .lines()
        .skip_while(|line| !line.starts_with("- "))
        .take_while(|line| !line.is_empty())
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect();
    let classes = classes();
    let waiting: BTreeSet<&str> = classes
        .iter()
        .filter(|(_, waits)| **waits)
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(listed, waiting);
}
