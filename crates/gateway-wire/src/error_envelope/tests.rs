use serde_json::{Value, json};

use super::*;

/// As in `read.rs`, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Every shape of an error whose message is `no`, with the code that it has.
const SHAPES: &[(&str, Option<&str>)] = &[
    (
        r#"{"error":{"message":"no","type":"t","code":"c","param":"p"}}"#,
        Some("c"),
    ),
    (r#"{"error":"no"}"#, None),
    (
        r#"{"error":{"error":{"message":"no","code":7}}}"#,
        Some("7"),
    ),
    (r#"{"detail":"no"}"#, None),
    (
        r#"{"detail":[{"loc":["body"],"msg":"no","type":"missing"}]}"#,
        None,
    ),
    (r#"{"detail":{"message":"no","code":"c"}}"#, Some("c")),
    (r#"{"message":"no"}"#, None),
    (r#"{"message":"no","type":"overloaded_error"}"#, None),
    (r#"{"title":"no","status":503}"#, None),
    (
        r#"{"object":"error","message":"no","type":"InternalServerError","code":500}"#,
        Some("500"),
    ),
    (
        r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#,
        None,
    ),
    (
        r#"{"type":"error","code":"c","message":"no","param":null,"sequence_number":3}"#,
        Some("c"),
    ),
    (
        r#"{"errors":[{"code":1000,"message":"no"}],"success":false}"#,
        Some("1000"),
    ),
    (r#"{"errors":["no"]}"#, None),
    (
        r#"{"base_resp":{"status_code":1004,"status_msg":"no"},"choices":null}"#,
        None,
    ),
    (r#"{"code":1302,"msg":"no","success":false}"#, Some("1302")),
    (
        r#"{"code":"InvalidParameter","message":"no","request_id":"r"}"#,
        Some("InvalidParameter"),
    ),
    (r#"{"error_code":336003,"error_msg":"no"}"#, Some("336003")),
    (r#"{"error_message":"no"}"#, None),
    (
        r#"{"fault":{"faultstring":"no","detail":{"errorcode":"c"}}}"#,
        Some("c"),
    ),
    (r#"{"Message":"no","__type":"ThrottlingException"}"#, None),
    (r#"{"status":"error","message":"no"}"#, None),
    (
        r#"{"data":{"error":{"message":"no","code":"c"}},"error":true}"#,
        Some("c"),
    ),
    (
        r#"{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}"#,
        Some("429"),
    ),
    (r#"{"error":{"message":"no"},"choices":[]}"#, None),
    (
        r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"c","message":"no"}},"error":{}}"#,
        Some("c"),
    ),
];

#[test]
fn every_shape_keeps_its_message_and_code() {
    for (shape, code) in SHAPES {
        for body in [
            (*shape).to_owned(),
            format!("[{shape}]"),
            format!(
                "data: {shape}

"
            ),
        ] {
            let read = ErrorEnvelope::read(body.as_bytes());
            assert_eq!(
                (read.message.as_deref(), read.code.as_deref()),
                (Some("no"), *code),
                "{body}"
            );
        }
    }
}

#[test]
fn every_shape_is_found_inside_a_stream() {
    for (shape, _) in SHAPES {
        let object: Value = serde_json::from_str(shape).unwrap();
        let found = error_in(object.as_object().unwrap(), None);
        // What ends a Responses stream says so by its type.
        if object["type"] != "response.failed" {
            assert_eq!(found.unwrap().message.as_deref(), Some("no"), "{shape}");
        }
    }
    let bare = json!({"foo": "bar"});
    let bare = bare.as_object().unwrap();
    assert_eq!(error_in(bare, None), None);
    assert!(error_in(bare, Some("error")).is_some());
}

#[test]
fn what_is_not_an_error_is_not_taken_for_one() {
    for object in [
        json!({"id":"c","choices":[{"index":0,"delta":{"content":"x"}}],"error":null}),
        json!({"choices":[],"usage":{"prompt_tokens":1}}),
        json!({"choices":[{"delta":{}}],"base_resp":{"status_code":0,"status_msg":""}}),
        json!({"choices":[{"delta":{}}],"code":0,"message":"success"}),
        json!({"choices":[{"delta":{}}],"error":{}}),
        json!({"choices":[{"delta":{}}],"error":""}),
        json!({"choices":[{"delta":{}}],"errors":[]}),
        json!({"type":"ping"}),
        json!({"type":"ping","message":"alive"}),
        json!({"type":"response.output_text.delta","delta":"error"}),
        json!({"type":"response.queued","message":"waiting"}),
        json!({"type":"codex.rate_limits","plan_type":"pro","message":"m"}),
        json!({"object":"chat.completion.chunk"}),
        json!({"x_groq":{"id":"r"}}),
        json!({"output":[{"type":"message"}],"status":"completed"}),
        json!({}),
    ] {
        assert_eq!(
            error_in(object.as_object().unwrap(), None),
            None,
            "{object}"
        );
    }
}

#[test]
fn long_texts_are_cut_and_bodies_that_are_no_words_have_no_message() {
    let long = "é".repeat(MAX_TEXT);
    let read = ErrorEnvelope::read(json!({"message": long}).to_string().as_bytes());
    assert_eq!(read.message.map(|message| message.len()), Some(MAX_TEXT));
    for body in ["<html>busy</html>", "", "{", "[1", "a\0b"] {
        assert_eq!(ErrorEnvelope::read(body.as_bytes()).message, None, "{body}");
    }
    assert_eq!(
        ErrorEnvelope::read(b"busy\n").message.as_deref(),
        Some("busy")
    );
}
