//! Changes single values inside an event's JSON data; every other byte stays.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::json::span::{self, Member, Members};
use crate::splice::Edit;

/// Makes all edits. They must not overlap.
pub(super) fn apply(data: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.span.start);
    let mut out = Vec::with_capacity(data.len() + 64);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(data.get(at..edit.span.start).unwrap_or_default());
        out.extend_from_slice(&edit.text);
        at = edit.span.end;
    }
    out.extend_from_slice(data.get(at..).unwrap_or_default());
    out
}

/// What has to go so that a member is gone from the object at `at`: with the comma before it, or,
/// if it is the first, the one after.
pub(super) fn removal(data: &[u8], at: usize, gone: &Member) -> Range<usize> {
    let mut before = None;
    for member in Members::new(data, at) {
        if member.key.start > gone.key.start {
            return before.map_or(gone.key.start..member.key.start, |end| end..gone.value.end);
        }
        if member.key.start < gone.key.start {
            before = Some(member.value.end);
        }
    }
    before.unwrap_or(gone.key.start)..gone.value.end
}

static HEADERS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""headers""#));

/// What must not be said in the headers that travel inside events.
#[derive(Debug)]
pub(super) struct HeaderEdits {
    model_echo: Option<String>,
    strip_models_etag: bool,
}

impl HeaderEdits {
    pub(super) fn new(model_echo: Option<String>, strip_models_etag: bool) -> Self {
        Self {
            model_echo,
            strip_models_etag,
        }
    }

    /// Whether an event needs a closer look at all.
    pub(super) fn may_touch(&self, data: &[u8]) -> bool {
        (self.model_echo.is_some() || self.strip_models_etag) && HEADERS.find(data).is_some()
    }

    /// The edits for `headers` and `response.headers` of one event.
    pub(super) fn edits(&self, data: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        for member in Members::new(data, 0) {
            match span::string_at(data, &member.key).as_deref() {
                Some("headers") => self.edit_object(data, member.value.start, &mut edits),
                Some("response") => {
                    for inner in Members::new(data, member.value.start) {
                        if span::string_at(data, &inner.key).as_deref() == Some("headers") {
                            self.edit_object(data, inner.value.start, &mut edits);
                        }
                    }
                }
                Some(_) | None => {}
            }
        }
        edits
    }

    fn edit_object(&self, data: &[u8], at: usize, edits: &mut Vec<Edit>) {
        let mut kept_before: Option<usize> = None;
        // Removing a member takes one comma with it: the one before, or, with nothing kept before
        // it, the one after.
        let mut open_removal: Option<usize> = None;
        for member in Members::new(data, at) {
            if let Some(start) = open_removal.take() {
                edits.push(Edit {
                    span: start..member.key.start,
                    text: Bytes::new(),
                });
            }
            let Some(key) = span::string_at(data, &member.key) else {
                continue;
            };
            if self.strip_models_etag && key.eq_ignore_ascii_case("x-models-etag") {
                match kept_before {
                    Some(end) => edits.push(Edit {
                        span: end..member.value.end,
                        text: Bytes::new(),
                    }),
                    None => open_removal = Some(member.key.start),
                }
                // What follows is joined to what was kept before.
                kept_before = kept_before.map(|_| member.value.end);
                continue;
            }
            if let Some(echo) = &self.model_echo
                && (key.eq_ignore_ascii_case("openai-model")
                    || key.eq_ignore_ascii_case("x-openai-model"))
                && span::string_at(data, &member.value).is_none_or(|model| model != *echo)
            {
                edits.push(Edit {
                    span: member.value.clone(),
                    text: Bytes::from(span::quote(echo)),
                });
            }
            kept_before = Some(member.value.end);
        }
        if let Some(start) = open_removal {
            let end = Members::new(data, at)
                .last()
                .map_or(start, |last| last.value.end);
            edits.push(Edit {
                span: start..end,
                text: Bytes::new(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(echo: Option<&str>, strip: bool, data: &str) -> String {
        let edits = HeaderEdits::new(echo.map(str::to_owned), strip);
        String::from_utf8(apply(data.as_bytes(), edits.edits(data.as_bytes()))).unwrap()
    }

    #[test]
    fn model_headers_say_the_requested_id_at_both_places_and_in_any_casing() {
        let data = r#"{"headers":{"OpenAI-Model":"b","x":1},"response":{"model":"b","headers":{"X-OPENAI-MODEL":["b"]}},"metadata":{"openai-model":"b"}}"#;
        assert_eq!(
            edited(Some("a"), false, data),
            r#"{"headers":{"OpenAI-Model":"a","x":1},"response":{"model":"b","headers":{"X-OPENAI-MODEL":"a"}},"metadata":{"openai-model":"b"}}"#
        );
        assert_eq!(edited(None, false, data), data);
    }

    #[test]
    fn the_etag_leaves_a_valid_object_wherever_it_stands() {
        let e = r#""X-Models-Etag":"w""#;
        for (before, after) in [
            (format!("{{{e}}}"), "{}"),
            (format!("{{ {e} , \"a\":1}}"), r#"{ "a":1}"#),
            (format!("{{\"a\":1 , {e} }}"), r#"{"a":1 }"#),
            (format!("{{\"a\":1,{e},\"b\":2}}"), r#"{"a":1,"b":2}"#),
            (format!("{{{e},{e},\"b\":2}}"), r#"{"b":2}"#),
            (format!("{{{e},{e}}}"), "{}"),
            (format!("{{\"a\":1,{e},{e}}}"), r#"{"a":1}"#),
        ] {
            assert_eq!(
                edited(None, true, &format!(r#"{{"headers":{before}}}"#)),
                format!(r#"{{"headers":{after}}}"#)
            );
        }
    }
}
