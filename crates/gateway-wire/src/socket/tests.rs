//! Frames of both sides.

use serde_json::{Value, json};

use super::*;
use bytes::Bytes;

fn create(value: &Value) -> CreateFrame {
    match ClientFrame::read(&Bytes::from(value.to_string())).unwrap() {
        ClientFrame::Create(frame) => frame,
        ClientFrame::Other { kind } => panic!("{kind}"),
    }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn a_create_message_is_a_request_body_with_a_few_members_more() {
    let frame = create(&json!({
        "type": "response.create", "generate": false, "model": "m", "stream_id": "a",
        "input": [{"x": "]"}, 2], "client_metadata": {"turn_id": "t", "n": 1},
    }));
    assert!(frame.is_warmup());
    assert_eq!(frame.stream_id(), Some("a"));
    assert_eq!(frame.previous_response_id(), None);
    let expected = [("turn_id".to_owned(), "t".to_owned())];
    assert_eq!(frame.client_metadata(), expected);
    assert_eq!(frame.input_items(), r#"{"x":"]"},2"#);
    assert_eq!(
        parsed(&frame.body()),
        json!({"model": "m", "input": [{"x": "]"}, 2], "stream": true,
            "client_metadata": {"turn_id": "t", "n": 1}})
    );
}

#[test]
fn what_codex_says_only_on_a_socket_is_not_in_the_body() {
    let metadata = json!({
        "turn_id": "t", "x-codex-ws-stream-request-start-ms": "1", "n": 2,
        "ws_request_header_x_openai_internal_codex_responses_lite": "true",
    });
    let frame = create(&json!({"type": "response.create", "client_metadata": metadata}));
    assert_eq!(
        parsed(&frame.body()),
        json!({"client_metadata": {"turn_id": "t", "n": 2}, "stream": true})
    );
}

#[test]
fn a_continuation_is_expanded_to_the_whole_conversation() {
    let history = [
        Bytes::from_static(b"1,2"),
        Bytes::new(),
        Bytes::from_static(b"3"),
    ];
    for (input, expected) in [
        (json!([4, 5]), json!([1, 2, 3, 4, 5])),
        (json!([]), json!([1, 2, 3])),
        (
            json!("hi"),
            json!([1, 2, 3, {"type": "message", "role": "user", "content": "hi"}]),
        ),
    ] {
        let frame = create(&json!({
            "type": "response.create", "previous_response_id": "r", "stream": false,
            "input": input, "model": "m",
        }));
        assert_eq!(frame.previous_response_id().as_deref(), Some("r"));
        assert_eq!(
            parsed(&frame.expanded_body(&history)),
            json!({"model": "m", "input": expected, "stream": true})
        );
    }
    let without = create(&json!({"type": "response.create", "previous_response_id": "r"}));
    assert_eq!(
        parsed(&without.expanded_body(&history)),
        json!({"input": [1, 2, 3], "stream": true})
    );
    assert_eq!(
        parsed(&create(&json!({"type": "response.create"})).body()),
        json!({"stream": true})
    );
}

#[test]
fn a_body_becomes_a_message_again() {
    let pieces = [
        Bytes::from_static(b" {\"model\""),
        Bytes::from_static(b":{\"a\":1}}"),
    ];
    for (is_warmup, expected) in [
        (false, json!({"type": "response.create", "model": {"a": 1}})),
        (
            true,
            json!({"type": "response.create", "generate": false, "model": {"a": 1}}),
        ),
    ] {
        assert_eq!(parsed(&upstream_frame(pieces.clone(), is_warmup)), expected);
    }
}

#[test]
fn what_is_not_a_message_is_refused() {
    for (text, expected) in [
        ("[1]", FrameError::Json("it is another value".to_owned())),
        ("{\"type\":1}", FrameError::NoType),
        ("{}", FrameError::NoType),
        (
            r#"{"type":"response.create","input":[],"input":[]}"#,
            FrameError::Twice("input"),
        ),
        (r#"{"type":"response.create","input":3}"#, FrameError::Input),
    ] {
        assert_eq!(
            ClientFrame::read(&Bytes::from(text)),
            Err(expected),
            "{text}"
        );
    }
    for text in ["", "{", "{} {}", "\u{0}"] {
        let read = ClientFrame::read(&Bytes::from(text));
        assert!(matches!(read, Err(FrameError::Json(_))), "{text}");
    }
    let other = ClientFrame::read(&Bytes::from_static(br#"{"type":"response.interrupt"}"#));
    let kind = "response.interrupt".to_owned();
    assert_eq!(other, Ok(ClientFrame::Other { kind }));
}

#[test]
fn events_cross_between_streams_and_messages_unchanged() {
    let message = Bytes::from_static(br#"{"type":"x","text":"a\nb"}"#);
    assert_eq!(as_text(&as_event(&message)), Some(message));
    let pretty = Bytes::from_static(b"{\r\n \"a\":\n1}");
    assert_eq!(as_text(&as_event(&pretty)).unwrap(), "{ \"a\":1}");
    for event in [": comment\n\n", "data: [DONE]\n\n", "data:\n\n"] {
        assert_eq!(as_text(&Bytes::from(event)), None, "{event}");
    }
}

#[test]
fn events_say_what_they_mean_for_the_conversation() {
    for (text, expected) in [
        (
            r#"{"type":"response.output_item.done","item":{"a":1}}"#,
            EventKind::Item(Bytes::from_static(br#"{"a":1}"#)),
        ),
        (
            r#"{"type":"response.completed","response":{"id":"r"}}"#,
            EventKind::Completed(Some("r".to_owned())),
        ),
        (
            r#"{"type":"response.incomplete","response":{}}"#,
            EventKind::Completed(None),
        ),
        (r#"{"type":"response.failed"}"#, EventKind::Failed),
        (r#"{"type":"error"}"#, EventKind::Error),
        (r#"{"type":"response.created"}"#, EventKind::Other),
        ("[]", EventKind::Other),
    ] {
        assert_eq!(read_event(&Bytes::from(text)), expected, "{text}");
    }
}

#[test]
fn an_error_always_has_a_status() {
    let frame = |status, headers, body: &str| {
        let body = Bytes::from(body.to_owned());
        error_frame(ErrorParts {
            status,
            headers,
            body: &body,
        })
    };
    let retry: &[(&str, &str)] = &[("retry-after", "2")];
    for (got, expected) in [
        (
            frame(429, retry, r#"{"error":{"code":"c","n":1e2}}"#),
            r#"{"type":"error","status":429,"error":{"code":"c","n":1e2},"headers":{"retry-after":"2"}}"#,
        ),
        (
            frame(400, &[], r#"{"detail":"no"}"#),
            r#"{"type":"error","status":400,"error":{"code":null,"message":"no","type":"invalid_request_error"}}"#,
        ),
        (
            frame(502, &[], "<html>"),
            r#"{"type":"error","status":502,"error":{"code":null,"message":"<html>","type":"server_error"}}"#,
        ),
        // A message without one gets one; one that has it crosses byte for byte.
        (
            frame(500, &[], r#"{"type":"error","code":"c","message":"m"}"#),
            r#"{"type":"error","status":500,"error":{"code":"c","message":"m","type":"server_error"}}"#,
        ),
        (
            frame(500, retry, r#"{ "type":"error","status":401 }"#),
            r#"{ "type":"error","status":401 }"#,
        ),
    ] {
        assert_eq!(got, expected);
    }
}

#[test]
fn a_first_message_is_told_by_its_type() {
    let error = r#"{"type":"error","status_code":429,"error":{"code":"c"},"headers":{"retry-after":3,"x":"y"}}"#;
    assert_eq!(
        ServerFrame::read(error.as_bytes()),
        ServerFrame::Error {
            status: Some(429),
            code: Some("c".to_owned()),
            headers: vec![
                ("retry-after".to_owned(), "3".to_owned()),
                ("x".to_owned(), "y".to_owned())
            ],
        }
    );
    for (text, expected) in [
        (r#"{"type":"codex.rate_limits"}"#, ServerFrame::Account),
        (r#"{"type":"response.created"}"#, ServerFrame::Event),
        ("nothing", ServerFrame::Account),
    ] {
        assert_eq!(ServerFrame::read(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn a_whole_response_becomes_the_events_of_a_stream() {
    let body = Bytes::from_static(br#"{"id":"r","status":"completed","output":[{"a":1}]}"#);
    let kinds: Vec<EventKind> = whole_reply(&body).iter().map(read_event).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Other,
            EventKind::Other,
            EventKind::Item(Bytes::from_static(br#"{"a":1}"#)),
            EventKind::Completed(Some("r".to_owned())),
        ]
    );
    let broken = whole_reply(&Bytes::from_static(b"<html>"));
    assert_eq!(
        broken.iter().map(read_event).collect::<Vec<_>>(),
        [EventKind::Failed]
    );
}
