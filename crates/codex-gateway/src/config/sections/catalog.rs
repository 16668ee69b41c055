//! `[catalog]`: what is said about models, and the list of models that Codex gets.

use std::path::{Path, PathBuf};

use gateway_policy::Catalog;
use gateway_policy::problem::Problem;
use serde::Deserialize;
use serde_spanned::Spanned;

use crate::codex_catalog::entries::{self, EntrySpec};
use crate::codex_catalog::file::CatalogFile;
use crate::config::key::Key;
use crate::config::other_file::OtherFile;
use crate::config::source::Context;

/// The built-in statements about models.
const BUILTIN_MODELS: &str = include_str!("../../../../../config/models.toml");

/// When a change of each key takes effect.
pub const KEYS: &[Key<CatalogSettings>] = &[
    Key::now("file"),
    Key::now("models"),
    Key::now("entries"),
    Key::now("entries.model"),
    Key::now("entries.name"),
    Key::now("entries.context_window"),
    Key::now("entries.efforts"),
    Key::now("entries.images"),
    Key::now("entries.instructions"),
];

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogSpec {
    pub file: Option<Spanned<String>>,
    pub models: Option<Spanned<String>>,
    pub entries: Vec<EntrySpec>,
}

/// The checked values.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogSettings {
    /// The operator's Codex catalogue.
    pub file: Option<PathBuf>,
    /// Codex catalogue entries of models that only the operator knows.
    pub entries: Vec<serde_json::Value>,
}

/// Checks the table. The second value is what the policy knows about models; `None` when even the
/// built-in statements cannot be used.
pub fn compile(
    spec: &CatalogSpec,
    context: Context<'_>,
    problems: &mut Vec<Problem>,
) -> Option<(CatalogSettings, Catalog)> {
    let file = spec
        .file
        .as_ref()
        .map(|file| codex_catalog(file, context.base, problems));
    let models = models(spec.models.as_ref(), context.base, problems)?;
    let entries = entries::compile(&spec.entries, &models, context.base, problems);
    Some((CatalogSettings { file, entries }, models))
}

/// Reads the catalogue once, so that a broken one is found before the start.
fn codex_catalog(spec: &Spanned<String>, base: &Path, problems: &mut Vec<Problem>) -> PathBuf {
    let path = base.join(spec.get_ref());
    if let Err(error) = CatalogFile::read(&path) {
        problems.push(
            Problem::error(
                spec.span(),
                format!("the catalogue file cannot be used: {error}"),
            )
            .with_hint(
                "`codex debug models --bundled` prints a catalogue in the right format".to_owned(),
            ),
        );
    }
    path
}

/// The built-in statements with the operator's over them. A broken file is reported; the other
/// checks go on without it.
fn models(
    spec: Option<&Spanned<String>>,
    base: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Catalog> {
    // A test keeps the built-in table free of problems.
    let Ok(built_in) = Catalog::read(BUILTIN_MODELS) else {
        problems.push(Problem::error(None, "the built-in models table is broken"));
        return None;
    };
    let file = spec.and_then(|spec| OtherFile::read(spec, base, "models file", problems));
    let Some(file) = file else {
        return Some(built_in);
    };
    match built_in.overlay(&file.text) {
        Ok(overlaid) => Some(overlaid),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| file.locate(problem)));
            Some(built_in)
        }
    }
}
