//! What client programs say about themselves. Claims, all of them: they label and choose, and
//! authorise nothing.

use http::{HeaderMap, Uri};

/// Codex names itself here on every request.
const ORIGINATOR: &str = "originator";

/// The client libraries that accept nothing before a stream's first event name their language here.
const CLIENT_LIBRARY: &str = "x-stainless-lang";

/// Whether the client accepts an event of ours before the first one of the answer.
pub fn takes_early_events(headers: &HeaderMap) -> bool {
    !headers.contains_key(CLIENT_LIBRARY)
}

/// What the client calls itself.
pub fn originator(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGINATOR).and_then(|name| name.to_str().ok())
}

/// Whether the client names itself as Codex does.
pub fn names_itself(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGINATOR)
}

/// Whether a list of models is wanted as Codex's catalogue: only Codex says which version it is,
/// and only Codex reads a catalogue.
pub fn wants_codex_catalog(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        query
            .split('&')
            .any(|pair| pair.starts_with("client_version="))
    })
}
