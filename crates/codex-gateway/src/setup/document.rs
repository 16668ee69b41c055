//! Changes single values of a TOML text in place, so that every other byte stays: comments, order,
//! line ends, a byte order mark. Knows nothing of Codex.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

/// One change of a configuration. Values are TOML as it is written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Change {
    /// A value, by its path from the root.
    Set {
        path: Vec<String>,
        value: String,
        /// The value that stood there; `None` where there was none.
        was: Option<String>,
    },
    /// A table at the end of the file, by its path from the root.
    Table {
        path: Vec<String>,
        values: Vec<(String, String)>,
    },
}

/// Why a text cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("is not valid TOML")]
    Syntax(#[source] Box<toml::de::Error>),
    /// The file has a form into which a line cannot be inserted.
    #[error("`{0}` is written in a form that this command does not change")]
    Form(String),
}

/// What an undo leaves, in the words of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    pub text: String,
    /// What was removed or put back.
    pub done: Vec<String>,
    /// What somebody changed since, and what therefore stays.
    pub left: Vec<String>,
}

const MARK: &str = "\u{feff}";

/// Where a key and its value stand in a text.
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// The values of a text.
///
/// # Errors
/// When it is not valid TOML.
pub fn values(text: &str) -> Result<toml::Table, EditError> {
    toml::from_str(body(text)).map_err(syntax)
}

fn syntax(error: toml::de::Error) -> EditError {
    EditError::Syntax(Box::new(error))
}

