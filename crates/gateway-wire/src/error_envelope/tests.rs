use serde_json::{Value, json};

use super::*;

/// As in `read.rs`, in bytes.
const MAX_TEXT: usize = 8 * 1024;

/// Every shape of an error, with the message and the code that it has.
fn shapes() -> Vec<(Value, &'static str, Option<&'static str>)> {
    vec![
        (
            json!({"error":{"message":"no","type":"t","code":"c","param":"p"}}),
            "no",
            Some("c"),
        ),
        (json!({"error":"no"}), "no", None),
        (
            json!({"error":{"error":{"message":"no","code":7}}}),
            "no",
            Some("7"),
        ),
        (json!({"detail":"no"}), "no", None),
        (
            json!({"detail":[{"loc":["body"],"msg":"no","type":"missing"}]}),
            "no",
            None,
        ),
        (
            json!({"detail":{"message":"no","code":"c"}}),
            "no",
            Some("c"),
        ),
        (json!({"message":"no"}), "no", None),
        (
            json!({"message":"no","type":"overloaded_error"}),
            "no",
            None,
        ),
        (json!({"title":"no","status":503}), "no", None),
        (
            json!({"object":"error","message":"no","type":"InternalServerError","code":500}),
            "no",
            Some("500"),
        ),
        (
            json!({"type":"error","error":{"type":"overloaded_error","message":"no"}}),
            "no",
            None,
        ),
        (
            json!({"type":"error","code":"c","message":"no","param":null,"sequence_number":3}),
            "no",
            Some("c"),
        ),
        (
            json!({"errors":[{"code":1000,"message":"no"}],"success":false}),
            "no",
            Some("1000"),
        ),
        (json!({"errors":["no"]}), "no", None),
        (
            json!({"base_resp":{"status_code":1004,"status_msg":"no"},"choices":null}),
            "no",
            None,
        ),
        (
            json!({"code":1302,"msg":"no","success":false}),
            "no",
            Some("1302"),
        ),
        (
            json!({"code":"InvalidParameter","message":"no","request_id":"r"}),
            "no",
            Some("InvalidParameter"),
        ),
        (
            json!({"error_code":336003,"error_msg":"no"}),
            "no",
            Some("336003"),
        ),
        (json!({"error_message":"no"}), "no", None),
        (
            json!({"fault":{"faultstring":"no","detail":{"errorcode":"c"}}}),
            "no",
            Some("c"),
        ),
        (
            json!({"Message":"no","__type":"ThrottlingException"}),
            "no",
            None,
        ),
        (json!({"status":"error","message":"no"}), "no", None),
        (
            json!({"data":{"error":{"message":"no","code":"c"}},"error":true}),
            "no",
            Some("c"),
        ),
        (
            json!({"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}),
            "no",
            Some("429"),
        ),
        (json!({"error":{"message":"no"},"choices":[]}), "no", None),
        (
            json!({"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"c","message":"no"}},"error":{}}),
            "no",
            Some("c"),
        ),
    ]
}

#[test]
fn every_shape_keeps_its_message_and_code() {
    for (shape, message, code) in shapes() {
        for body in [
            shape.to_string(),
            json!([shape]).to_string(),
            format!("data: {shape}\n\n"),
        ] {
            let read = ErrorEnvelope::read(body.as_bytes());
            assert_eq!(
                (read.message.as_deref(), read.code.as_deref()),
                (Some(message), code),
                "{body}"
            );
        }
    }
}

#[test]
fn every_shape_is_found_inside_a_stream() {
    for (shape, message, _) in shapes() {
        let is_event_of_responses = shape["type"] == "response.failed";
        let found = error_in(shape.as_object().unwrap(), None);
        if !is_event_of_responses {
            assert_eq!(found.unwrap().message.as_deref(), Some(message), "{shape}");
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
