//! Blanks what may be a secret out of text that is printed: a mistake in the configuration must not
//! bring a password into a log. Keeps every length, so that carets stay where they are.

/// Parts of key names whose values may be secrets.
const SECRET_KEYS: [&str; 10] = [
    "api-key",
    "api_key",
    "apikey",
    "authorization",
    "bearer",
    "credential",
    "passwd",
    "password",
    "secret",
    "token",
];

/// Beginnings of well-known credentials, and of `Authorization` values.
const SECRET_PREFIXES: [&str; 8] = [
    "Basic ", "Bearer ", "cgw_", "eyJ", "ghp_", "gsk_", "sk-", "xai-",
];

/// Longest value behind a secret's key that is shown, when it is a plain word: `caller`, `none` and
/// misspellings of them.
const MAX_WORD: usize = 8;

/// The text with asterisks in the place of what may be a secret.
pub(super) fn redact(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut start = 0;
    // `[routes]` has keys named after credentials; what they name are upstreams.
    let mut is_routes = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            is_routes = line.starts_with("[routes]");
        }
        for (from, to) in secrets(line, !is_routes) {
            if let Some(part) = bytes.get_mut(start + from..start + to) {
                part.fill(b'*');
            }
        }
        start += line.len();
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Byte ranges of one line; by the names of keys too, where those tell.
fn secrets(line: &str, by_key: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, value) in quoted(line) {
        let end = start + value.len();
        let mut add = |from: usize, to: usize| found.push((start + from, start + to));
        if let Some((from, to)) = url_password(value) {
            add(from, to);
        }
        query_secrets(value).for_each(|(from, to)| add(from, to));
        // A message quotes lines of the file in backticks.
        if value.contains('"') {
            for (from, to) in secrets(value, by_key) {
                add(from, to);
            }
        }
        let prefix = SECRET_PREFIXES
            .iter()
            .find(|prefix| value.starts_with(**prefix));
        let before = line.get(..start.saturating_sub(1)).unwrap_or_default();
        if let Some(prefix) = prefix {
            found.push((start + prefix.len(), end));
        } else if by_key && ends_in_secrets_key(before) && !is_harmless(value) {
            found.push((start, end));
        }
    }
    found.extend(unquoted(line).filter(|_| by_key));
    found
}

/// The value behind a secret's key that lacks its quotes.
fn unquoted(line: &str) -> Option<(usize, usize)> {
    let start = line.find('=')? + 1;
    let rest = line.get(start..)?;
    let value = rest.trim();
    let is_bare = !value.is_empty() && !value.starts_with(['"', '\'', '[', '{']);
    let is_secret = is_bare && ends_in_secrets_key(line.get(..start)?) && !is_harmless(value);
    let from = start + rest.len() - rest.trim_start().len();
    is_secret.then_some((from, from + value.len()))
}

/// The texts between quotes or backticks, with where they begin. One that is not closed reaches to
/// the end.
fn quoted(line: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = line
        .get(at..)
        .and_then(|rest| rest.find(['"', '\'', '`']))
        .map(|offset| at + offset)
    {
        let Some((quote, rest)) = line.get(open..).and_then(|rest| rest.split_at_checked(1)) else {
            break;
        };
        let length = rest.find(quote).unwrap_or(rest.trim_end().len());
        if let Some(value) = rest.get(..length) {
            found.push((open + 1, value));
        }
        at = open + 1 + length + 1;
    }
    found
}

/// The password of a URL; of `http` also a user alone, since that is a token.
fn url_password(value: &str) -> Option<(usize, usize)> {
    let begin = value.find("://")? + 3;
    let rest = value.get(begin..)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password that is not encoded can hold any of `/?#@`, so the last `@` ends it; without one,
    // the text is cut.
    let at = rest.rfind('@');
    let colon = authority
        .find(':')
        .filter(|colon| at.is_none_or(|at| *colon < at));
    match (colon, at) {
        (Some(colon), _) if !has_port(authority) => {
            Some((begin + colon + 1, at.map_or(value.len(), |at| begin + at)))
        }
        (Some(colon), Some(at)) if authority.contains('@') => Some((begin + colon + 1, begin + at)),
        (None, Some(at)) if value.starts_with("http") && authority.contains('@') => {
            Some((begin, begin + at))
        }
        _ => None,
    }
}

/// Whether an authority ends in a port, or is an address in brackets.
fn has_port(authority: &str) -> bool {
    let port = authority.rsplit(':').next().unwrap_or_default();
    port.parse::<u16>().is_ok() || authority.ends_with(']')
}

