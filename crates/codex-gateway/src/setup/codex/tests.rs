use std::path::PathBuf;

use super::*;
use crate::codex_home::SignIn;

const URL: &str = "http://127.0.0.1:8787/v1";

struct Place {
    dir: tempfile::TempDir,
    home: CodexHome,
}

impl Place {
    fn with(text: Option<&[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = CodexHome::at(dir.path().join("codex"));
        std::fs::create_dir(home.dir()).unwrap();
        let place = Self { dir, home };
        if let Some(text) = text {
            std::fs::write(place.file(), text).unwrap();
        }
        place
    }

    fn file(&self) -> PathBuf {
        self.home.config_file(None)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.file()).unwrap()
    }

    /// The names of all files in the home.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.dir()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn set_up(&self, provider: Option<&str>) -> Result<(), String> {
        self.set_up_at(URL, provider)
    }

    fn set_up_at(&self, url: &str, provider: Option<&str>) -> Result<(), String> {
        let wish = Wish {
            base_url: url.to_owned(),
            sign_in: SignIn::ApiKey,
            provider: provider.map(str::to_owned),
            key: false,
            catalog: false,
        };
        prepare(&self.home, None, &wish)?
            .write(&self.home)
            .map(drop)
    }

    fn restore(&self) -> Vec<Restoration> {
        let found = prepare_restore(&self.home, None).unwrap();
        for restoration in &found {
            restoration.write(&self.home).unwrap();
        }
        found
    }
}

/// The configurations of real users, without what is theirs.
fn real_files() -> Vec<(String, Vec<u8>)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/codex-config");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() >= 12, "{} files", files.len());
    files
}

/// What the files that no command can change are refused with.
fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "half-written" => Some("line 4"),
        "duplicate-key" => Some("duplicate key"),
        "latin-1" => Some("not valid UTF-8"),
        _ => None,
    }
}

/// A provider that the file already uses has to be named.
fn provider(name: &str) -> Option<&'static str> {
    match name {
        "another-provider" => Some("corp"),
        _ => None,
    }
}

#[test]
fn every_real_file_comes_back_byte_for_byte() {
    for (name, before) in real_files() {
        for provider in [provider(&name), Some("gateway")] {
            let place = Place::with(Some(&before));
            let made = place.set_up(provider);
            if let Some(part) = refusal(&name) {
                let why = made.unwrap_err();
                assert!(why.contains(part), "{name}: {why}");
                assert_eq!(place.names(), ["config.toml"], "{name}");
            } else {
                made.unwrap_or_else(|why| panic!("{name}: {why}"));
                let text = String::from_utf8(place.bytes()).unwrap();
                assert!(text.contains(URL), "{name}: {text}");
                // Every line of the user's is still there, in its order.
                let mut lines = text.lines();
                let old = String::from_utf8(before.clone()).unwrap();
                for line in old.trim_start_matches('\u{feff}').lines().filter(|line| {
                    !line.contains("base_url = ") && !line.starts_with("model_provider =")
                }) {
                    assert!(lines.any(|now| now == line), "{name}: {line}");
                }
                let found = place.restore();
                assert!(found.iter().all(|it| it.is_exact), "{name}");
            }
            assert_eq!(place.bytes(), before, "{name}");
            assert_eq!(place.names(), ["config.toml"], "{name}");
        }
    }
}

#[test]
fn every_real_file_keeps_what_was_added_since() {
    let added = "\n[projects.\"/new\"]\ntrust_level = \"trusted\"\n";
    for (name, before) in real_files()
        .into_iter()
        .filter(|(name, _)| refusal(name).is_none())
    {
        let place = Place::with(Some(&before));
        place.set_up(provider(&name)).unwrap();
        let mut later = place.bytes();
        later.extend(added.as_bytes());
        std::fs::write(place.file(), later).unwrap();
        let found = place.restore();
        assert!(
            found
                .iter()
                .all(|it| !it.is_exact && !it.done.is_empty() && it.left.is_empty())
        );
        let mut expected = before;
        expected.extend(added.as_bytes());
        assert_eq!(place.bytes(), expected, "{name}");
    }
}

#[test]
fn where_no_file_was_none_is_left() {
    let place = Place::with(None);
    place.set_up(None).unwrap();
    assert_eq!(
        place.bytes(),
        format!("openai_base_url = \"{URL}\"\n").into_bytes()
    );
    place.restore();
    assert_eq!(place.names(), Vec::<String>::new());
    assert!(place.restore().is_empty());
}

#[test]
fn a_second_set_up_replaces_the_first_and_one_restore_undoes_both() {
    let place = Place::with(Some(b"model = 'x'\n"));
    place.set_up(None).unwrap();
    place
        .set_up_at("http://127.0.0.1:9999/v1", Some("gateway"))
        .unwrap();
    let text = String::from_utf8(place.bytes()).unwrap();
    assert!(!text.contains(URL) && text.contains(":9999/v1"), "{text}");
    place.restore();
    assert_eq!(place.bytes(), b"model = 'x'\n");
    assert_eq!(place.names(), ["config.toml"]);
}

#[test]
fn a_profile_is_a_file_of_its_own() {
    let place = Place::with(Some(b"model = 'x'\n"));
    let wish = Wish {
        base_url: URL.to_owned(),
        sign_in: SignIn::ChatGpt,
        provider: None,
        key: false,
        catalog: false,
    };
    prepare(&place.home, Some("gw"), &wish)
        .unwrap()
        .write(&place.home)
        .unwrap();
    assert_eq!(place.bytes(), b"model = 'x'\n");
    assert!(place.names().contains(&"gw.config.toml".to_owned()));
    assert!(
        prepare_restore(&place.home, Some("other"))
            .unwrap()
            .is_empty()
    );
    place.restore();
    assert_eq!(place.names(), ["config.toml"]);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_a_mode_stays() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let place = Place::with(None);
    let real = place.dir.path().join("dotfiles.toml");
    std::fs::write(&real, "model = 'x'\n").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, place.file()).unwrap();
    place.set_up(None).unwrap();
    assert!(std::fs::read_to_string(&real).unwrap().contains(URL));
    place.restore();
    assert!(
        std::fs::symlink_metadata(place.file())
            .unwrap()
            .is_symlink()
    );
    assert_eq!(std::fs::read(&real).unwrap(), b"model = 'x'\n");
    assert_eq!(
        std::fs::metadata(&real).unwrap().permissions().mode() & 0o777,
        0o640
    );
    std::fs::remove_file(&real).unwrap();
    assert!(place.set_up(None).unwrap_err().contains("does not exist"));
}

#[cfg(unix)]
#[test]
fn a_read_only_file_is_left_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::with(Some(b"model = 'x'\n"));
    std::fs::set_permissions(place.file(), std::fs::Permissions::from_mode(0o444)).unwrap();
    assert!(place.set_up(None).unwrap_err().contains("read-only"));
    assert_eq!(place.bytes(), b"model = 'x'\n");
    assert_eq!(place.names(), ["config.toml"]);
}
