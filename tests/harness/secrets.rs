//! Every credential that a test sends, and the search for it where none may be: in logs, in files
//! of the data directory, in metrics and in answers. A gateway of the harness is searched at its
//! end, so that every end-to-end test is a test of this as well.

use crate::http1;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Shorter ones are no credentials but words of a test, which may stand anywhere.
const SHORTEST: usize = 12;
/// Read at once. Preallocated files end in zeros, which are not worth reading.
const PIECE: usize = 16 * 1024;
/// How long the gateway may take to tell its metrics.
const TEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Request headers that carry credentials, or name an account that is kept as a digest only.
const FIELDS: [&str; 5] = [
    "authorization",
    "api-key",
    "x-api-key",
    "x-gateway-key",
    "chatgpt-account-id",
];

/// What any test of this process noted: gateways share a database.
static EVERYBODYS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Where a credential turned up in the rows of a database that gateways of this process shared.
pub fn leak_in_rows(rows: &str) -> Option<String> {
    let known = EVERYBODYS.lock().expect("nobody panics while noting");
    let found = known.iter().find(|secret| rows.contains(*secret)).cloned();
    found.or_else(|| issued_key(rows))
}

/// The credentials that are known so far.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<Mutex<BTreeSet<String>>>);

impl Secrets {
    /// Remembers a credential.
    pub fn note(&self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        EVERYBODYS
            .lock()
            .expect("nobody panics while noting")
            .insert(secret.to_owned());
        let mut known = self.0.lock().expect("nobody panics while noting");
        known.insert(secret.to_owned());
        // Of a token of three parts, the middle one says who somebody is.
        let mut parts = secret.split('.');
        if let (Some(_), Some(claims), Some(_)) = (parts.next(), parts.next(), parts.next())
            && claims.len() >= SHORTEST
        {
            known.insert(claims.to_owned());
        }
    }

    /// Remembers what the fields of a request carry.
    pub fn note_fields(&self, fields: &[(String, String)]) {
        for (name, value) in fields {
            let name = name.to_ascii_lowercase();
            if name == "cookie" {
                let pairs = value.split(';').filter_map(|pair| pair.split_once('='));
                pairs.for_each(|(_, secret)| self.note(secret));
            } else if FIELDS.contains(&name.as_str()) {
                // The scheme in front is no secret.
                self.note(value.split_whitespace().last().unwrap_or_default());
            }
        }
    }

    /// The first credential that occurs in a text.
    pub fn found_in(&self, text: &str) -> Option<String> {
        let known = self.0.lock().expect("nobody panics while noting");
        known.iter().find(|secret| text.contains(*secret)).cloned()
    }

    /// Where credentials turned up that belong nowhere: one line each, which names the place and
    /// the credential's beginning.
    pub fn leaks(&self, output: &str, data_dir: &Path, address: Option<SocketAddr>) -> Vec<String> {
        let mut leaks = Vec::new();
        let mut search = |place: &str, text: &str| {
            let found = self.found_in(text).or_else(|| issued_key(text));
            leaks.extend(found.map(|secret| format!("{place} holds `{secret}`")));
        };
        search("the log", output);
        for (name, bytes) in files(data_dir) {
            search(&name, &String::from_utf8_lossy(&bytes));
        }
        if let Some(metrics) = address.and_then(metrics) {
            search("/metrics", &metrics);
        }
        leaks
    }
}

/// A whole gateway key, whoever made it: only the last four characters of one may be shown.
fn issued_key(text: &str) -> Option<String> {
    text.split("cgw_").skip(1).find_map(|rest| {
        let is_secret = rest.len() >= 48 && rest.bytes().take(48).all(|b| b.is_ascii_hexdigit());
        is_secret.then(|| format!("cgw_{}…", rest.chars().take(6).collect::<String>()))
    })
}

/// What lies in the data directory, except for the admin token, whose place it is.
fn files(data_dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(data_dir) else {
        return Vec::new();
    };
    let entries = entries.filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name() != "admin-token")
        .filter_map(|entry| {
            let bytes = beginning(&entry.path())?;
            Some((entry.file_name().to_string_lossy().into_owned(), bytes))
        })
        .collect()
}

/// A file up to the zeros at its end.
fn beginning(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        Read::by_ref(&mut file)
            .take(PIECE as u64)
            .read_to_end(&mut piece)
            .ok()?;
        if piece.is_empty() || piece == [0; PIECE] {
            return Some(bytes);
        }
        bytes.extend_from_slice(&piece);
    }
}

fn metrics(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, TEST_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TEST_TIMEOUT)).ok()?;
    let ask = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The secret of a sign-in link in the body of a request for a session.
pub fn link_of(target: &str, body: &[u8]) -> Option<String> {
    if !target.ends_with("/api/session") {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body["link"].as_str().map(str::to_owned)
}

/// Whether a cookie is the gateway's own, which it may set; those of upstreams stay behind.
pub fn is_own_cookie(fields: &http1::Fields) -> bool {
    let mut cookies = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    cookies.all(|(_, value)| {
        let name = value.split('=').next().unwrap_or_default();
        name.trim_start_matches("__Host-") == "codex_gateway_session"
    })
}
