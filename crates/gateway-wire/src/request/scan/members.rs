//! The names of the members that are read, as other readers may understand them. Some upstreams read
//! names without regard to case: for them, `MODEL` beside `model` is a second model, which no rule
//! has seen.

use std::borrow::Cow;

use super::super::error::RequestErrorKind;

/// The members that are read at the top of a body, and those inside of one that is.
const MEMBERS: [&str; 20] = [
    "model",
    "stream",
    "service_tier",
    "reasoning_effort",
    "previous_response_id",
    "prompt_cache_key",
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "store",
    "background",
    "reasoning",
    "reasoning.effort",
    "stream_options",
    "stream_options.include_usage",
    "client_metadata",
    "input",
    "messages",
    "conversation",
    "prompt",
];

/// How the members of a body were written so far, a bit for each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WrittenMembers {
    as_named: u32,
    in_other_case: u32,
}

impl WrittenMembers {
    /// Takes note of a member. `parent` ends with a dot where there is one.
    pub(super) fn note(&mut self, parent: &str, key: &str) -> Result<(), RequestErrorKind> {
        let folded = folded(key);
        let named = |name: &&str| {
            let own = name.strip_prefix(parent);
            own.is_some_and(|own| own.eq_ignore_ascii_case(&folded))
        };
        let Some((index, name)) = MEMBERS.iter().enumerate().find(|(_, name)| named(name)) else {
            return Ok(());
        };
        let bit = 1 << index;
        let is_as_named = name.strip_prefix(parent) == Some(key);
        let (own, other) = if is_as_named {
            (&mut self.as_named, self.in_other_case)
        } else {
            (&mut self.in_other_case, self.as_named)
        };
        let is_second = (*own | other) & bit != 0;
        *own |= bit;
        match *name {
            "model" if is_second => Err(RequestErrorKind::DuplicateModel),
            // Without a `model`, nothing here knows which one such an upstream serves.
            "model" if !is_as_named => Err(RequestErrorKind::ModelInOtherCase),
            name if other & bit != 0 => Err(RequestErrorKind::MemberInTwoCases(name)),
            _ => Ok(()),
        }
    }
}

/// The two letters outside of ASCII that readers without regard to case take for one inside.
fn folded(key: &str) -> Cow<'_, str> {
    if key.is_ascii() {
        return Cow::Borrowed(key);
    }
    let fold = |char| match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'K',
        char => char,
    };
    Cow::Owned(key.chars().map(fold).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::request::{RequestError, RequestHead, scan};

    fn kind(body: &str) -> Option<RequestErrorKind> {
        let error = scan(body.as_bytes()).err();
        error.map(|error: RequestError| error.kind)
    }

    #[test]
    fn members_that_differ_in_case_alone_are_refused() {
        use RequestErrorKind::{DuplicateModel, MemberInTwoCases, ModelInOtherCase};
        for (body, expected) in [
            (r#"{"model":"a","MODEL":"b"}"#, DuplicateModel),
            (r#"{"model":"a","MODE\u004c":"b"}"#, DuplicateModel),
            (r#"{"model":"a","Model":"a"}"#, DuplicateModel),
            (r#"{"MODEL":"b","model":"a"}"#, ModelInOtherCase),
            (r#"{"prompt":{"id":"p"},"Model":"b"}"#, ModelInOtherCase),
            (
                r#"{"stream":true,"Stream":false}"#,
                MemberInTwoCases("stream"),
            ),
            (
                r#"{"\u017ftream":true,"stream":false}"#,
                MemberInTwoCases("stream"),
            ),
            (
                "{\"stream\":true,\"\u{17f}tream\":false}",
                MemberInTwoCases("stream"),
            ),
            (
                "{\"max_to\u{212a}ens\":9,\"max_tokens\":1}",
                MemberInTwoCases("max_tokens"),
            ),
            (r#"{"input":"a","INPUT":"b"}"#, MemberInTwoCases("input")),
            (
                r#"{"reasoning":{"effort":"low","Effort":"high"}}"#,
                MemberInTwoCases("reasoning.effort"),
            ),
            (
                r#"{"stream_options":{"include_usage":true,"INCLUDE_USAGE":false}}"#,
                MemberInTwoCases("stream_options.include_usage"),
            ),
        ] {
            assert_eq!(kind(body), Some(expected), "{body}");
        }
    }

    #[test]
    fn other_members_may_be_written_as_they_like() {
        for body in [
            r#"{"model":"a","metadata":{"model":"x","MODEL":"y"},"input":[{"Model":1,"model":2}]}"#,
            r#"{"model":"a","Temperature":1,"temperature":2,"Stream":true}"#,
            r#"{"model":"a","client_metadata":{"stream":"x","STREAM":"y"},"stream":true}"#,
            r#"{"model":"a","effort":1,"Effort":2,"reasoning":{"model":1,"MODEL":2}}"#,
        ] {
            assert_eq!(kind(body), None, "{body}");
        }
    }

    /// A member as a client may write it.
    fn written() -> impl Strategy<Value = (String, Value)> {
        let name = prop::sample::select(MEMBERS.to_vec());
        (name, any::<u32>(), 0..3_u8).prop_map(|(name, upper, fold)| {
            let letters = name.chars().enumerate().map(|(at, letter)| {
                let is_upper = upper & (1 << (at % 32)) != 0 && fold > 0;
                match letter {
                    's' if is_upper && fold == 2 => '\u{17f}',
                    'k' if is_upper && fold == 2 => '\u{212a}',
                    letter if is_upper => letter.to_ascii_uppercase(),
                    letter => letter,
                }
            });
            (letters.collect(), json!(format!("value of {upper}")))
        })
    }

    /// What a reader without regard to case reads for each name, the last one counting.
    fn read_without_case(members: &[(String, Value)]) -> HashMap<String, Value> {
        let fold = |(name, value): &(String, Value)| {
            let name = name.to_lowercase().replace('\u{17f}', "s");
            (name, value.clone())
        };
        members.iter().map(fold).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Where a body is accepted, an upstream that reads names without regard to case finds the
        /// model that the rules were asked about, and not another value for a member that was read.
        #[test]
        fn a_reader_without_regard_to_case_finds_the_same_values(
            members in prop::collection::vec(written(), 0..6),
        ) {
            let text: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{value}", json!(name)))
                .collect();
            let body = format!("{{{}}}", text.join(","));
            let Ok(head) = scan(body.as_bytes()) else {
                return Ok(());
            };
            let theirs = read_without_case(&members);
            let RequestHead { model, service_tier, previous_response_id, prompt_cache_key, .. } = head;
            let text = |name: &str| theirs.get(name).and_then(Value::as_str).map(str::to_owned);
            prop_assert_eq!(model.map(|model| model.id), text("model"));
            for (name, read) in [
                ("service_tier", service_tier),
                ("previous_response_id", previous_response_id),
                ("prompt_cache_key", prompt_cache_key),
            ] {
                prop_assert!(read.is_none() || read == text(name), "{name}: {read:?} in {body}");
            }
        }
    }
}
