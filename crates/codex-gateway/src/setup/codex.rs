//! Prepares a change of Codex's configuration, for a person to see first; then makes it, or takes an
//! earlier one back.

use std::path::Path;

use super::diff::changed_lines;
use super::document::{self, Change, EditError};
use super::plan::{Plan, Wish, plan};
use super::record::{Record, Records, backup_name, digest};
use super::target::{Target, write_private};
use crate::codex_home::CodexHome;

/// A change that has not been made yet.
#[derive(Debug)]
pub struct Prepared {
    target: Target,
    /// The file before any change of this command.
    original: Option<String>,
    text: String,
    changes: Vec<Change>,
    name: String,
    pub notes: Vec<String>,
}

/// An earlier change that is to be taken back.
#[derive(Debug)]
pub struct Restoration {
    target: Target,
    /// `None`: the file is removed, since there was none.
    text: Option<String>,
    name: String,
    /// Whether the file becomes what it was, byte for byte.
    pub is_exact: bool,
    /// What is removed or put back, where the file was changed since.
    pub done: Vec<String>,
    /// What stays, because it was changed since.
    pub left: Vec<String>,
}

/// Works out what to change.
///
/// # Errors
/// When the file cannot be read or changed, or the change would not do what is wanted.
pub fn prepare(home: &CodexHome, profile: Option<&str>, wish: &Wish) -> Result<Prepared, String> {
    let target = Target::read(home.config_file(profile))?;
    let name = file_name(&target.path);
    let original = match Records::read(home.dir())?.files.get(&name) {
        Some(record) => undone(home, &target, record)?.0,
        None => target.text.clone(),
    };
    let text = original.as_deref().unwrap_or_default();
    let explain = |error: EditError| explain(&target.path, text, &error);
    let values = document::values(text).map_err(explain)?;
    let below = match profile {
        Some(_) => {
            let below = Target::read(home.config_file(None))?;
            document::values(below.content())
                .map_err(|error| self::explain(&below.path, below.content(), &error))?
        }
        None => toml::Table::new(),
    };
    let Plan { changes, notes } = plan(&values, &below, wish)?;
    let mut filled = Vec::new();
    for change in changes {
        filled.push(match change {
            Change::Set { path, value, .. } => {
                let was = document::written(text, &path).map_err(explain)?;
                Change::Set { path, value, was }
            }
            table @ Change::Table { .. } => table,
        });
    }
    filled.retain(
        |change| !matches!(change, Change::Set { value, was, .. } if was.as_ref() == Some(value)),
    );
    let changed = document::apply(text, &filled).map_err(explain)?;
    Ok(Prepared {
        text: changed,
        original,
        changes: filled,
        name,
        notes,
        target,
    })
}

impl Prepared {
    /// The file that changes.
    pub fn path(&self) -> &Path {
        &self.target.path
    }

    /// Whether the file already says all of it.
    pub fn is_done(&self) -> bool {
        self.target.text.as_deref() == Some(self.text.as_str())
    }

    /// The lines that change.
    pub fn diff(&self) -> String {
        changed_lines(self.target.content(), &self.text)
    }

    /// Makes the change; answers the name of the copy of the file before, if there was one.
    ///
    /// # Errors
    /// When something cannot be written; the file is unchanged then.
    pub fn write(&self, home: &CodexHome) -> Result<Option<String>, String> {
        let dir = home.dir();
        make_private(dir).map_err(|error| format!("cannot create {}: {error}", dir.display()))?;
        let mut records = Records::read(dir)?;
        let before = records.files.get(&self.name).cloned();
        let backup = self.original.as_ref().map(|_| backup_name(&self.name));
        if let (Some(text), Some(backup)) = (&self.original, &backup) {
            keep(&dir.join(backup), text.as_bytes())?;
        }
        let record = Record {
            backup: backup.clone(),
            sha256: digest(self.text.as_bytes()),
            changes: self.changes.clone(),
        };
        records.files.insert(self.name.clone(), record);
        store(dir, &records)?;
        if let Err(why) = self.target.write(&self.text) {
            match before {
                Some(before) => drop(records.files.insert(self.name.clone(), before)),
                None => drop(records.files.remove(&self.name)),
            }
            store(dir, &records)?;
            if let (None, Some(backup)) = (records.files.get(&self.name), &backup) {
                drop(std::fs::remove_file(dir.join(backup)));
            }
            return Err(why);
        }
        Ok(backup)
    }
}

