//! The operating system's user who runs a command. Authenticates nobody.

use crate::config;

/// The name of the user, or `uid N` where the system has no name for it. Behind `sudo`, also who
/// called it.
pub(super) fn name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}"));
    match config::environment("SUDO_USER") {
        Some(caller) if uid == 0 => format!("{name} (sudo by {})", printable(&caller)),
        Some(_) | None => name,
    }
}

/// The user's name in a file in the format of `/etc/passwd`.
fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is_this = fields.nth(1)?.parse() == Ok(uid);
        (is_this && !name.is_empty()).then(|| printable(name))
    })
}

fn printable(name: &str) -> String {
    name.chars()
        .filter(|letter| !letter.is_control())
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# broken\n+::::::\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        for (uid, name) in [(0, Some("root")), (1000, Some("alice")), (7, None)] {
            assert_eq!(name_of(uid, users).as_deref(), name, "{uid}");
        }
    }
}
