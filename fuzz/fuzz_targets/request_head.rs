//! Any bytes as a request body: the scanner says what `serde_json` says whether it is one object,
//! however it is cut; and what is spliced into a body that was accepted changes the one value and
//! nothing else. The first byte says where the body is cut.
#![no_main]

use bytes::Bytes;
use gateway_wire::request::{HeadScanner, RequestErrorKind, features, scan};
use gateway_wire::splice::{Edit, splice};
use gateway_wire::{adjust, stream_usage};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const NEW: &str = "new \"model\" \u{1f600}";

fuzz_target!(|data: &[u8]| {
    let Some((cut, body)) = data.split_first() else {
        return;
    };
    let scanned = scan(body);
    let (left, right) = body.split_at(usize::from(*cut).min(body.len()));
    let mut scanner = HeadScanner::new();
    let in_two = scanner
        .push(left)
        .and_then(|()| scanner.push(right))
        .and_then(|()| scanner.finish());
    assert_eq!(scanned, in_two);
    let parsed = serde_json::from_slice::<Map<String, Value>>(body);
    let head = match (scanned, &parsed) {
        (Ok(head), Ok(_)) => head,
        (Ok(_), Err(error)) => {
            // Numbers beyond what a double holds, and half of a surrogate pair, are the upstream's
            // to judge.
            let text = error.to_string();
            assert!(
                text.contains("number out of range")
                    || text.contains("surrogate")
                    || text.contains("hex escape"),
                "{text}"
            );
            return;
        }
        (Err(error), Ok(_)) => {
            assert!(
                matches!(
                    error.kind,
                    RequestErrorKind::DuplicateModel
                        | RequestErrorKind::ModelInOtherCase
                        | RequestErrorKind::MemberInTwoCases(_)
                        | RequestErrorKind::ModelNotAString
                        | RequestErrorKind::ModelTooLong
                ),
                "{error}"
            );
            return;
        }
        (Err(_), Err(_)) => return,
    };
    let _ = features(body, &head);
    let _ = adjust::adjust(
        body,
        &adjust::Adjustments {
            model: None,
            effort: Some("low".to_owned()),
            verbosity: Some("low".to_owned()),
            lift_lite_tools: true,
            strip_encrypted_reasoning: true,
        },
    );
    let mut expected = Value::Object(parsed.expect("it was parsed"));
    let mut edits = Vec::new();
    if let Some(model) = head.model {
        assert_eq!(expected["model"], model.id);
        expected["model"] = NEW.into();
        edits.push(Edit::string(model.span, NEW));
    }
    if let Some(edit) = stream_usage::ask(body) {
        if !expected["stream_options"].is_object() {
            expected["stream_options"] = Value::Object(Map::new());
        }
        expected["stream_options"]["include_usage"] = true.into();
        edits.push(edit);
    }
    let body = Bytes::copy_from_slice(body);
    let sent = splice(&body, edits)
        .expect("both places lie in the body")
        .concat();
    let sent: Value = serde_json::from_slice(&sent).expect("what is sent is JSON");
    assert_eq!(sent, expected);
});
