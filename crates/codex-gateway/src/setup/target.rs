//! Replaces a file of the user's: a link stays a link, owner and mode stay, and a crash leaves the
//! old file or the new one.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// A file that may be changed.
#[derive(Debug)]
pub struct Target {
    /// As the user calls it.
    pub path: PathBuf,
    /// What it contains; `None` where there is no file.
    pub text: Option<String>,
}

impl Target {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8.
    pub fn read(path: PathBuf) -> Result<Self, String> {
        let shown = path.display();
        let text =
            match std::fs::read(&path) {
                Ok(bytes) => Some(String::from_utf8(bytes).map_err(|_| {
                    format!("{shown} is not valid UTF-8; Codex cannot read it either")
                })?),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if std::fs::symlink_metadata(&path).is_ok() {
                        return Err(format!("{shown} is a link to a file that does not exist"));
                    }
                    None
                }
                Err(error) => return Err(format!("cannot read {shown}: {error}")),
            };
        Ok(Self { path, text })
    }

    /// The content, empty where there is no file.
    pub fn content(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Writes new content, unless the file has changed since it was read.
    ///
    /// # Errors
    /// When the file has changed, is read-only, or cannot be written.
    pub fn write(&self, text: &str) -> Result<(), String> {
        self.assert_unchanged()?;
        let real = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        match std::fs::metadata(&real) {
            Ok(old) if old.permissions().readonly() => {
                return Err(format!(
                    "{} is read-only. Something else may manage it; make it writable, or add the \
                     lines shown above there",
                    real.display()
                ));
            }
            Ok(_) | Err(_) => {}
        }
        replace(&real, text.as_bytes())
            .map_err(|error| format!("cannot write {}: {error}", real.display()))
    }

    /// Removes the file that a set-up created.
    ///
    /// # Errors
    /// When it has changed or cannot be removed.
    pub fn remove(&self) -> Result<(), String> {
        self.assert_unchanged()?;
        std::fs::remove_file(&self.path)
            .map_err(|error| format!("cannot remove {}: {error}", self.path.display()))
    }

    fn assert_unchanged(&self) -> Result<(), String> {
        let now = Self::read(self.path.clone())?;
        if now.text == self.text {
            return Ok(());
        }
        Err(format!(
            "{} has just changed; try again",
            self.path.display()
        ))
    }
}

/// Writes a file for this user alone, such as the copy of another.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = new_file(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", uuid::Uuid::now_v7().simple()));
    let beside = PathBuf::from(name);
    let written = write_like(&beside, path, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    written
}

fn write_like(new: &Path, old: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = new_file(new)?;
    if let Ok(old) = std::fs::metadata(old) {
        keep_owner(&file, &old)?;
        file.set_permissions(old.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn new_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn new_file(path: &Path) -> std::io::Result<std::fs::File> {
    OpenOptions::new().create_new(true).write(true).open(path)
}

/// An administrator may run the command for somebody else.
#[cfg(unix)]
fn keep_owner(file: &std::fs::File, old: &std::fs::Metadata) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &std::fs::File, _: &std::fs::Metadata) -> std::io::Result<()> {
    Ok(())
}
