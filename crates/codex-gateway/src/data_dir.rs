//! The data directory: one process at a time, the instance's id, the admin token.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use fs4::fs_std::FileExt as _;

use crate::secret::Secret;

/// The file that keeps the admin token.
pub const ADMIN_TOKEN: &str = "admin-token";
/// The file in which a running server notes the [`stamp`] of the token's file that it has read.
pub const ADMIN_TOKEN_READ: &str = "admin-token.read";
/// The file whose lock a running server holds.
const LOCK: &str = "lock";

/// An opened data directory. The lock is held as long as this lives.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "another codex-gateway is already serving from {0}; stop it first, or give this one its \
         own directory with --data-dir"
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
            .open(path.join(LOCK))
            .map_err(io)?;
        if !lock.try_lock_exclusive().map_err(io)? {
            return Err(DataDirError::Busy(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Whether other users may change what is in it: a directory that existed keeps its mode.
    pub fn is_writable_by_others(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|dir| dir.permissions().mode() & 0o022 != 0)
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
            Err(error) if error.kind() == ErrorKind::NotFound => {}
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

/// Writes one line to a file. A file that exists keeps its owner and mode; a new one gets the owner
/// of its directory, and is for that user alone. The line is written beside and renamed: a crash
/// leaves the old file or the new one, never a part of it.
///
/// # Errors
/// When it cannot be written, or this user may not give the file to its owner.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays a link.
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // One that a crash left behind may have another mode.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = write_new(&beside, path, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    written
}

/// Writes a file that is to take the place of another.
fn write_new(new: &Path, old: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(new)?;
    let made = file.metadata()?;
    let (owner, mode) = match (std::fs::metadata(old), old.parent()) {
        (Ok(old), _) => (old.clone(), old.permissions()),
        (Err(_), Some(dir)) => (std::fs::metadata(dir)?, made.permissions()),
        (Err(_), None) => (made.clone(), made.permissions()),
    };
    if owner.uid() != made.uid() {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    } else if owner.is_file() && owner.gid() != made.gid() {
        fchown(&file, None, Some(owner.gid()))?;
    }
    file.set_permissions(mode)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Names the present contents of a file without saying what they are.
///
/// # Errors
/// When there is no such file.
pub fn stamp(path: &Path) -> std::io::Result<String> {
    let file = std::fs::metadata(path)?;
    Ok(format!(
        "{}-{}-{}.{:09}",
        file.dev(),
        file.ino(),
        file.mtime(),
        file.mtime_nsec()
    ))
}

/// Whether a server runs on this data directory.
///
/// # Errors
/// When its lock cannot be read.
pub fn is_served(path: &Path) -> std::io::Result<bool> {
    match File::open(path.join(LOCK)) {
        Ok(lock) => match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
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

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("token"), dir.path().join("link"));
        std::fs::write(&file, "old\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = stamp(&link).unwrap();
        replace(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new\n");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_ne!(stamp(&file).unwrap(), before);
    }

    #[test]
    fn a_replaced_file_stays_its_owners() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "old\n").unwrap();
        // Only root may give a file away, as root does that rotates the token of a service.
        if std::os::unix::fs::chown(&file, Some(12_345), Some(54_321)).is_err() {
            return;
        }
        replace(&file, "new").unwrap();
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.gid()), (12_345, 54_321));
    }

    #[test]
    fn a_directory_is_served_while_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_served(dir.path()).unwrap());
        let open = DataDir::open(dir.path()).unwrap();
        assert!(is_served(dir.path()).unwrap());
        drop(open);
        assert!(!is_served(dir.path()).unwrap());
    }

    #[test]
    fn a_directory_that_others_may_change_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, is_noticed) in [(0o700, false), (0o755, false), (0o770, true), (0o707, true)] {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let open = DataDir::open(dir.path()).unwrap();
            assert_eq!(open.is_writable_by_others(), is_noticed, "{mode:o}");
        }
    }
}