fn body(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// The text of a string value, as TOML.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The value at a path, as it is written in the text.
///
/// # Errors
/// When the text is not valid TOML.
pub fn written(text: &str, path: &[String]) -> Result<Option<String>, EditError> {
    let place = find(text, path)?;
    Ok(place
        .and_then(|place| text.get(place.value))
        .map(str::to_owned))
}

/// Makes the changes.
///
/// # Errors
/// When the text is not valid TOML, or has a form into which a change does not fit. The text that
/// comes out differs from the one that went in by exactly these changes.
pub fn apply(text: &str, changes: &[Change]) -> Result<String, EditError> {
    let mut expected = values(text)?;
    let mut changed = text.to_owned();
    for change in changes {
        changed = match change {
            Change::Set { path, value, .. } => set(&changed, path, value)?,
            Change::Table { path, values } => append(&changed, path, values),
        };
        expect(&mut expected, change)?;
    }
    // An inline table, for one, cannot be extended by a header below it.
    match values(&changed) {
        Ok(real) if real == expected => Ok(changed),
        Ok(_) | Err(_) => Err(form(changes.last().map_or(&[], Change::path))),
    }
}

/// Takes the changes back in a text that may have been changed since. What does not stand there as
/// it was written stays.
///
/// # Errors
/// When the text is not valid TOML.
pub fn undo(text: &str, changes: &[Change]) -> Result<Undone, EditError> {
    values(text)?;
    let mut undone = Undone {
        text: text.to_owned(),
        done: Vec::new(),
        left: Vec::new(),
    };
    for change in changes.iter().rev() {
        match change {
            Change::Set { path, value, was } => undone.value(path, value, was.as_deref())?,
            Change::Table { path, values } => {
                for (key, value) in values {
                    let mut path = path.clone();
                    path.push(key.clone());
                    undone.value(&path, value, None)?;
                }
                undone.header(path);
            }
        }
    }
    values(&undone.text)?;
    Ok(undone)
}

impl Change {
    fn path(&self) -> &[String] {
        match self {
            Self::Set { path, .. } | Self::Table { path, .. } => path,
        }
    }
}

impl Undone {
    fn value(&mut self, path: &[String], value: &str, was: Option<&str>) -> Result<(), EditError> {
        let name = path.join(".");
        let Some(place) = find(&self.text, path)? else {
            return Ok(());
        };
        if self.text.get(place.value.clone()) != Some(value) {
            self.left.push(format!("`{name}`: it was changed since"));
            return Ok(());
        }
        if let Some(was) = was {
            self.text.replace_range(place.value, was);
            self.done.push(format!("put back `{name} = {was}`"));
            return Ok(());
        }
        let line = line_around(&self.text, &place);
        let rest = self.text.get(place.value.end..line.end).unwrap_or_default();
        let before = self
            .text
            .get(line.start..place.key.start)
            .unwrap_or_default();
        let is_whole = rest.trim().is_empty() || rest.trim_start().starts_with('#');
        if is_whole && before.trim().is_empty() {
            self.text.replace_range(line, "");
            self.done.push(format!("removed `{name} = {value}`"));
        } else {
            self.left
                .push(format!("`{name}`: it shares its line with something else"));
        }
        Ok(())
    }

    /// Removes the header of a table that has become empty, and the empty line above it.
    fn header(&mut self, path: &[String]) {
        let header = format!("[{}]", path.join("."));
        let mut start = 0;
        let lines: Vec<Range<usize>> = self
            .text
            .split_inclusive('\n')
            .map(|line| {
                let range = start..start + line.len();
                start = range.end;
                range
            })
            .collect();
        let line = |index: usize| {
            let range = lines.get(index)?.clone();
            self.text.get(range).map(str::trim)
        };
        let Some(at) = (0..lines.len()).find(|index| line(*index) == Some(header.as_str())) else {
            return;
        };
        let is_empty = line(at + 1).is_none_or(|next| next.is_empty() || next.starts_with('['));
        if !is_empty {
            self.left.push(format!("`{header}`: it has other lines"));
            return;
        }
        let above = at.checked_sub(1).filter(|above| line(*above) == Some(""));
        let from = above.unwrap_or(at);
        if let (Some(first), Some(last)) = (lines.get(from), lines.get(at)) {
            self.text.replace_range(first.start..last.end, "");
            self.done.push(format!("removed `{header}`"));
        }
    }
}

/// Where a path stands; `None` where it does not.
fn find(text: &str, path: &[String]) -> Result<Option<Place>, EditError> {
    let offset = text.len() - body(text).len();
    let root = DeTable::parse(body(text)).map_err(syntax)?;
    let mut table = root.get_ref();
    let Some((last, parents)) = path.split_last() else {
        return Ok(None);
    };
    for name in parents {
        let found = table.iter().find(|(key, _)| key.get_ref() == name);
        match found.map(|(_, value)| value.get_ref()) {
            Some(DeValue::Table(inner)) => table = inner,
            Some(_) | None => return Ok(None),
        }
    }
    let found = table.iter().find(|(key, _)| key.get_ref() == last);
    Ok(found.map(|(key, value)| Place {
        key: shifted(&key.span(), offset),
        value: shifted(&value.span(), offset),
    }))
}

fn shifted(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn set(text: &str, path: &[String], value: &str) -> Result<String, EditError> {
    let mut changed = text.to_owned();
    if let Some(place) = find(text, path)? {
        changed.replace_range(place.value, value);
        return Ok(changed);
    }
    let Some((key, parents)) = path.split_last() else {
        return Err(form(path));
    };
    let at = if parents.is_empty() {
        root_start(text)
    } else {
        behind_header(text, parents).ok_or_else(|| form(path))?
    };
    let (end, mut line) = (line_end(text), format!("{key} = {value}"));
    let is_cut = at > 0 && at == text.len() && !text.ends_with('\n') && !text.ends_with(MARK);
    if is_cut {
        line.insert_str(0, end);
    } else {
        line.push_str(end);
    }
    changed.insert_str(at, &line);
    Ok(changed)
}

/// Behind what must stand first: the byte order mark and directives for editors (`#:schema …`).
fn root_start(text: &str) -> usize {
    let mut at = text.len() - body(text).len();
    for line in body(text).split_inclusive('\n') {
        if !line.starts_with("#:") {
            break;
        }
        at += line.len();
    }
    at
}

/// Behind the line of a table's header, if the table has one.
fn behind_header(text: &str, path: &[String]) -> Option<usize> {
    let header = format!("[{}]", path.join("."));
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        at += line.len();
        let code = line.split('#').next().unwrap_or_default();
        let code: String = code
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        if code.trim_start_matches(MARK) == header {
            return Some(at);
        }
    }
    None
}

fn append(text: &str, path: &[String], values: &[(String, String)]) -> String {
    let end = line_end(text);
    let mut changed = text.to_owned();
    if !body(text).is_empty() {
        if !text.ends_with('\n') {
            changed.push_str(end);
        }
        changed.push_str(end);
    }
    changed.extend(["[", &path.join("."), "]", end]);
    for (key, value) in values {
        changed.extend([key, " = ", value, end]);
    }
    changed
}

/// The line end that the text uses.
fn line_end(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((first, _)) if first.ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

/// The whole line of a place, its end included.
fn line_around(text: &str, place: &Place) -> Range<usize> {
    let before = text.get(..place.key.start).unwrap_or_default();
    let behind = text.get(place.value.end..).unwrap_or_default();
    let mark = text.len() - body(text).len();
    let start = before.rfind('\n').map_or(mark, |at| at + 1);
    let end = behind
        .find('\n')
        .map_or(text.len(), |at| place.value.end + at + 1);
    start..end
}

/// Makes the change in the values, to compare them with what the changed text says.
fn expect(values: &mut toml::Table, change: &Change) -> Result<(), EditError> {
    match change {
        Change::Set { path, value, .. } => put(values, path, value),
        Change::Table { path, values: new } => new.iter().try_for_each(|(key, value)| {
            let mut path = path.clone();
            path.push(key.clone());
            put(values, &path, value)
        }),
    }
}

fn put(mut table: &mut toml::Table, path: &[String], value: &str) -> Result<(), EditError> {
    let Some((last, parents)) = path.split_last() else {
        return Err(form(path));
    };
    for name in parents {
        let entry = table.entry(name.clone());
        let inner = entry.or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = inner.as_table_mut().ok_or_else(|| form(path))?;
    }
    let parsed: toml::Table = toml::from_str(&format!("value = {value}")).map_err(syntax)?;
    for (_, value) in parsed {
        table.insert(last.clone(), value);
    }
    Ok(())
}

fn form(path: &[String]) -> EditError {
    EditError::Form(path.join("."))
}

#[cfg(test)]
mod tests;