/// The values of parameters that may be secrets.
fn query_secrets(value: &str) -> impl Iterator<Item = (usize, usize)> {
    let query = value.find('?').map_or(value.len(), |at| at + 1);
    let mut at = query;
    value
        .get(query..)
        .unwrap_or_default()
        .split('&')
        .filter_map(move |pair| {
            let start = at;
            at += pair.len() + 1;
            let (name, secret) = pair.split_once('=')?;
            let name = name.to_ascii_lowercase();
            let is_secret =
                name.contains("key") || SECRET_KEYS.iter().any(|part| name.contains(part));
            let from = start + name.len() + 1;
            is_secret.then_some((from, from + secret.len()))
        })
}

/// Whether a text ends in `key =` of a key that may have a secret.
fn ends_in_secrets_key(before: &str) -> bool {
    let Some(key) = before.trim_end().strip_suffix('=') else {
        return false;
    };
    let key = key.trim_end().trim_end_matches(['"', '\'']);
    let name = key
        .rsplit([' ', '\t', '{', ',', '.', '"', '\'', '`'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    SECRET_KEYS.iter().any(|part| name.contains(part))
}

/// A plain word, or the name of a variable as shells write it.
fn is_harmless(value: &str) -> bool {
    value.starts_with('$')
        || (value.len() <= MAX_WORD && value.bytes().all(|byte| byte.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn what_may_be_a_secret_is_blanked_and_nothing_else() {
        for (text, expected) in [
            (
                "base_url = \"https://user:hunter2@a.example/v1\"",
                "base_url = \"https://user:*******@a.example/v1\"",
            ),
            (
                "base_url = \"https://hunter2@a.example/v1\"",
                "base_url = \"https://*******@a.example/v1\"",
            ),
            (
                "url = \"postgres://user:hun/t@er2@db/x\"",
                "url = \"postgres://user:*********@db/x\"",
            ),
            (
                "url = \"postgres://user@db/x\"",
                "url = \"postgres://user@db/x\"",
            ),
            (
                "url = \"postgres://user@db/x?password=hunter2\"",
                "url = \"postgres://user@db/x?password=*******\"",
            ),
            (
                "base_url = \"https://user:hun/ter2@a.example/v1\"",
                "base_url = \"https://user:********@a.example/v1\"",
            ),
            (
                "base_url = \"https://a.example:8080/@x\"",
                "base_url = \"https://a.example:8080/@x\"",
            ),
            (
                "base_url = \"https://a.example/?region=eu&key=hunter2&x=1\"",
                "base_url = \"https://a.example/?region=eu&key=*******&x=1\"",
            ),
            ("token = \"hunter2secret\"", "token = \"*************\""),
            ("token = \"hunter2", "token = \"*******"),
            ("token = hunter2secret", "token = *************"),
            (
                "write `token = \"hunter2secret\"`",
                "write `token = \"*************\"`",
            ),
            (
                "url = \"postgres://user:hunter2",
                "url = \"postgres://user:*******",
            ),
            (
                "base_url = \"http://[::1]:8080/v1\"",
                "base_url = \"http://[::1]:8080/v1\"",
            ),
            (
                "credential = \"callr\" # a slip",
                "credential = \"callr\" # a slip",
            ),
            (
                "credential = \"$OPENAI_API_KEY\"",
                "credential = \"$OPENAI_API_KEY\"",
            ),
            (
                "credential = { env = \"sk-hunter2\" }",
                "credential = { env = \"sk-*******\" }",
            ),
            (
                "credential = { env = \"TEAM_KEY\" }",
                "credential = { env = \"TEAM_KEY\" }",
            ),
            (
                "http_headers = { Authorization = \"Bearer hunter2\" }",
                "http_headers = { Authorization = \"Bearer *******\" }",
            ),
            (
                "http_headers = { \"X-Api-Key\" = \"hunter2\" }",
                "http_headers = { \"X-Api-Key\" = \"*******\" }",
            ),
            (
                "the environment variable `sk-hunter2` is not set",
                "the environment variable `sk-*******` is not set",
            ),
            (
                "[routes]\napi_key = \"openai-team\"",
                "[routes]\napi_key = \"openai-team\"",
            ),
            ("max_tokens = \"omit\"", "max_tokens = \"omit\""),
            (
                "model = \"gpt-5.4\"\ntoken = 'hunter2'\n[log]\n",
                "model = \"gpt-5.4\"\ntoken = '*******'\n[log]\n",
            ),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
