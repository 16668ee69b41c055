//! The data directory: one process at a time, the instance's id, the admin token.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;

use crate::secret::Secret;

/// The file that keeps the admin token.
pub const ADMIN_TOKEN: &str = "admin-token";

/// An opened data directory. The lock is held as long as this lives.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "another codex-gateway is already serving from {0}; stop it first, or give this one a \
         directory of its own with --data-dir"
    )]
    Busy(PathBuf),
    #[error("cannot use the data directory {path}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl DataDir {
    /// Creates the directory if it is missing (mode 0700) and takes its lock.
    ///
    /// # Errors
    /// When another process holds the lock, or the directory cannot be used.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io {
            path: path.to_owned(),
            source,
        };
        ensure(path).map_err(io)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(io)?;
        if !lock.try_lock_exclusive().map_err(io)? {
            return Err(DataDirError::Busy(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id of this instance: made once, kept, since leftovers of a crash are recognised by it.
    ///
    /// # Errors
    /// When the file that keeps it cannot be read or written.
    pub fn instance(&self) -> Result<String, DataDirError> {
        self.kept("instance-id", || {
            Ok(uuid::Uuid::now_v7().simple().to_string())
        })
    }

    /// The admin token: made at the first start, readable by this user alone, never logged.
    ///
    /// # Errors
    /// When the file that keeps it cannot be read or written, or the system gives no random numbers.
    pub fn admin_token(&self) -> Result<Secret, DataDirError> {
        self.kept(ADMIN_TOKEN, random_token).map(Secret::new)
    }

    fn kept(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<String, std::io::Error>,
    ) -> Result<String, DataDirError> {
        let path = self.path.join(name);
        let io = |source| DataDirError::Io {
            path: path.clone(),
            source,
        };
        match File::open(&path) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(io)?;
                let text = text.trim().to_owned();
                if !text.is_empty() {
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
                        .map_err(io)?;
                    return Ok(text);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let text = make().map_err(io)?;
        replace(&path, &text).map_err(io)?;
        Ok(text)
    }
}

/// Creates the directory where it is missing, for this user alone.
///
/// # Errors
/// When it cannot be created.
pub fn ensure(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes one line to a file for this user alone. It is written beside and renamed: a crash leaves
/// the old file or the new one, never a part of it.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // One that a crash left behind may have another mode.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// 256 random bits in hexadecimal.
///
/// # Errors
/// When the system gives no random numbers.
pub fn random_token() -> Result<String, std::io::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_what_is_made_once_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::Busy(_))));
        let (instance, token) = (first.instance().unwrap(), first.admin_token().unwrap());
        assert_eq!(token.expose().len(), 64);
        let mode = std::fs::metadata(path.join("admin-token"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(first);
        let second = DataDir::open(&path).unwrap();
        assert_eq!(second.instance().unwrap(), instance);
        assert!(second.admin_token().unwrap() == token);
    }
}
