//! A Codex catalogue: the operator's file, checked, and the list of entries that a picker shows.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use gateway_policy::ModelId;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::codex_catalog::entries;
use crate::secret::digest;

const HIDE: &[u8] = br#""hide""#;

/// An operator's Codex catalogue, checked.
#[derive(Debug, Clone)]
pub struct CatalogFile {
    pub text: Bytes,
    pub etag: HeaderValue,
    pub listed: Listed,
}

/// Keys without which Codex drops the whole answer.
const REQUIRED: [&str; 10] = [
    "slug",
    "display_name",
    "supported_reasoning_levels",
    "shell_type",
    "visibility",
    "supported_in_api",
    "priority",
    "support_verbosity",
    "truncation_policy",
    "experimental_supported_tools",
];

impl CatalogFile {
    /// Reads and checks a file as `codex debug models --bundled` prints it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The same with the operator's entries behind those of the file.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn with_entries(self, entries: &[Value]) -> Result<Self, String> {
        if entries.is_empty() {
            return Ok(self);
        }
        let text = entries::merged(&self.text, entries).ok_or("no `models` list")?;
        Ok(Self::of(text))
    }

    /// The operator's entries alone; `None` when there are none.
    pub fn of_entries(entries: &[Value]) -> Option<Self> {
        let body = json!({"models": entries, "object": "list", "data": []}).to_string();
        (!entries.is_empty()).then(|| Self::of(Bytes::from(body)))
    }

    fn of(text: Bytes) -> Self {
        Self {
            etag: etag_of(&text),
            listed: Listed::read(&text).unwrap_or_default(),
            text,
        }
    }

    /// Checks the text of a catalogue.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let models = value
            .get("models")
            .and_then(Value::as_array)
            .ok_or("no `models` list")?;
        for (at, model) in models.iter().enumerate() {
            let slug = model
                .get("slug")
                .and_then(Value::as_str)
                .ok_or_else(|| format!("entry {at} has no `slug`"))?;
            if let Some(missing) = REQUIRED.iter().find(|key| model.get(**key).is_none()) {
                return Err(format!(
                    "`{slug}` lacks `{missing}`; Codex ignores the whole catalogue if it is missing"
                ));
            }
            if model.get("base_instructions").is_none() && model.get("model_messages").is_none() {
                return Err(format!(
                    "`{slug}` has neither `base_instructions` nor `model_messages`"
                ));
            }
        }
        Ok(Self::of(Bytes::from(text.to_owned())))
    }
}

/// The etag of these bytes.
pub fn etag_of(text: &[u8]) -> HeaderValue {
    let etag = format!("\"{}\"", digest(text));
    HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"models\""))
}

/// The entries of a catalogue that show themselves in pickers.
#[derive(Debug, Clone, Default)]
pub struct Listed(Vec<ListedEntry>);

#[derive(Debug, Clone)]
struct ListedEntry {
    model: ModelId,
    /// The value of `visibility`, in bytes of the catalogue's text.
    visibility: Range<usize>,
}

impl Listed {
    /// Finds them. `None` when the text is no catalogue; an entry that cannot be read is left
    /// alone.
    pub fn read(text: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Catalogue<'a> {
            #[serde(borrow)]
            models: Vec<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct EntryFields<'a> {
            #[serde(borrow)]
            slug: Cow<'a, str>,
            #[serde(borrow)]
            visibility: &'a RawValue,
        }
        let text = std::str::from_utf8(text).ok()?;
        let catalogue: Catalogue<'_> = serde_json::from_str(text).ok()?;
        let listed = catalogue.models.into_iter().filter_map(|entry| {
            let shown: EntryFields<'_> = serde_json::from_str(entry.get()).ok()?;
            let word: Cow<'_, str> = serde_json::from_str(shown.visibility.get()).ok()?;
            let value = shown.visibility.get();
            let start = value.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
            (word == "list").then_some(ListedEntry {
                model: ModelId::new(&shown.slug).ok()?,
                visibility: start..start + value.len(),
            })
        });
        Some(Self(listed.collect()))
    }

    /// Their models.
    pub fn models(&self) -> impl Iterator<Item = &ModelId> {
        self.0.iter().map(|entry| &entry.model)
    }

    /// The text with these models hidden; every other byte stays.
    pub fn hide(&self, text: &Bytes, hidden: &[ModelId]) -> Bytes {
        let mut out = BytesMut::with_capacity(text.len());
        let mut copied = 0;
        for entry in self.0.iter().filter(|entry| hidden.contains(&entry.model)) {
            let Some(before) = text.get(copied..entry.visibility.start) else {
                return text.clone();
            };
            out.extend_from_slice(before);
            out.extend_from_slice(HIDE);
            copied = entry.visibility.end;
        }
        out.extend_from_slice(text.get(copied..).unwrap_or_default());
        out.freeze()
    }
}
