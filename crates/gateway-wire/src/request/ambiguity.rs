//! Members of a request body that two readers could take for different things: given twice, given in
//! another case, or of a type that is not theirs. Where a request is paid for or counted, it must
//! mean to the upstream what it means here. Changes nothing.

use std::fmt;
use std::ops::Range;

use crate::json::span::{self, Members};

/// A member that two readers could take for different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguity {
    /// The member as it should be written; one inside of another with a dot.
    pub member: &'static str,
    /// What is wrong with it.
    pub kind: AmbiguityKind,
}

/// What makes a member ambiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguityKind {
    /// Which of the two counts depends on the reader.
    Twice,
    /// Some readers ignore the case of a name.
    OtherCase,
    /// Some readers convert it; `null` is always right. The words say what it has to be.
    WrongType(&'static str),
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = self.member;
        match self.kind {
            AmbiguityKind::Twice => write!(f, "`{member}` stands there twice"),
            AmbiguityKind::OtherCase => {
                write!(f, "`{member}` is written in another case")
            }
            AmbiguityKind::WrongType(expected) => write!(f, "`{member}` is not {expected}"),
        }
    }
}

/// What the value of a member has to be.
#[derive(Clone, Copy)]
enum MemberShape {
    Any,
    Flag,
    Count,
    Text,
    Object,
    TextOrObject,
    List,
}

impl MemberShape {
    const fn expected(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Flag => "`true` or `false`",
            Self::Count => "a whole number",
            Self::Text => "a string",
            Self::Object => "an object",
            Self::TextOrObject => "a string or an object",
            Self::List => "a list",
        }
    }

    fn fits(self, value: &[u8]) -> bool {
        if value == b"null" {
            return true;
        }
        let first = value.first();
        match self {
            Self::Any => true,
            Self::Flag => matches!(value, b"true" | b"false"),
            Self::Count => value.iter().all(u8::is_ascii_digit),
            Self::Text => first == Some(&b'"'),
            Self::Object => first == Some(&b'{'),
            Self::TextOrObject => matches!(first, Some(b'"' | b'{')),
            Self::List => first == Some(&b'['),
        }
    }
}

/// What decides how much a request costs, how it is counted, and whose stored things it uses.
const MEMBERS: [(&str, MemberShape); 22] = [
    ("model", MemberShape::Text),
    ("models", MemberShape::List),
    ("input", MemberShape::Any),
    ("messages", MemberShape::List),
    ("tools", MemberShape::List),
    ("stream", MemberShape::Flag),
    ("stream_options", MemberShape::Object),
    ("background", MemberShape::Flag),
    ("store", MemberShape::Flag),
    ("service_tier", MemberShape::Text),
    ("n", MemberShape::Count),
    ("max_tokens", MemberShape::Count),
    ("max_output_tokens", MemberShape::Count),
    ("max_completion_tokens", MemberShape::Count),
    ("reasoning", MemberShape::Object),
    ("reasoning_effort", MemberShape::Any),
    ("previous_response_id", MemberShape::Text),
    ("conversation", MemberShape::TextOrObject),
    ("prompt", MemberShape::TextOrObject),
    ("instructions", MemberShape::Any),
    ("tool_choice", MemberShape::TextOrObject),
    ("max_tool_calls", MemberShape::Count),
];
/// The members of `stream_options` that change whether a stream is counted.
const STREAM_OPTIONS: [(&str, MemberShape); 1] =
    [("stream_options.include_usage", MemberShape::Flag)];

/// The first ambiguous member of a whole body that is a JSON object; `None` where it says one thing
/// to every reader.
pub fn ambiguity(body: &[u8]) -> Option<Ambiguity> {
    let mut options = None;
    let found = look(body, 0, &MEMBERS, "", &mut options);
    found.or_else(|| {
        let at = options?;
        look(body, at, &STREAM_OPTIONS, "stream_options.", &mut None)
    })
}

