//! Asks a Chat upstream for the token counts of a stream whose client did not: one member is put
//! into the request, every other byte stays. What that adds to the answer is taken out again by the
//! relay. Decides nothing about when to ask.

use bytes::Bytes;

use crate::json::span::{self, Members};
use crate::splice::Edit;

/// What a body without `stream_options` gets, before its last brace.
const MEMBER: &[u8] = br#","stream_options":{"include_usage":true}"#;

/// The edit that makes a Chat body ask for usage; `None` where the body is nothing that this could
/// be said in: it is for the upstream to refuse such a one.
pub fn ask(body: &[u8]) -> Option<Edit> {
    let mut options = None;
    let mut end = None;
    for member in Members::new(body, 0) {
        end = Some(member.value.end);
        if span::string_at(body, &member.key).is_some_and(|key| key == "stream_options") {
            // Twice: which of them counts is known to the upstream alone.
            if options.is_some() {
                return None;
            }
            options = Some(member.value);
        }
    }
    let Some(options) = options else {
        let end = end?;
        return Some(Edit {
            span: end..end,
            text: Bytes::from_static(MEMBER),
        });
    };
    match body.get(options.clone())? {
        b"null" => Some(Edit {
            span: options,
            text: Bytes::from_static(br#"{"include_usage":true}"#),
        }),
        [b'{', ..] => Some(ask_within(body, options.start)),
        _ => None,
    }
}

/// The same inside of the `stream_options` that stand at an offset.
fn ask_within(body: &[u8], at: usize) -> Edit {
    let mut is_empty = true;
    for member in Members::new(body, at) {
        is_empty = false;
        if span::string_at(body, &member.key).is_some_and(|key| key == "include_usage") {
            return Edit {
                span: member.value,
                text: Bytes::from_static(b"true"),
            };
        }
    }
    let text: &[u8] = if is_empty {
        br#""include_usage":true"#
    } else {
        br#""include_usage":true,"#
    };
    Edit {
        span: at + 1..at + 1,
        text: Bytes::from_static(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::scan;
    use crate::splice::splice;
    use proptest::prelude::*;

    fn asked(body: &str) -> Option<String> {
        let edit = ask(body.as_bytes())?;
        let pieces = splice(&Bytes::copy_from_slice(body.as_bytes()), vec![edit]).unwrap();
        Some(String::from_utf8(pieces.concat()).unwrap())
    }

    #[test]
    fn one_member_is_added_or_changed_and_every_other_byte_stays() {
        for (body, expected) in [
            (
                "{ \"model\" : \"m\",\"n\":1.0 }\n",
                "{ \"model\" : \"m\",\"n\":1.0,\"stream_options\":{\"include_usage\":true} }\n",
            ),
            (
                r#"{"stream_options":null,"a":1}"#,
                r#"{"stream_options":{"include_usage":true},"a":1}"#,
            ),
            (
                r#"{"stream_options":{ },"a":1}"#,
                r#"{"stream_options":{"include_usage":true },"a":1}"#,
            ),
            (
                r#"{"stream\u005foptions":{"include_obfuscation":false}}"#,
                r#"{"stream\u005foptions":{"include_usage":true,"include_obfuscation":false}}"#,
            ),
            (
                r#"{"stream_options":{"x":1,"include_usage" : false}}"#,
                r#"{"stream_options":{"x":1,"include_usage" : true}}"#,
            ),
            (
                r#"{"messages":[{"stream_options":null}]}"#,
                r#"{"messages":[{"stream_options":null}],"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            assert_eq!(asked(body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_only_the_upstream_can_judge_is_left_alone() {
        for body in [
            "{}",
            r#"{"stream_options":"yes"}"#,
            r#"{"stream_options":[]}"#,
            r#"{"stream_options":{},"stream_options":null}"#,
        ] {
            assert_eq!(asked(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn the_body_then_asks_and_says_the_same_otherwise(
            text in "\\PC{0,12}",
            options in prop_oneof![
                Just(None),
                Just(Some(serde_json::Value::Null)),
                prop::collection::btree_map("(include_usage|x|y)", any::<Option<bool>>(), 0..3)
                    .prop_map(|map| Some(serde_json::json!(map))),
            ],
            pretty: bool,
        ) {
            let mut body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": text}], "stream": true});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            let written = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
            let sent = asked(&written).unwrap();
            let head = scan(sent.as_bytes()).unwrap();
            prop_assert_eq!(head.stream_options_include_usage, Some(true));
            if body["stream_options"].is_null() {
                body["stream_options"] = serde_json::json!({});
            }
            body["stream_options"]["include_usage"] = true.into();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&sent).unwrap(), body);
        }
    }
}
