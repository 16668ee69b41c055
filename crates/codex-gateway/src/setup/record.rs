//! What a set-up wrote, kept beside Codex's configuration until it is undone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::document::Change;

/// The file in Codex's home.
const FILE: &str = "codex-gateway-setup.json";

/// What was written into each file, by its name in Codex's home.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Records {
    pub files: BTreeMap<String, Record>,
}

/// What was written into one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The copy of the file before, by its name beside it; `None` where there was no file.
    pub backup: Option<String>,
    /// Of the file as it was written.
    pub sha256: String,
    pub changes: Vec<Change>,
}

impl Records {
    /// What is kept in a home; nothing where nothing was written.
    ///
    /// # Errors
    /// When the file cannot be read or understood.
    pub fn read(home: &Path) -> Result<Self, String> {
        let path = home.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| format!("cannot read {}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// Where it is kept.
    pub fn path(home: &Path) -> PathBuf {
        home.join(FILE)
    }

    /// As it is written.
    ///
    /// # Errors
    /// Never for these types.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

/// The name of the copy of a file.
pub fn backup_name(file: &str) -> String {
    format!("{file}.before-codex-gateway")
}

/// Names a content.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
