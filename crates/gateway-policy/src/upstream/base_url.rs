//! Enough of a base URL to report mistakes; the HTTP client parses it completely. Resolves no name.

pub(super) struct UrlFacts {
    pub(super) is_clear_text: bool,
    pub(super) is_loopback: bool,
}

/// Why a base URL cannot be used.
pub(super) enum UrlError {
    /// It has a user or a password, so it must not be repeated.
    HasCredential,
    Invalid(&'static str),
}

/// What the checks need to know of a base URL.
pub(super) fn check_url(text: &str) -> Result<UrlFacts, UrlError> {
    let (is_clear_text, rest) = if let Some(rest) = text.strip_prefix("https://") {
        (false, rest)
    } else if let Some(rest) = text.strip_prefix("http://") {
        (true, rest)
    } else {
        return Err(UrlError::Invalid(
            "it must begin with `https://` or `http://`",
        ));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = split_port(authority);
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    // A password that is not encoded can hold the end of an authority.
    if authority.contains('@') || (!is_port && rest.contains('@')) {
        return Err(UrlError::HasCredential);
    }
    if text.contains(['?', '#']) {
        return Err(UrlError::Invalid("put the query into `query_params`"));
    }
    if text
        .chars()
        .any(|character| character.is_whitespace() || character.is_control())
    {
        return Err(UrlError::Invalid("it contains white space"));
    }
    if host.is_empty() {
        return Err(UrlError::Invalid("it has no host"));
    }
    if !is_port {
        return Err(UrlError::Invalid("its port is not a number up to 65535"));
    }
    let is_loopback = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
    Ok(UrlFacts {
        is_clear_text,
        is_loopback,
    })
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority.split_once(']') {
        let host = authority.get(..=host.len()).unwrap_or(authority);
        return (host, rest.strip_prefix(':'));
    }
    match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}
