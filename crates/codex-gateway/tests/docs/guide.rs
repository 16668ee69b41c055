//! The book has every page, and what the pages tell people to type exists and answers as they show.

use std::collections::BTreeSet;
use std::process::Command;

use super::examples::root;
use super::pages::{blocks, pages};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_codex-gateway"));
    command.env_clear();
    command
}

#[test]
fn the_book_has_every_page_once() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<String> = summary
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next().map(str::to_owned))
        .collect();
    let mut real = Vec::new();
    for folder in ["docs", "docs/guide"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root().join("docs"))
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if path.extension().is_some_and(|end| end == "md") && name != "SUMMARY.md" {
                real.push(name);
            }
        }
    }
    // Decisions are listed by their own page.
    real.push("decisions/README.md".to_owned());
    listed.sort();
    real.sort();
    assert_eq!(listed, real, "docs/SUMMARY.md");
    let book: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("docs/book.toml")).unwrap()).unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("."));
}

/// The commands in the shell blocks of all pages, with where they stand; lines that go on are one.
fn commands() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in pages() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let page = std::fs::read_to_string(&path).unwrap();
        for (language, line, text) in blocks(&page) {
            if !matches!(language.trim(), "sh" | "console") {
                continue;
            }
            let text = text.replace("\\\n", " ");
            let lines = text
                .lines()
                .map(|line| line.trim().trim_start_matches("$ "));
            for command in lines.filter_map(|line| line.strip_prefix("codex-gateway ")) {
                found.push((format!("{name}:{line}"), command.to_owned()));
            }
        }
    }
    found
}

/// The words of a command, without what stands in quotes or behind a comment sign.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quote = None;
    for word in command.split_whitespace() {
        let quotes = word.matches('\'').count() % 2 == 1;
        if quote.is_none() && (word.starts_with('#') || matches!(word, "|" | ">" | "&" | "--")) {
            break;
        }
        if quote.is_none() && !word.starts_with('\'') {
            words.push(word.to_owned());
        }
        if quotes {
            quote = if quote.is_some() { None } else { Some('\'') };
        }
    }
    words
}

#[test]
fn every_command_on_a_page_exists_with_its_flags() {
    let all = commands();
    assert!(all.len() >= 40, "{} commands", all.len());
    let mut problems = BTreeSet::new();
    for (place, command) in all {
        let words = words(&command);
        let names: Vec<&String> = words
            .iter()
            .skip_while(|word| word.starts_with("--"))
            .take_while(|word| {
                word.chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter == '-')
            })
            .filter(|word| !word.starts_with('-'))
            .collect();
        // A name may be a subcommand or a value; the longest path that has help counts.
        let help = (1..=names.len()).rev().find_map(|count| {
            let output = program()
                .args(names.iter().take(count))
                .arg("--help")
                .output()
                .unwrap();
            output
                .status
                .success()
                .then(|| String::from_utf8(output.stdout).unwrap())
        });
        let Some(help) = help else {
            problems.insert(format!("{place}: there is no such command: {command}"));
            continue;
        };
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap();
            if !help.contains(flag) {
                problems.insert(format!("{place}: no flag {flag}: {command}"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

/// `console` blocks show what comes out, in the home of a person who has nothing yet.
#[test]
fn what_a_console_block_shows_comes_out() {
    let mut count = 0;
    for path in pages() {
        let page = std::fs::read_to_string(&path).unwrap();
        for (language, line, text) in blocks(&page) {
            if language.trim() != "console" {
                continue;
            }
            let (command, expected) = text.split_once('\n').unwrap();
            let command = command.trim().strip_prefix("$ codex-gateway ").unwrap();
            let home = tempfile::tempdir().unwrap();
            let output = program()
                .args(command.split(' '))
                .current_dir(home.path())
                .env("HOME", home.path())
                .output()
                .unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            let shown = shown.replace(&home.path().display().to_string(), "/home/you");
            let clean = |text: &str| -> Vec<String> {
                text.lines()
                    .map(|line| line.trim().to_owned())
                    .filter(|line| !line.is_empty())
                    .collect()
            };
            assert_eq!(clean(&shown), clean(expected), "{}:{line}", path.display());
            count += 1;
        }
    }
    assert!(count >= 2, "{count} blocks");
}
