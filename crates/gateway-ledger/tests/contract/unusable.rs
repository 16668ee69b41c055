//! What is said about a store that cannot be opened.

use gateway_ledger::{Ledger, OpenOptions};

use crate::stores::{Kind, run};

/// The error of opening, with its sources.
async fn words(options: OpenOptions) -> String {
    let error = Ledger::open(options).await.err().unwrap();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        words = format!("{words}: {error}");
        source = error.source();
    }
    words
}

#[test]
fn a_file_or_directory_that_cannot_be_used_is_named() {
    run(Kind::Sqlite, |store| async move {
        let here = store.data_dir("a directory").display().to_string();
        std::fs::create_dir_all(&here).unwrap();
        let mut options = store.options("a");
        options.url = format!("sqlite://{here}");
        let said = words(options).await;
        assert!(
            said.starts_with(&format!("the database cannot be opened: {here}: ")),
            "{said}"
        );
        let file = store.data_dir("a file");
        std::fs::write(&file, "").unwrap();
        let below = file.join("data");
        let mut options = store.options("a");
        options.data_dir.clone_from(&below);
        assert_eq!(
            words(options).await,
            format!(
                "a directory cannot be created: {}: Not a directory (os error 20)",
                below.display()
            )
        );
        let mut options = store.options("b");
        std::fs::create_dir_all(options.data_dir.join("spool")).unwrap();
        options.url = "sqlite".to_owned();
        let spool = options.data_dir.join("spool").display().to_string();
        assert!(words(options).await.contains(&format!("{spool}: ")));
    });
}

#[test]
fn what_postgresql_says_is_passed_on_without_a_line_of_its_source() {
    run(Kind::Postgres, |store| async move {
        let mut options = store.options("a");
        let (server, _) = options.url.rsplit_once('/').unwrap();
        options.url = format!("{server}/no_such_database");
        assert_eq!(
            words(options).await,
            "the database cannot be reached: database \"no_such_database\" does not exist"
        );
    });
}
