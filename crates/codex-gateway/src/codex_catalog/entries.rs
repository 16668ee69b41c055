//! Catalogue entries for models that Codex does not know: declared by the operator, with a short
//! neutral prompt of our own and plain tools. Never writes an entry for a model that a real
//! catalogue has: Codex would take it for its own, the prompt included.

use std::path::Path;

use bytes::Bytes;
use gateway_policy::problem::{Problem, did_you_mean};
use gateway_policy::{Catalog, ModelId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use serde_spanned::Spanned;

/// `[[catalog.entries]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntrySpec {
    /// The id that Codex asks for, and requests name.
    pub model: Spanned<String>,
    /// The name in Codex's list; the id without.
    pub name: Option<String>,
    /// Tokens that fit; known models have theirs from the models table.
    pub context_window: Option<Spanned<u64>>,
    /// Reasoning efforts to choose from; none without.
    pub efforts: Option<Spanned<Vec<String>>>,
    /// Whether it takes images.
    pub images: Option<bool>,
    /// A file with a prompt to use in the place of ours.
    pub instructions: Option<Spanned<String>>,
}

/// What Codex understands as an effort.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// Entries come after everything that a real catalogue has.
const FIRST_PRIORITY: usize = 1000;
/// Assumed where nobody says how much fits: small enough that Codex compacts in time.
const CONTEXT_WINDOW: u64 = 64_000;

/// The prompt of models that bring none of their own.
const INSTRUCTIONS: &str = "You are a coding agent that works in a user's terminal, inside the directory that the user started you in.

How to work:
- Find out before you answer: list, search and read files with the command tool. Prefer `rg` for searching.
- Do what was asked, completely, and nothing else. Keep the style of the code around you.
- Change files with `apply_patch`. A patch begins with the line `*** Begin Patch` and ends with `*** End Patch`. Between them, \
`*** Add File: path` is followed by lines that begin with `+`; `*** Delete File: path` stands alone; `*** Update File: path` is followed \
by hunks, each beginning with `@@`, in which lines begin with a space (kept), `-` (removed) or `+` (added). Paths are relative.
- After a change, run the tests or the program when that is possible, and look at what they say.
- Never undo changes that you did not make. Ask before anything that cannot be undone.
- When a command fails, read its output and try to understand it before trying again.

How to answer: shortly and plainly, in the user's language. Name files with their paths. Say what you did and what you could not do; never \
claim that something works which you did not see working.";

/// Checks the entries and writes them as Codex reads them.
pub fn compile(
    specs: &[EntrySpec],
    catalog: &Catalog,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Vec<Value> {
    let mut entries: Vec<Value> = Vec::new();
    for spec in specs {
        let id = match ModelId::new(spec.model.get_ref()) {
            Ok(id) => id,
            Err(error) => {
                problems.push(Problem::error(spec.model.span(), error.to_string()));
                continue;
            }
        };
        if entries.iter().any(|entry| entry["slug"] == id.as_str()) {
            problems.push(Problem::error(
                spec.model.span(),
                format!("a second catalogue entry for `{id}`"),
            ));
        }
        let instructions = instructions(spec, base, problems);
        check_values(spec, problems);
        entries.push(entry(spec, &id, catalog, &instructions, entries.len()));
    }
    entries
}

fn instructions(spec: &EntrySpec, base: &Path, problems: &mut Vec<Problem>) -> String {
    let Some(file) = &spec.instructions else {
        return INSTRUCTIONS.to_owned();
    };
    let path = base.join(file.get_ref());
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) => {
            problems.push(
                Problem::error(file.span(), "this prompt is empty").with_hint(
                    "without instructions, Codex sends no system prompt at all; omit the key to \
                     use the built-in prompt"
                        .to_owned(),
                ),
            );
            String::new()
        }
        Err(error) => {
            problems.push(Problem::error(
                file.span(),
                format!("cannot read the prompt {}: {error}", path.display()),
            ));
            String::new()
        }
    }
}

fn check_values(spec: &EntrySpec, problems: &mut Vec<Problem>) {
    for effort in spec.efforts.iter().flat_map(Spanned::get_ref) {
        if !EFFORTS.contains(&effort.as_str()) {
            problems.push(
                Problem::error(
                    spec.efforts.as_ref().map(Spanned::span),
                    format!("unknown effort `{effort}`"),
                )
                .with_hint(
                    did_you_mean(effort, EFFORTS)
                        .unwrap_or_else(|| format!("one of {}", EFFORTS.join(", "))),
                ),
            );
        }
    }
    if let Some(window) = &spec.context_window
        && *window.get_ref() < 1000
    {
        problems.push(
            Problem::error(window.span(), "too few tokens for a turn")
                .with_hint("such as `128000`".to_owned()),
        );
    }
}

