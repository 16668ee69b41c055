//! The documents and examples say what is true: every block compiles, every line holds, every table
//! agrees with the data.

use gateway_wire::{Failure, WireApi};

use super::*;
use crate::catalog::{ModelEntry, Sourced};

const COOKBOOK: &str = include_str!("../../../../../docs/cookbook.md");
const MODELS_PAGE: &str = include_str!("../../../../../docs/models.md");

/// The upstreams of a fresh installation.
const FRESH: &str = r#"
[upstreams.chatgpt]
base_url = "https://chatgpt.com/backend-api/codex"
[upstreams.openai]
base_url = "https://api.openai.com/v1"
wire_api = ["responses", "chat"]
[routes]
chatgpt = "chatgpt"
api_key = "openai"
gateway_key = "openai"
"#;

/// Fenced blocks as (language, line, text).
fn blocks(page: &str) -> Vec<(&str, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (at, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, at + 1, String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some((_, _, text))) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Compiles a block, in which not even a suspicion may stand.
fn clean(place: &str, text: &str) -> Policy {
    let (policy, problems) = compile(&format!("{FRESH}{text}"));
    assert!(problems.is_empty(), "{place}: {problems:?}");
    policy.unwrap_or_else(|| panic!("{place}"))
}

/// Splits `route model word=value …   expected` at the first word of a decision.
fn split_line(line: &str) -> (String, String) {
    const KINDS: [&str; 6] = [
        "passed",
        "sent",
        "rewritten",
        "fell-back",
        "rejected",
        "unrouted",
    ];
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words
        .iter()
        .position(|word| KINDS.contains(word))
        .unwrap_or_else(|| panic!("{line}"));
    (words[..at].join(" "), words[at..].join(" "))
}

#[test]
fn the_cookbook_does_what_it_says() {
    let mut checked = 0;
    let mut recipe: Option<Policy> = None;
    for (language, line, text) in blocks(COOKBOOK) {
        let place = format!("docs/cookbook.md:{line}");
        match language {
            "toml" => recipe = Some(clean(&place, &text)),
            "text" => {
                let policy = recipe
                    .take()
                    .unwrap_or_else(|| panic!("{place}: no recipe before"));
                for line in text.lines() {
                    let (request, expected) = split_line(line);
                    assert_eq!(
                        decided(&policy, &request, &NoMemory),
                        expected,
                        "{place}: {request}"
                    );
                    checked += 1;
                }
            }
            other => panic!("{place}: a block in `{other}`"),
        }
    }
    assert!(recipe.is_none(), "the last recipe is not checked");
    assert!(checked > 30, "only {checked} lines were checked");
}

#[test]
fn the_page_about_models_compiles() {
    for (language, line, text) in blocks(MODELS_PAGE) {
        if language == "toml" {
            clean(&format!("docs/models.md:{line}"), &text);
        }
    }
}

#[test]
fn the_examples_compile_without_a_suspicion() {
    for (name, text) in [
        (
            "strict-api-key",
            include_str!("../../../../../config/examples/strict-api-key.toml"),
        ),
        (
            "fallback-2026-11",
            include_str!("../../../../../config/examples/fallback-2026-11.toml"),
        ),
        (
            "aliases",
            include_str!("../../../../../config/examples/aliases.toml"),
        ),
    ] {
        clean(name, text);
    }
}

#[test]
fn the_strict_example_keeps_api_keys_off_the_newest_model() {
    check_example(
        include_str!("../../../../../config/examples/strict-api-key.toml"),
        &[
            (
                "api_key gpt-5.5",
                "rewritten gpt-5.4@openai by api keys get gpt-5.4",
            ),
            (
                "gateway_key gpt-5.5-2026-04-23",
                "rewritten gpt-5.4@openai by api keys get gpt-5.4",
            ),
            (
                "api_key gpt-5.5-pro",
                "rejected gpt-5.5-pro by no pro models on api keys",
            ),
            ("api_key gpt-5.4", "passed gpt-5.4@openai"),
            ("chatgpt gpt-5.5", "passed gpt-5.5@chatgpt then gpt-5.4"),
        ],
    );
}

#[test]
fn the_alias_example_pins() {
    check_example(
        include_str!("../../../../../config/examples/aliases.toml"),
        &[
            (
                "api_key gpt-5-codex",
                "rewritten gpt-5.3-codex@openai by pin gpt-5-codex",
            ),
            (
                "chatgpt team-default",
                "rewritten gpt-5.4@chatgpt by house default",
            ),
            (
                "chatgpt team-fast",
                "rewritten gpt-5.4-mini@chatgpt by house fast",
            ),
            (
                "chatgpt gpt-5.4/medium",
                "rewritten gpt-5.4@chatgpt by no efforts in ids",
            ),
            ("chatgpt gpt-5.4", "passed gpt-5.4@chatgpt"),
        ],
    );
}

#[test]
fn the_chains_of_november_stay_within_one_shape() {
    let text = include_str!("../../../../../config/examples/fallback-2026-11.toml");
    check_example(
        text,
        &[
            (
                "chatgpt gpt-6.2-sol",
                "passed gpt-6.2-sol@chatgpt then gpt-6.1-sol then gpt-6-sol then gpt-5.6-sol",
            ),
            (
                "chatgpt gpt-6-astra",
                "passed gpt-6-astra@chatgpt then gpt-6.1-sol then gpt-6-sol then gpt-5.6-sol",
            ),
            (
                "chatgpt gpt-6.1-sol",
                "passed gpt-6.1-sol@chatgpt then gpt-6-sol then gpt-5.6-sol",
            ),
            (
                "chatgpt gpt-6-luna",
                "passed gpt-6-luna@chatgpt then gpt-5.6-luna",
            ),
            ("chatgpt gpt-5.5", "passed gpt-5.5@chatgpt then gpt-5.4"),
        ],
    );
    let policy = clean("fallback-2026-11", text);
    let lite = |model: &ModelId| {
        catalog()
            .entry(model)
            .and_then(|entry| entry.lite.current().copied())
    };
    // Every model that the client lists and calls current has a chain.
    for entry in catalog().entries() {
        let plan = planned(&policy, &format!("chatgpt {}", entry.id), &NoMemory);
        if entry.standing.current() == Some(&crate::catalog::LifecycleStatus::Current) {
            assert!(!plan.rest.is_empty(), "{} has no chain", entry.id);
        }
        let shapes = plan.rest.iter().filter_map(|attempt| lite(&attempt.model));
        assert!(
            shapes
                .into_iter()
                .all(|shape| Some(shape) == lite(&entry.id)),
            "{}",
            entry.id
        );
    }
}

fn check_example(text: &str, rows: &[(&str, &str)]) {
    let policy = clean("example", text);
    for (request, expected) in rows {
        assert_eq!(decided(&policy, request, &NoMemory), *expected, "{request}");
    }
}

#[test]
fn the_page_about_models_names_every_verdict() {
    for failure in Failure::ANSWERS {
        assert!(
            MODELS_PAGE.contains(&format!("| `{failure}` |")),
            "{failure}"
        );
    }
}

#[test]
fn the_table_of_models_is_the_data() {
    let expected = table();
    let between = MODELS_PAGE
        .split_once("<!-- models: begin -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- models: end -->"));
    let found = between.map(|(found, _)| found).unwrap_or_default();
    assert!(found == expected, "docs/models.md should have:\n{expected}");
}

