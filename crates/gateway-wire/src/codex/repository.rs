//! Which repository a request works on, from the remotes that Codex names of its workspaces. A claim
//! of the client: it labels and chooses, it never authorises. Local paths are never kept.

use serde_json::{Map, Value};

/// Longest name that is kept, in bytes.
const MAX_NAME: usize = 256;

/// The repository that a request works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Workspace {
    pub(super) repo: Option<String>,
    pub(super) commit: Option<String>,
}

impl Workspace {
    /// The first workspace that has a remote, else the first with a commit. `workspaces` is an
    /// object from local paths to what git says there.
    pub(super) fn read(workspaces: &Map<String, Value>) -> Self {
        let mut found = Self::default();
        for workspace in workspaces.values() {
            let read = Self {
                repo: remote(workspace),
                commit: commit(workspace),
            };
            if read.repo.is_some() {
                return read;
            }
            if found.commit.is_none() {
                found = read;
            }
        }
        found
    }
}

/// The remote `origin`, else `upstream`, else the first by name that is not a local path.
fn remote(workspace: &Value) -> Option<String> {
    let remotes = workspace.get("associated_remote_urls")?.as_object()?;
    let preferred = ["origin", "upstream"].into_iter();
    preferred
        .filter_map(|name| remotes.get(name))
        .chain(remotes.values())
        .filter_map(Value::as_str)
        .find_map(repository)
}

fn commit(workspace: &Value) -> Option<String> {
    let hash = workspace.get("latest_git_commit_hash")?.as_str()?;
    let is_hash = (7..=64).contains(&hash.len()) && hash.bytes().all(|it| it.is_ascii_hexdigit());
    is_hash.then(|| hash.to_ascii_lowercase())
}

/// The host and path of a git remote, without user, password, port, query and `.git`, so that every
/// way to name a repository is one name. `None` for a local path and for anything that might hide a
/// credential.
///
/// ```
/// use gateway_wire::codex::repository;
///
/// let name = Some("github.com/acme/shop".to_owned());
/// assert_eq!(repository("https://me:token@GitHub.com/acme/shop.git"), name);
/// assert_eq!(repository("git@github.com:acme/shop.git"), name);
/// assert_eq!(repository("/home/me/shop"), None);
/// ```
pub fn repository(remote: &str) -> Option<String> {
    let remote = remote.trim();
    let (authority, path) = match remote.split_once("://") {
        Some((scheme, rest)) => {
            let schemes = [
                "https",
                "http",
                "ssh",
                "git",
                "git+ssh",
                "ssh+git",
                "git+https",
            ];
            let is_known = schemes
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known));
            is_known.then(|| rest.split_once('/'))??
        }
        // `host:path`; a colon behind a slash, or behind one letter, is part of a local path.
        None => remote
            .split_once(':')
            .filter(|(authority, _)| !authority.contains(['/', '\\']) && authority.len() > 1)?,
    };
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_matches('/');
    let path = path
        .strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/');
    // Colons stand in an IPv6 address, and only there.
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address
            .bytes()
            .all(|it| it.is_ascii_hexdigit() || it == b':'),
        None => host
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it)),
    };
    let is_host = is_host && !host.is_empty();
    // An `@` or a colon in the path may be what is left of a password with a slash in it.
    let is_path = !path.is_empty()
        && !path.contains(['@', ':', '\\'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && path
            .chars()
            .all(|it| !it.is_control() && !it.is_whitespace());
    let name = format!("{}/{path}", host.to_ascii_lowercase());
    (is_host && is_path && name.len() <= MAX_NAME).then_some(name)
}

/// Turn metadata without its workspaces, whose names are paths on the user's machine. `None` where
/// there are none, or where the text is not an object.
pub fn without_workspaces(metadata: &str) -> Option<String> {
    let mut members: Map<String, Value> = serde_json::from_str(metadata).ok()?;
    members.remove(WORKSPACES)?;
    serde_json::to_string(&members).ok()
}

/// The member of the turn metadata that names the workspaces.
pub(super) const WORKSPACES: &str = "workspaces";
