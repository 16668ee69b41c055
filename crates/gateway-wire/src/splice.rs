//! Puts new text in the place of single values, by byte range. Every other byte stays, and no body
//! is copied.

use std::ops::Range;

use bytes::Bytes;

use crate::json::span;

/// The range does not lie in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes {start}..{end} are not within the {len} bytes of the body")]
pub struct SpliceError {
    /// Begin of the range.
    pub start: usize,
    /// End of the range.
    pub end: usize,
    /// Length of the body.
    pub len: usize,
}

/// Text in the place of a span; an empty span is a place to insert at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What goes.
    pub span: Range<usize>,
    /// What comes.
    pub text: Bytes,
}

impl Edit {
    /// A JSON string in the place of a value.
    pub fn string(span: Range<usize>, value: &str) -> Self {
        Self {
            span,
            text: Bytes::from(span::quote(value)),
        }
    }
}

/// The body with all edits made, in pieces.
///
/// ```
/// use gateway_wire::splice::{Edit, splice};
/// let pieces = splice(&br#"{"model":"a"}"#[..].into(), vec![Edit::string(9..12, "b")])?;
/// assert_eq!(pieces.concat(), br#"{"model":"b"}"#);
/// # Ok::<(), gateway_wire::splice::SpliceError>(())
/// ```
///
/// # Errors
/// When an edit lies outside the body, or over another one.
pub fn splice(body: &Bytes, mut edits: Vec<Edit>) -> Result<Vec<Bytes>, SpliceError> {
    edits.sort_by_key(|edit| edit.span.start);
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut at = 0;
    for edit in edits {
        is_within(body, at, &edit.span)?;
        pieces.push(body.slice(at..edit.span.start));
        pieces.push(edit.text);
        at = edit.span.end;
    }
    pieces.push(body.slice(at..));
    Ok(pieces)
}

fn is_within(body: &Bytes, from: usize, span: &Range<usize>) -> Result<(), SpliceError> {
    if from <= span.start && span.start <= span.end && span.end <= body.len() {
        return Ok(());
    }
    Err(SpliceError {
        start: span.start,
        end: span.end,
        len: body.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::scan;
    use proptest::prelude::*;

    fn spliced(body: &str, id: &str) -> String {
        let span = scan(body.as_bytes()).unwrap().model.unwrap().span;
        let body = Bytes::copy_from_slice(body.as_bytes());
        let pieces = splice(&body, vec![Edit::string(span, id)]).unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn only_the_top_level_model_changes() {
        for (body, expected) in [
            (r#"{"model":"a"}"#, r#"{"model":"b\"c"}"#),
            (
                r#"{"input":[{"model":"a"}], "mod\u0065l" : "\u0061" , "z":1e2}"#,
                r#"{"input":[{"model":"a"}], "mod\u0065l" : "b\"c" , "z":1e2}"#,
            ),
            (
                r#"{"type":"response.create","model":"a","stream":true}"#,
                r#"{"type":"response.create","model":"b\"c","stream":true}"#,
            ),
        ] {
            assert_eq!(spliced(body, "b\"c"), expected);
        }
    }

    #[test]
    fn a_large_body_is_not_copied() {
        let body = Bytes::from(format!(
            r#"{{"model":"a","input":"{}"}}"#,
            "x".repeat(1 << 20)
        ));
        let span = scan(&body).unwrap().model.unwrap().span;
        let pieces = splice(&body, vec![Edit::string(span, "other")]).unwrap();
        assert_eq!(pieces.len(), 3);
        assert_eq!(
            (pieces[0].as_ptr(), &pieces[1][..]),
            (body.as_ptr(), &b"\"other\""[..])
        );
        assert_eq!(pieces[2].as_ptr(), body.slice(12..).as_ptr());
    }

    #[test]
    fn a_range_outside_the_body_is_refused() {
        let body = Bytes::from_static(b"{}");
        let insert = |span| splice(&body, vec![Edit::string(span, "x")]);
        assert!(insert(1..3).is_err());
        assert_eq!(
            insert(Range { start: 2, end: 1 }),
            Err(SpliceError {
                start: 2,
                end: 1,
                len: 2
            })
        );
    }

    #[test]
    fn several_values_change_at_once_and_never_over_one_another() {
        let body = Bytes::from_static(b"0123456789");
        let edit = |span, text| Edit {
            span,
            text: Bytes::from_static(text),
        };
        let all = splice(&body, vec![edit(8..8, b"x"), edit(1..3, b"--")]).unwrap();
        assert_eq!(all.concat(), b"0--34567x89");
        assert!(splice(&body, vec![edit(1..3, b""), edit(2..4, b"")]).is_err());
        assert!(splice(&body, vec![edit(9..11, b"")]).is_err());
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "\\PC{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("(model|input|[a-z]{0,3})", inner), 0..4)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn exactly_one_value_changes(value in json_value(), before in "[a-z]{1,5}x", after in "[a-z]{1,5}x", old in "\\PC{1,20}", new in "\\PC{1,20}", pretty: bool) {
            let mut map = serde_json::Map::new();
            map.insert(before, value.clone());
            map.insert("model".to_owned(), old.into());
            map.insert(after, value);
            let mut value = serde_json::Value::Object(map);
            let body = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let result = spliced(&body, &new);
            value["model"] = new.clone().into();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&result).unwrap(), value);
            let span = scan(body.as_bytes()).unwrap().model.unwrap().span;
            prop_assert!(result.as_bytes().starts_with(&body.as_bytes()[..span.start]));
            prop_assert!(result.as_bytes().ends_with(&body.as_bytes()[span.end..]));
        }
    }
}