fn table() -> String {
    let mut text = "| model | capability | speed | CLI | app | cloud | credits | API | standing | endpoints | shape | succeeded by |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for entry in catalog().entries() {
        text = format!("{text}{}\n", line(entry));
    }
    text
}

fn line(entry: &ModelEntry) -> String {
    let level = |said: &Sourced<u8>| said.current().map(ToString::to_string).unwrap_or_default();
    let yes = |said: &Sourced<bool>| match said.current() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    let endpoints = entry.endpoints.current().map(|all| {
        let words: Vec<&str> = all.iter().copied().map(WireApi::as_str).collect();
        words.join(", ")
    });
    let shape = match entry.lite.current() {
        Some(true) => "lite",
        Some(false) => "plain",
        None => "",
    };
    let cells = [
        format!("`{}`", entry.id),
        level(&entry.capability),
        level(&entry.speed),
        yes(&entry.cli).to_owned(),
        yes(&entry.app).to_owned(),
        yes(&entry.cloud).to_owned(),
        yes(&entry.credits).to_owned(),
        yes(&entry.api).to_owned(),
        entry
            .standing
            .current()
            .map(|standing| standing.as_str().to_owned())
            .unwrap_or_default(),
        endpoints.unwrap_or_default(),
        shape.to_owned(),
        entry
            .successor
            .current()
            .map(|model| format!("`{model}`"))
            .unwrap_or_default(),
    ];
    let mut row = format!("| {} |", cells.join(" | "));
    while row.contains("|  |") {
        row = row.replace("|  |", "| |");
    }
    row
}
