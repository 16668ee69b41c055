use super::*;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn split_scan(body: &[u8], cuts: &[usize]) -> Result<RequestHead, RequestError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    let mut scanner = HeadScanner::new();
    for pair in cuts.windows(2) {
        // A caller may go on after an error; it must get the same one.
        let _ignored = scanner.push(&body[pair[0]..pair[1]]);
    }
    scanner.finish()
}

fn fails(body: &[u8], kind: RequestErrorKind, offset: usize) {
    let expected = Err(RequestError { kind, offset });
    assert_eq!(scan(body), expected, "{:?}", String::from_utf8_lossy(body));
    for cut in 0..body.len() {
        assert_eq!(
            split_scan(body, &[cut]),
            expected,
            "{:?} cut at {cut}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn a_codex_body_gives_up_what_decisions_need() {
    let body = br#" {"model":"gpt-5.5","stream":true,"input":[{"model":"no","stream":false}],"tools":[],
        "reasoning":{"effort":"medium","summary":"auto","x":{"effort":"no"}},"store":false,"service_tier":"priority",
        "prompt_cache_key":"key-1","previous_response_id":"resp_1","background":null,
        "client_metadata":{"session_id":"s-1","x-codex-turn-metadata":"{\"turn_id\": \"t-1\"}","n":1}} "#;
    let head = scan(body).unwrap();
    let metadata = head.client_metadata.clone().unwrap();
    assert_eq!(
        metadata.get("x-codex-turn-metadata"),
        Some(r#"{"turn_id": "t-1"}"#)
    );
    assert_eq!(
        (metadata.get("session_id"), metadata.get("n")),
        (Some("s-1"), None)
    );
    assert_eq!(
        head,
        RequestHead {
            model: Some(ModelValue {
                id: "gpt-5.5".to_owned(),
                span: 10..19
            }),
            stream: Some(true),
            service_tier: Some("priority".to_owned()),
            effort: Some("medium".to_owned()),
            previous_response_id: Some("resp_1".to_owned()),
            prompt_cache_key: Some("key-1".to_owned()),
            store: Some(false),
            client_metadata: Some(metadata),
            has_input: true,
            ..RequestHead::default()
        }
    );
}

#[test]
fn a_chat_body_gives_up_what_decisions_need() {
    let body = br#"{"messages":[],"model":"m","max_tokens":5,"max_completion_tokens":70,"reasoning_effort":"low","stream_options":{"include_usage":true}}"#;
    let head = scan(body).unwrap();
    assert_eq!(
        (head.max_output_tokens, head.stream_options_include_usage),
        (Some(70), Some(true))
    );
    assert_eq!(
        (head.effort.as_deref(), head.has_messages, head.has_input),
        (Some("low"), true, false)
    );
    assert_eq!(
        scan(br#"{"reasoning":{"effort":3}}"#)
            .unwrap()
            .effort
            .as_deref(),
        Some("3")
    );
    assert!(scan(br#"{"conversation":"c"}"#).unwrap().has_conversation);
}

#[test]
fn the_model_is_known_before_the_rest_arrives() {
    let mut scanner = HeadScanner::new();
    scanner.push(br#"{"mod\u0065l":"a\u"#).unwrap();
    assert_eq!(scanner.head().model, None);
    scanner.push(br#"0062","input":["#).unwrap();
    assert_eq!(
        scanner.head().model,
        Some(ModelValue {
            id: "ab".to_owned(),
            span: 14..23
        })
    );
    assert!(scanner.finish().is_err());
}

#[test]
fn bad_bodies_are_refused_with_the_byte() {
    use RequestErrorKind::*;
    fails(b"", NotAnObject, 0);
    fails(b"  [1]", NotAnObject, 2);
    fails(b"\xEF\xBB\xBF{}", NotAnObject, 0);
    fails(b"{", Truncated, 1);
    fails(br#"{"a":tru"#, Truncated, 8);
    fails(br#"{"a":1} x"#, TrailingData, 8);
    fails(br#"{"a":01}"#, Syntax, 6);
    fails(br#"{"a":1.}"#, Syntax, 7);
    fails(br#"{"a":trve}"#, Syntax, 7);
    fails(br#"{"a":[1,]}"#, Syntax, 8);
    fails(br#"{"a":1,}"#, Syntax, 7);
    fails(br#"{"a":[1}"#, Syntax, 7);
    fails(br#"{"a":"\x"}"#, Syntax, 7);
    fails(br#"{"a":"\u00g0"}"#, Syntax, 10);
    fails(b"{\"a\":\"x\ny\"}", ControlCharacter, 7);
    fails(b"{\"a\":\"x\xFFy\"}", BadUtf8, 7);
    fails(b"{\"a\":\"x\xE6\xBC\"}", BadUtf8, 7);
    fails(b"{\"a\":\xC3\xA9}", Syntax, 5);
    fails(
        br#"{"model":"a","x":{"model":"b"},"mod\u0065l":"c"}"#,
        DuplicateModel,
        31,
    );
    fails(br#"{"model":"a","model":"a"}"#, DuplicateModel, 13);
    fails(br#"{"model":null}"#, ModelNotAString, 9);
    fails(br#"{"model":["a"]}"#, ModelNotAString, 9);
    fails(br#"{"model":"\ud800"}"#, ModelNotAString, 9);
    fails(
        format!(r#"{{"model":"{}"}}"#, "x".repeat(5000)).as_bytes(),
        ModelTooLong,
        9,
    );
    fails(
        format!("{{\"a\":{}", "[".repeat(127)).as_bytes(),
        TooDeep,
        131,
    );
    assert_eq!(
        RequestError {
            kind: DuplicateModel,
            offset: 31
        }
        .to_string(),
        "the request body has `model` twice (byte 31)"
    );
}

#[test]
fn what_is_too_large_to_keep_is_dropped_not_refused() {
    let long = "x".repeat(10_000);
    let body = format!(
        r#"{{"prompt_cache_key":"{long}","{long}":1,"client_metadata":{{"a":"{long}","b":"{long}","c":"d"}},"model":"m"}}"#
    );
    for size in [1, 100, body.len()] {
        let mut scanner = HeadScanner::new();
        for piece in body.as_bytes().chunks(size) {
            scanner.push(piece).unwrap();
        }
        let head = scanner.finish().unwrap();
        assert_eq!(
            (head.prompt_cache_key, head.model.unwrap().id),
            (None, "m".to_owned())
        );
        let metadata = head.client_metadata.unwrap();
        assert_eq!(
            (metadata.get("a"), metadata.get("b"), metadata.get("c")),
            (Some(long.as_str()), None, Some("d"))
        );
    }
}

#[test]
fn features_of_a_body_are_found() {
    let body = br#"{"model":"m","input":[{"type":"message","content":[{"type":"input_image","image_url":"data:x"}]},{"type":"reasoning","encrypted_content":"e"},
        {"type":"additional_tools","tools":[{}]},{"type":"compaction","encrypted_content":"c"},{"type":"compaction_trigger"},7],"text":{"verbosity":"low"},"reasoning":{"effort":"high"}}"#;
    let found = features(body, &scan(body).unwrap());
    assert_eq!(
        found,
        RequestFeatures {
            has_images: true,
            has_compaction_trigger: true,
            has_compaction_item: true,
            has_additional_tools: true,
            has_encrypted_reasoning: true,
            has_tools: true,
            input_items: 6,
            verbosity: Some("low".to_owned()),
            effort: Some("high".to_owned()),
            approx_input_tokens: found.approx_input_tokens,
        }
    );
    assert!((1_560..1_600).contains(&found.approx_input_tokens));
    let features = |body: &[u8]| features(body, &scan(body).unwrap());
    let plain = features(br#"{"input":"hi","tools":[],"reasoning":{"effort":null}}"#);
    assert_eq!(
        plain,
        RequestFeatures {
            input_items: 1,
            approx_input_tokens: 13,
            ..RequestFeatures::default()
        }
    );
    let chat = features(br#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}],"verbosity":"high","reasoning_effort":"low"}"#);
    assert!(
        chat.has_images
            && chat.verbosity.as_deref() == Some("high")
            && chat.effort.as_deref() == Some("low")
    );
    assert_eq!(
        scan(b"{\n\"a\":x}").unwrap_err(),
        RequestError {
            kind: RequestErrorKind::Syntax,
            offset: 6
        }
    );
}

/// What `serde_json` takes for a JSON object.
fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Box<RawValue>>(body).is_ok_and(|raw| raw.get().starts_with('{'))
}

fn depth(body: &[u8]) -> usize {
    let mut deepest = 0;
    let mut now = 0_usize;
    for byte in body {
        match byte {
            b'{' | b'[' => now += 1,
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let bit = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just(" "),
        Just("\n"),
        Just("\""),
        Just("\"a\""),
        Just("\"model\""),
        Just("\"stream\":true"),
        Just("\"reasoning\":{\"effort\":\"low\"}"),
        Just("\"\\u00e9\\n\""),
        Just("\"\\ud800\""),
        Just("\"é漢🦀\""),
        Just("true"),
        Just("false"),
        Just("null"),
        Just("0"),
        Just("-1.5e+3"),
        Just("12"),
        Just("."),
        Just("e"),
        Just("-"),
        Just("\\"),
        Just("\u{1}"),
        Just("\"input\":[1,{}]"),
        Just("\"client_metadata\":{\"x\":\"y\"}"),
    ];
    prop::collection::vec(bit, 0..16).prop_map(|bits| bits.concat().into_bytes())
}

/// A valid body, and one change to it.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let base = prop_oneof![
        Just(br#"{"model":"m","input":[{"a":[1,-2.5e3,true,null,"\u00e9\\"]}],"reasoning":{"effort":"low"}}"#.to_vec()),
        Just(r#"{ "x" : { } , "é" : [ ] , "model" : "漢" }"#.as_bytes().to_vec()),
    ];
    (base, any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(
        |(mut body, at, byte, how)| {
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                2 => {
                    body.remove(at);
                }
                _ => body.truncate(at),
            }
            body
        },
    )
}

fn agrees(body: &[u8]) -> Result<(), TestCaseError> {
    let result = scan(body);
    if depth(body) > 127 {
        return Ok(());
    }
    match result {
        Ok(_) => prop_assert!(is_object(body)),
        Err(error) => match error.kind {
            RequestErrorKind::DuplicateModel
            | RequestErrorKind::ModelInOtherCase
            | RequestErrorKind::MemberInTwoCases(_)
            | RequestErrorKind::ModelNotAString
            | RequestErrorKind::ModelTooLong => {}
            RequestErrorKind::NotAnObject
            | RequestErrorKind::Syntax
            | RequestErrorKind::ControlCharacter
            | RequestErrorKind::Truncated
            | RequestErrorKind::TrailingData
            | RequestErrorKind::TooDeep
            | RequestErrorKind::BadUtf8 => prop_assert!(!is_object(body), "{error}"),
        },
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn agrees_with_serde_json_on_random_text(body in body()) {
        agrees(&body)?;
        agrees(&[b"{\"x\":", &body[..], b"}"].concat())?;
    }

    #[test]
    fn agrees_with_serde_json_on_mutated_bodies(body in mutated()) {
        agrees(&body)?;
    }

    #[test]
    fn any_split_gives_the_same_answer(body in prop_oneof![body(), mutated()], cuts in prop::collection::vec(any::<usize>(), 0..10)) {
        prop_assert_eq!(split_scan(&body, &cuts), scan(&body));
    }
}
