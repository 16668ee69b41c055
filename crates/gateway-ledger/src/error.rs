//! The one error of this crate. Callers branch on [`LedgerErrorKind`], never on text.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

/// What a caller can do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerErrorKind {
    /// The store does not answer now; the same call can work later.
    Unavailable,
    /// An argument is not valid; the text says which and why, for the person who gave it.
    Invalid,
    /// What the call is about does not exist; the text says so, for the person who asked.
    NotFound,
    /// The call is in conflict with what is stored; the text says with what.
    Conflict,
    /// The database refuses this very statement; repeating it does not help.
    Rejected,
    /// What is stored cannot be read back as what was written.
    Corrupt,
}

/// A failure of the store, or a call that it refuses. Its text is for a person; where it came from
/// is its source.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct LedgerError {
    kind: LedgerErrorKind,
    context: Cow<'static, str>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl LedgerError {
    /// What a caller can do about it.
    pub const fn kind(&self) -> LedgerErrorKind {
        self.kind
    }

    pub(crate) const fn bare(kind: LedgerErrorKind, context: &'static str) -> Self {
        Self {
            kind,
            context: Cow::Borrowed(context),
            source: None,
        }
    }

    pub(crate) const fn unavailable(context: &'static str) -> Self {
        Self::bare(LedgerErrorKind::Unavailable, context)
    }

    pub(crate) const fn late() -> Self {
        Self::unavailable("the store does not respond in time")
    }

    pub(crate) const fn closed() -> Self {
        Self::unavailable("the ledger is closed")
    }

    pub(crate) const fn invalid(context: &'static str) -> Self {
        Self::bare(LedgerErrorKind::Invalid, context)
    }

    pub(crate) const fn conflict(context: String) -> Self {
        Self {
            kind: LedgerErrorKind::Conflict,
            context: Cow::Owned(context),
            source: None,
        }
    }

    pub(crate) const fn corrupt(context: &'static str) -> Self {
        Self::bare(LedgerErrorKind::Corrupt, context)
    }

    pub(crate) fn caused(
        kind: LedgerErrorKind,
        context: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            context: Cow::Borrowed(context),
            source: Some(source.into()),
        }
    }

    pub(crate) fn json(context: &'static str, source: serde_json::Error) -> Self {
        Self::caused(LedgerErrorKind::Rejected, context, source)
    }

    pub(crate) fn io(context: &'static str, source: std::io::Error) -> Self {
        Self::caused(LedgerErrorKind::Unavailable, context, source)
    }

    pub(crate) fn sql(context: &'static str, source: sqlx::Error) -> Self {
        Self::caused(kind_of(&source), context, database_words(source))
    }

    pub(crate) fn migration(context: &'static str, source: MigrateError) -> Self {
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = source {
            return Self::caused(LedgerErrorKind::Unavailable, context, database_words(error));
        }
        Self::caused(LedgerErrorKind::Corrupt, context, source)
    }

    /// Names the file or directory that it is about.
    pub(crate) fn at(self, path: &Path) -> Self {
        let at = AtPath {
            path: path.to_owned(),
            source: self.source,
        };
        Self {
            source: Some(Box::new(at)),
            ..self
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
struct AtPath {
    path: PathBuf,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a database or its driver says.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DatabaseWords(String);

/// The driver repeats its sources in its own text, and appends ` at line 948` to what PostgreSQL
/// says: a line of PostgreSQL's own source code, which people take for one of theirs.
fn database_words(error: sqlx::Error) -> DatabaseWords {
    let sqlx::Error::Database(database) = error else {
        return DatabaseWords(error.to_string());
    };
    let postgres = database.try_downcast_ref::<PgDatabaseError>();
    let more = postgres.map(|error| [error.detail(), error.hint()]);
    let words: Vec<&str> = std::iter::once(database.message())
        .chain(more.into_iter().flatten().flatten())
        .collect();
    DatabaseWords(words.join("; "))
}

fn kind_of(error: &sqlx::Error) -> LedgerErrorKind {
    if let Some(database) = error.as_database_error() {
        return database
            .code()
            .and_then(|code| kind_of_code(&code))
            .unwrap_or(LedgerErrorKind::Unavailable);
    }
    let is_unwritable = matches!(
        error,
        sqlx::Error::Configuration(_) | sqlx::Error::Encode(_)
    );
    let is_unreadable = matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
    );
    match (is_unwritable, is_unreadable) {
        (true, _) => LedgerErrorKind::Rejected,
        (_, true) => LedgerErrorKind::Corrupt,
        (false, false) => LedgerErrorKind::Unavailable,
    }
}

/// SQLSTATE classes have five characters; SQLite's extended result codes are decimal numbers of at
/// most four.
fn kind_of_code(code: &str) -> Option<LedgerErrorKind> {
    if code.len() == 5 {
        return match code.get(..2)? {
            "22" | "23" | "42" => Some(LedgerErrorKind::Rejected),
            "XX" if code != "XX000" => Some(LedgerErrorKind::Corrupt),
            _ => None,
        };
    }
    // The low byte is the primary code: SQLITE_ERROR 1, CORRUPT 11, TOOBIG 18, CONSTRAINT 19,
    // MISMATCH 20, RANGE 25, NOTADB 26.
    match code.parse::<u32>().ok()? & 0xff {
        1 | 18 | 19 | 20 | 25 => Some(LedgerErrorKind::Rejected),
        11 | 26 => Some(LedgerErrorKind::Corrupt),
        _ => None,
    }
}
