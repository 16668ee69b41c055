//! A directory that goes with its owner.

use std::path::{Path, PathBuf};

use crate::data_dir;

/// A directory for this user alone, removed with all that is in it at the end.
#[derive(Debug)]
pub struct TemporaryDir(PathBuf);

impl TemporaryDir {
    /// Creates one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(purpose: &str) -> std::io::Result<Self> {
        let name = format!("codex-gateway-{purpose}-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        data_dir::ensure(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
