//! Brings the schema up to date. Migrations are forward-only, and one that has run must not
//! change.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::connection::Connection;
use super::storage::Storage;
use crate::error::LedgerError;

/// Version, name and SQL.
type Script = (i64, &'static str, &'static str);

macro_rules! script {
    ($version:literal, $name:literal, $file:literal) => {
        (
            $version,
            $name,
            include_str!(concat!("../../migrations/", $file, ".sql")),
        )
    };
}

// The older scripts are pairs of files. New ones that are the same on both databases are in
// `shared`.

const SQLITE: &[Script] = &[
    script!(1, "entries", "sqlite/0001_entries"),
    script!(2, "administration", "sqlite/0002_administration"),
    script!(3, "audit_address", "sqlite/0003_audit_address"),
    script!(4, "unknown_usage", "sqlite/0004_unknown_usage"),
    script!(5, "free_entries", "shared/free_entries"),
    script!(6, "attribution", "sqlite/0006_attribution"),
    script!(7, "stored_ids", "shared/stored_ids"),
    script!(8, "tool_calls", "shared/tool_calls"),
];

/// The file of what is in flight.
const SQLITE_IN_FLIGHT: &[Script] = &[
    script!(1, "live", "sqlite_live/0001_live"),
    script!(2, "free_intents", "shared/free_intents"),
];

const POSTGRES: &[Script] = &[
    script!(1, "entries", "postgres/0001_entries"),
    script!(2, "live", "postgres/0002_live"),
    script!(3, "administration", "postgres/0003_administration"),
    script!(4, "audit_address", "postgres/0004_audit_address"),
    script!(5, "unknown_usage", "postgres/0005_unknown_usage"),
    script!(6, "free_entries", "shared/free_entries"),
    script!(7, "free_intents", "shared/free_intents"),
    script!(8, "attribution", "postgres/0008_attribution"),
    script!(9, "stored_ids", "shared/stored_ids"),
    script!(10, "tool_calls", "shared/tool_calls"),
];

impl Storage {
    /// Brings the schema up to date. Safe to run from several processes at once on PostgreSQL,
    /// which locks; on SQLite the second one finds the tables and tries again.
    pub(crate) async fn migrate(&self) -> Result<(), LedgerError> {
        let Self::Sqlite { file } = self else {
            let mut connection = self.writer().connect().await?;
            run(&mut connection, POSTGRES).await?;
            return connection.close().await;
        };
        if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|error| LedgerError::io("a directory cannot be created", error).at(dir))?;
        }
        for file in [file.as_path(), &Self::in_flight_file(file)] {
            make_private(file).map_err(|error| {
                LedgerError::io("the database cannot be opened", error).at(file)
            })?;
        }
        let mut tries = 0;
        loop {
            let migrated = self.migrate_sqlite(file).await;
            tries += 1;
            if migrated.is_ok() || tries == 3 {
                return migrated;
            }
        }
    }

    async fn migrate_sqlite(&self, file: &Path) -> Result<(), LedgerError> {
        let mut connection = self.writer().connect().await?;
        run(&mut connection, SQLITE).await?;
        connection.close().await?;
        let in_flight = Self::in_flight_file(file);
        if !is_sound(&in_flight).await {
            set_aside(&in_flight)?;
        }
        let mut connection = Self::in_flight_file_target(&in_flight).connect().await?;
        run(&mut connection, SQLITE_IN_FLIGHT).await?;
        connection.close().await
    }
}

/// Creates a database file for this user alone, and takes the rights of others from one that exists.
/// The files that SQLite puts beside it get the same rights.
fn make_private(file: &Path) -> std::io::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_os_string();
        name.push(suffix);
        let is_open = |mode: u32| mode & 0o077 != 0;
        if std::fs::metadata(&name).is_ok_and(|file| is_open(file.permissions().mode())) {
            // Fails for a command of another user who may write to the file; the server does it.
            drop(std::fs::set_permissions(
                &name,
                Permissions::from_mode(0o600),
            ));
        }
    }
    Ok(())
}

/// Written without fsync, the file of what is in flight can be torn by a power cut. What it held is
/// lost then, by contract; a torn file must not keep the gateway from starting.
async fn is_sound(file: &Path) -> bool {
    if !file.exists() {
        return true;
    }
    let Ok(mut connection) = Storage::in_flight_file_target(file).connect().await else {
        return false;
    };
    let checked = connection
        .link()
        .fetch("PRAGMA quick_check(1)", Vec::new())
        .await;
    let is_sound = checked.is_ok_and(|rows| {
        rows.first()
            .is_some_and(|row| row.text(0).is_ok_and(|text| text.as_deref() == Some("ok")))
    });
    is_sound && connection.close().await.is_ok()
}

fn set_aside(file: &Path) -> Result<(), LedgerError> {
    tracing::warn!(file = %file.display(), "the file of open intents is damaged and is renamed to \
                                            `*.damaged`");
    for suffix in ["", "-wal", "-shm"] {
        let mut from = file.as_os_str().to_os_string();
        from.push(suffix);
        let mut to = from.clone();
        to.push(".damaged");
        match std::fs::rename(&from, &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(
                    LedgerError::io("a damaged file cannot be renamed", error).at(Path::new(&from))
                );
            }
        }
    }
    Ok(())
}

async fn run(connection: &mut Connection, scripts: &'static [Script]) -> Result<(), LedgerError> {
    let migrations = scripts.iter().map(|(version, name, sql)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            false,
        )
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    let ran = match connection {
        Connection::Sqlite(connection) => migrator.run(&mut **connection).await,
        Connection::Postgres(connection) => migrator.run(&mut **connection).await,
    };
    ran.map_err(|error| LedgerError::migration("the schema cannot be brought up to date", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts by name, without the one clause that only SQLite has.
    fn texts(lists: &[&[Script]]) -> Vec<(&'static str, String)> {
        let all = lists.iter().copied().flatten();
        let mut texts: Vec<_> = all
            .map(|(_, name, sql)| (*name, sql.replace(" WITHOUT ROWID", "")))
            .collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn both_databases_get_the_same_tables() {
        assert_eq!(texts(&[SQLITE, SQLITE_IN_FLIGHT]), texts(&[POSTGRES]));
    }
}