/// Works out how to take back what was written, in all files or in a profile's.
///
/// # Errors
/// When a file cannot be read, or is no longer TOML.
pub fn prepare_restore(
    home: &CodexHome,
    profile: Option<&str>,
) -> Result<Vec<Restoration>, String> {
    let wanted = profile.map(|profile| file_name(&home.config_file(Some(profile))));
    let mut found = Vec::new();
    for (name, record) in Records::read(home.dir())?.files {
        if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let target = Target::read(home.dir().join(&name))?;
        let (text, undone) = undone(home, &target, &record)?;
        let (done, left) = undone.map_or_else(Default::default, |it| (it.done, it.left));
        found.push(Restoration {
            is_exact: done.is_empty() && left.is_empty(),
            target,
            text,
            name,
            done,
            left,
        });
    }
    Ok(found)
}

impl Restoration {
    /// The file that changes.
    pub fn path(&self) -> &Path {
        &self.target.path
    }

    /// The lines that change.
    pub fn diff(&self) -> String {
        changed_lines(
            self.target.content(),
            self.text.as_deref().unwrap_or_default(),
        )
    }

    /// Takes the change back, and forgets it.
    ///
    /// # Errors
    /// When something cannot be written; the file is unchanged then.
    pub fn write(&self, home: &CodexHome) -> Result<(), String> {
        match (&self.text, &self.target.text) {
            (Some(text), Some(old)) if text != old => self.target.write(text)?,
            (None, Some(_)) => self.target.remove()?,
            (Some(_) | None, _) => {}
        }
        let dir = home.dir();
        let mut records = Records::read(dir)?;
        let record = records.files.remove(&self.name);
        if records.files.is_empty() {
            let path = Records::path(dir);
            std::fs::remove_file(&path)
                .map_err(|error| format!("cannot remove {}: {error}", path.display()))?;
        } else {
            store(dir, &records)?;
        }
        if let Some(backup) = record.and_then(|record| record.backup) {
            drop(std::fs::remove_file(dir.join(backup)));
        }
        Ok(())
    }
}

type Undone = (Option<String>, Option<document::Undone>);

/// The file without what was written: the copy where nothing else was changed, else without our
/// lines.
fn undone(home: &CodexHome, target: &Target, record: &Record) -> Result<Undone, String> {
    let Some(text) = &target.text else {
        return Ok((None, None));
    };
    if digest(text.as_bytes()) == record.sha256 {
        match &record.backup {
            None => return Ok((None, None)),
            Some(backup) => {
                if let Ok(copy) = std::fs::read_to_string(home.dir().join(backup)) {
                    return Ok((Some(copy), None));
                }
            }
        }
    }
    let undone = document::undo(text, &record.changes)
        .map_err(|error| explain(&target.path, text, &error))?;
    let is_ours = record.backup.is_none() && undone.text.trim().is_empty();
    Ok(((!is_ours).then(|| undone.text.clone()), Some(undone)))
}

/// The problem with its line, since the user has to mend it.
fn explain(path: &Path, text: &str, error: &EditError) -> String {
    let shown = path.display();
    match error {
        EditError::Syntax(source) => {
            let at = source.span().map_or(0, |span| span.start);
            let body = text.trim_start_matches('\u{feff}');
            let line = body.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            format!(
                "{shown} is not valid TOML (line {line}: {}), so Codex cannot read it either. Mend \
                 it first; nothing was written",
                source.message()
            )
        }
        EditError::Form(_) => {
            format!(
                "{shown}: {error}. Add the lines that `--print` shows by hand; nothing was written"
            )
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn store(dir: &Path, records: &Records) -> Result<(), String> {
    if records.files.is_empty() {
        drop(std::fs::remove_file(Records::path(dir)));
        return Ok(());
    }
    let text = records.to_json().map_err(|error| error.to_string())?;
    keep(&Records::path(dir), text.as_bytes())
}

fn keep(path: &Path, bytes: &[u8]) -> Result<(), String> {
    write_private(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(unix)]
fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

#[cfg(not(unix))]
fn make_private(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)
}

#[cfg(test)]
mod tests;
