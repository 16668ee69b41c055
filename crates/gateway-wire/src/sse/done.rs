//! The event that ends a Chat stream.

/// Whether an event's data says that the stream is done.
pub(crate) fn is_done_marker(data: &[u8]) -> bool {
    let text = data.trim_ascii();
    let text = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text);
    text.eq_ignore_ascii_case(b"[DONE]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_known_however_it_is_written() {
        for data in ["[DONE]", " [DONE] ", "\"[DONE]\"", "[done]"] {
            assert!(is_done_marker(data.as_bytes()), "{data}");
        }
        for data in ["", "DONE", "[]", "[DONE] {}", "{}"] {
            assert!(!is_done_marker(data.as_bytes()), "{data}");
        }
    }
}