/// Looks at the members of the object at `at`. `options` becomes the place of `stream_options`.
fn look<const N: usize>(
    body: &[u8],
    at: usize,
    members: &[(&'static str, MemberShape); N],
    prefix: &str,
    options: &mut Option<usize>,
) -> Option<Ambiguity> {
    let mut seen = [false; N];
    for member in Members::new(body, at) {
        let Some(key) = span::string_at(body, &member.key) else {
            continue;
        };
        let named = |(name, _): &(&'static str, MemberShape)| {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            name.eq_ignore_ascii_case(&key)
        };
        let Some(index) = members.iter().position(named) else {
            continue;
        };
        let (Some(&(name, shape)), Some(seen)) = (members.get(index), seen.get_mut(index)) else {
            continue;
        };
        let kind = if std::mem::replace(seen, true) {
            AmbiguityKind::Twice
        } else if name.strip_prefix(prefix) != Some(&*key) {
            AmbiguityKind::OtherCase
        } else if !shape.fits(text(body, &member.value)) {
            AmbiguityKind::WrongType(shape.expected())
        } else {
            if name == "stream_options" {
                *options = Some(member.value.start);
            }
            continue;
        };
        return Some(Ambiguity { member: name, kind });
    }
    None
}

fn text<'a>(body: &'a [u8], span: &Range<usize>) -> &'a [u8] {
    body.get(span.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn found(body: &str) -> Option<String> {
        ambiguity(body.as_bytes()).map(|found| found.to_string())
    }

    #[test]
    fn what_two_readers_could_take_for_different_things_is_found() {
        for (body, expected) in [
            (r#"{"stream":1}"#, "`stream` is not `true` or `false`"),
            (r#"{"stream":"true"}"#, "`stream` is not `true` or `false`"),
            (
                r#"{"background":"true"}"#,
                "`background` is not `true` or `false`",
            ),
            (
                r#"{"stream":true,"stream":false}"#,
                "`stream` stands there twice",
            ),
            (
                r#"{"stre\u0061m":true,"stream":true}"#,
                "`stream` stands there twice",
            ),
            (
                r#"{"stream":true,"STREAM":true}"#,
                "`stream` stands there twice",
            ),
            (r#"{"Stream":true}"#, "`stream` is written in another case"),
            (
                r#"{"stream_options":[]}"#,
                "`stream_options` is not an object",
            ),
            (
                r#"{"stream_options":{},"stream_options":null}"#,
                "`stream_options` stands there twice",
            ),
            (
                r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
                "`stream_options.include_usage` stands there twice",
            ),
            (
                r#"{"stream_options":{"include_usage":1}}"#,
                "`stream_options.include_usage` is not `true` or `false`",
            ),
            (
                r#"{"max_tokens":1e9}"#,
                "`max_tokens` is not a whole number",
            ),
            (r#"{"max_tokens":-1}"#, "`max_tokens` is not a whole number"),
            (r#"{"n":"128"}"#, "`n` is not a whole number"),
            (
                r#"{"service_tier":["flex"]}"#,
                "`service_tier` is not a string",
            ),
            (r#"{"input":[],"input":"x"}"#, "`input` stands there twice"),
            (
                r#"{"previous_response_id":["a"]}"#,
                "`previous_response_id` is not a string",
            ),
        ] {
            assert_eq!(found(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_clients_send_says_one_thing() {
        for body in [
            "{}",
            r#"{"model":"m","stream":null,"stream_options":null,"max_output_tokens":null,"n":1}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":1}}"#,
            r#"{"input":[{"stream":1,"stream":2}],"metadata":{"n":"x","N":"y"}}"#,
            r#"{"conversation":{"id":"c"},"prompt":"p","reasoning":{"effort":"low"}}"#,
            r#"{"unknown":1,"unknown":2,"temperature":1,"Temperature":2}"#,
        ] {
            assert_eq!(found(body), None, "{body}");
        }
    }

    proptest! {
        /// Whatever the upstream's reader does with names and types, a body without an ambiguity
        /// gives it the flag that was read here.
        #[test]
        fn every_reader_of_a_clear_body_reads_the_same_stream(
            members in prop::collection::vec(
                ("(stream|Stream|STREAM|x)", prop_oneof![
                    Just(json!(true)), Just(json!(false)), Just(json!(1)), Just(json!("true")),
                    Just(Value::Null), Just(json!([true])),
                ]),
                0..4,
            ),
        ) {
            let text: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let body = format!("{{{}}}", text.join(","));
            prop_assume!(ambiguity(body.as_bytes()).is_none());
            let folded = members.iter().filter(|(key, _)| key.eq_ignore_ascii_case("stream"));
            let lenient: Vec<&Value> = folded.map(|(_, value)| value).collect();
            let read = crate::request::scan(body.as_bytes()).unwrap().stream;
            prop_assert_eq!(lenient.len() <= 1, true);
            prop_assert_eq!(lenient.first().and_then(|value| value.as_bool()), read);
        }
    }
}