fn entry(spec: &EntrySpec, id: &ModelId, catalog: &Catalog, prompt: &str, at: usize) -> Value {
    let card = catalog.entry(id);
    let known_name = card.and_then(|card| card.name.current().cloned());
    let name = spec.name.clone().or(known_name);
    let window = spec.context_window.as_ref().map(|window| *window.get_ref());
    let window = window
        .or_else(|| card.and_then(|card| card.context.current().copied()))
        .unwrap_or(CONTEXT_WINDOW);
    let efforts = spec
        .efforts
        .as_ref()
        .map(|efforts| efforts.get_ref().clone());
    let efforts = efforts
        .or_else(|| card.and_then(|card| card.efforts.current().cloned()))
        .unwrap_or_default();
    let levels: Vec<Value> = efforts
        .iter()
        .map(|effort| json!({"effort": effort, "description": effort}))
        .collect();
    let has_images = spec
        .images
        .or_else(|| card.and_then(|card| card.images.current().copied()))
        .unwrap_or(false);
    let modalities: &[&str] = if has_images {
        &["text", "image"]
    } else {
        &["text"]
    };
    let default_effort = efforts
        .iter()
        .find(|effort| *effort == "medium")
        .or(efforts.first());
    json!({
        "slug": id.as_str(),
        "display_name": name.as_deref().unwrap_or(id.as_str()),
        "description": null,
        "default_reasoning_level": default_effort,
        "supported_reasoning_levels": levels,
        "shell_type": "unified_exec",
        "apply_patch_tool_type": "freeform",
        "visibility": "list",
        "supported_in_api": true,
        "priority": FIRST_PRIORITY + at,
        "support_verbosity": false,
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "context_window": window,
        "max_context_window": window,
        "experimental_supported_tools": [],
        "input_modalities": modalities,
        "supports_search_tool": false,
        // Clients of last summer drop the whole answer without these two.
        "supports_reasoning_summaries": !levels.is_empty(),
        "supports_parallel_tool_calls": true,
        "base_instructions": prompt,
    })
}

/// A catalogue with our entries behind its own, whose bytes stay; `None` when it is no catalogue. A
/// model that it has stays as it has it.
pub fn merged(catalogue: &Bytes, entries: &[Value]) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(borrow)]
        models: &'a RawValue,
    }
    #[derive(Deserialize)]
    struct Known {
        #[serde(default)]
        slug: Value,
    }
    let outline: Outline<'_> = serde_json::from_slice(catalogue).ok()?;
    let list = outline.models.get();
    let known: Vec<Known> = serde_json::from_str(list).ok()?;
    let mut added = String::new();
    for entry in entries {
        if known
            .iter()
            .any(|known| Some(&known.slug) == entry.get("slug"))
        {
            continue;
        }
        if !(known.is_empty() && added.is_empty()) {
            added.push(',');
        }
        added.push_str(&entry.to_string());
    }
    if added.is_empty() {
        return Some(catalogue.clone());
    }
    let start = list
        .as_ptr()
        .addr()
        .checked_sub(catalogue.as_ptr().addr())?;
    // The list ends with its bracket.
    let (before, after) = catalogue.split_at_checked(start + list.len() - 1)?;
    Some([before, added.as_bytes(), after].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        entries: Vec<EntrySpec>,
    }

    const MODELS: &str = include_str!("../../../../config/models.toml");

    fn compiled(text: &str) -> (Vec<Value>, Vec<String>) {
        let file: File = toml::from_str(text).unwrap();
        let catalog = Catalog::read(MODELS).unwrap();
        let mut problems = Vec::new();
        let entries = compile(
            &file.entries,
            &catalog,
            Path::new("/nowhere"),
            &mut problems,
        );
        let told = problems
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        (entries, told)
    }

    #[test]
    fn an_entry_has_what_codex_asks_for() {
        let text = "[[entries]]\nmodel = \"deepseek-chat\"\ncontext_window = 128000\nefforts = [\"low\", \"high\"]";
        let (entries, problems) = compiled(text);
        assert_eq!(problems, Vec::<String>::new());
        let catalogue = json!({ "models": entries }).to_string();
        crate::codex_catalog::file::CatalogFile::parse(&catalogue).unwrap();
        assert_eq!(entries[0]["context_window"], 128_000);
        assert_eq!(entries[0]["default_reasoning_level"], "low");
        assert_eq!(entries[0]["input_modalities"], json!(["text"]));
        assert!(entries[0]["base_instructions"].as_str().unwrap().len() > 500);
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_said() {
        for (lines, expected) in [
            (
                "model = \"a\"\nefforts = [\"hihg\"]",
                "unknown effort `hihg`",
            ),
            (
                "model = \"a\"\ncontext_window = 10",
                "too few tokens for a turn",
            ),
            (
                "model = \"a\"\ninstructions = \"gone.md\"",
                "cannot read the prompt /nowhere/gone.md: No such file or directory (os error 2)",
            ),
        ] {
            let (_, problems) = compiled(&format!("[[entries]]\n{lines}\n"));
            assert_eq!(problems, [expected], "{lines}");
        }
        let twice = "[[entries]]\nmodel = \"a\"\n[[entries]]\nmodel = \"a\"\n";
        assert_eq!(compiled(twice).1, ["a second catalogue entry for `a`"]);
    }

    #[test]
    fn a_real_entry_is_never_replaced() {
        let ours = [json!({"slug": "a", "x": 3}), json!({"slug": "b"})];
        for (real, expected) in [
            (
                r#"{ "z":1.0e3,"models" : [ {"slug":"\u0061", "x":1} ],"y":2}"#,
                r#"{ "z":1.0e3,"models" : [ {"slug":"\u0061", "x":1} ,{"slug":"b"}],"y":2}"#,
            ),
            (
                r#"{"models":[{"slug":"b"},{"slug":"a"}] }"#,
                r#"{"models":[{"slug":"b"},{"slug":"a"}] }"#,
            ),
            (
                r#"{"models":[]}"#,
                r#"{"models":[{"slug":"a","x":3},{"slug":"b"}]}"#,
            ),
        ] {
            let merged = merged(&Bytes::from_static(real.as_bytes()), &ours).unwrap();
            assert_eq!(merged, expected, "every byte of the real one stays");
        }
        for no_catalogue in ["[]", r#"{"models":{}}"#, r#"{"models":null}"#] {
            assert!(merged(&Bytes::from_static(no_catalogue.as_bytes()), &ours).is_none());
        }
    }
}
