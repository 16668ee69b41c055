//! What an upstream may not leave out of an answer in silence: what deviates is read, what cannot
//! be read makes the answer fail, and the same in both directions, streamed and whole.

use gateway_wire::stream::Terminal;
use gateway_wire::translate::{NoReasoning, ReplySettings, reply_json};
use gateway_wire::{Dialect, WireApi};
use serde_json::{Value, json};

use crate::harness::{stream, translate};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Complete, and the client gets the text or the arguments.
    Read,
    Failed,
}
use Fate::{Failed, Read};

/// Must reach the client where the answer is read.
const WORDS: &str = "seventeen";

fn settings(client: WireApi) -> ReplySettings {
    let request = match client {
        WireApi::Responses => json!({"model": "x", "input": "Hi.", "stream": true, "tools": [
            {"type": "function", "name": "look", "parameters": {"type": "object"}}]}),
        WireApi::Chat => json!({"model": "x", "stream": true,
            "messages": [{"role": "user", "content": "Hi."}],
            "tools": [{"type": "function", "function": {"name": "look"}}]}),
    };
    translate(
        client,
        request.to_string().as_bytes(),
        &Dialect::OPENAI,
        false,
        false,
        &NoReasoning,
    )
    .unwrap()
    .reply
}

/// One call whose arguments are this JSON value.
fn chat_call(arguments: &Value) -> Value {
    json!({"tool_calls": [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": arguments}}]})
}

/// Members of the assistant's message, as a delta or whole.
fn chat_members() -> Vec<(Value, Fate)> {
    let call = r#"{"n":"seventeen"}"#;
    vec![
        (json!({"content": "seventeen"}), Read),
        (
            json!({"content": [{"type": "text", "text": "seventeen"}]}),
            Read,
        ),
        (json!({"content": {"unknown": 1}}), Failed),
        (chat_call(&json!(call)), Read),
        (chat_call(&json!({"n": "seventeen"})), Read),
        (chat_call(&json!("{\"n\": ")), Failed),
        (chat_call(&json!("[1]")), Failed),
        (
            json!({"tool_calls": chat_call(&json!(call))["tool_calls"][0]}),
            Read,
        ),
        (json!({"tool_calls": "look"}), Failed),
    ]
}

fn chat_stream(delta: &Value) -> Vec<u8> {
    let reason = if delta["tool_calls"].is_null() {
        "stop"
    } else {
        "tool_calls"
    };
    let first =
        json!({"id": "a", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let last = json!({"id": "a", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n").into_bytes()
}

fn chat_whole(message: &Value) -> Vec<u8> {
    let reason = if message["tool_calls"].is_null() {
        "stop"
    } else {
        "tool_calls"
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": reason});
    json!({"id": "a", "choices": [choice]})
        .to_string()
        .into_bytes()
}

fn response_call(arguments: &Value) -> Value {
    json!({"type": "function_call", "id": "f", "call_id": "c1", "name": "look", "arguments": arguments})
}

fn response_message(content: &Value) -> Value {
    json!({"type": "message", "id": "m", "role": "assistant", "content": content})
}

/// Items of a response.
fn response_items() -> Vec<(Value, Fate)> {
    vec![
        (
            response_message(&json!([{"type": "output_text", "text": "seventeen"}])),
            Read,
        ),
        (response_message(&json!("seventeen")), Read),
        (response_message(&json!(17)), Failed),
        (response_call(&json!(r#"{"n":"seventeen"}"#)), Read),
        (response_call(&json!({"n": "seventeen"})), Read),
        (response_call(&json!("{\"n\": ")), Failed),
        (response_call(&json!("[1]")), Failed),
    ]
}

fn response_stream(item: &Value) -> Vec<u8> {
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": item});
    let end = json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}});
    format!("data: {done}\n\ndata: {end}\n\n").into_bytes()
}

fn response_whole(item: &Value) -> Vec<u8> {
    json!({"id": "r", "object": "response", "status": "completed", "output": [item]})
        .to_string()
        .into_bytes()
}

fn check_stream(client: WireApi, bytes: &[u8], fate: Fate) {
    let sent = String::from_utf8_lossy(bytes);
    let streamed = stream(&settings(client), &[bytes]);
    let is_failed = matches!(streamed.summary.terminal, Some(Terminal::Failed(_)));
    assert_eq!(is_failed, fate == Failed, "{sent}\n{}", streamed.text());
    let is_told = streamed.text().contains(WORDS);
    assert!(is_told || fate == Failed, "{sent}\n{}", streamed.text());
    let ends_well = ["response.completed", "[DONE]"]
        .iter()
        .any(|end| streamed.text().contains(end));
    assert_eq!(ends_well, fate == Read, "{sent}\n{}", streamed.text());
}

fn check_whole(client: WireApi, body: &[u8], fate: Fate) {
    let sent = String::from_utf8_lossy(body);
    match reply_json(&settings(client), body) {
        Ok(reply) => {
            let told = String::from_utf8_lossy(&reply.body).into_owned();
            assert_eq!(fate, Read, "{sent}\n{told}");
            assert!(told.contains(WORDS), "{sent}\n{told}");
        }
        Err(error) => assert_eq!(fate, Failed, "{sent}\n{error:?}"),
    }
}

#[test]
fn what_a_chat_upstream_says_is_read_or_fails() {
    for (message, fate) in chat_members() {
        check_stream(WireApi::Responses, &chat_stream(&message), fate);
        check_whole(WireApi::Responses, &chat_whole(&message), fate);
    }
}

#[test]
fn what_a_responses_upstream_says_is_read_or_fails() {
    for (item, fate) in response_items() {
        check_stream(WireApi::Chat, &response_stream(&item), fate);
        check_whole(WireApi::Chat, &response_whole(&item), fate);
    }
}

#[test]
fn an_event_that_cannot_be_read_fails_the_answer() {
    let good = [
        (WireApi::Responses, chat_stream(&json!({"content": WORDS}))),
        (
            WireApi::Chat,
            response_stream(&response_message(
                &json!([{"type": "output_text", "text": WORDS}]),
            )),
        ),
    ];
    let unreadable = ["{\"choices\": [", "<html>", "17"];
    let errors = [
        r#"data: {"error": {"message": "No."}}"#,
        r#"data: {"error": "No."}"#,
        r#"data: [{"error": {"message": "No."}}]"#,
        r#"data: {"detail": "No."}"#,
        "event: error\ndata: {\"message\": \"No.\"}",
    ];
    for (client, good) in good {
        check_stream(client, &good, Read);
        for data in unreadable {
            let event = format!("data: {data}\n\n");
            check_stream(client, &[event.as_bytes(), &good].concat(), Failed);
        }
        let first = good.windows(2).position(|pair| pair == b"\n\n").unwrap() + 2;
        for error in errors {
            let event = format!("{error}\n\n");
            let bytes = [&good[..first], event.as_bytes()].concat();
            check_stream(client, &bytes, Failed);
            let told = stream(&settings(client), &[&bytes]).text();
            assert!(told.contains("No."), "{event}{told}");
        }
    }
}

#[test]
fn half_a_character_becomes_a_replacement_character() {
    let chat = String::from_utf8(chat_stream(&json!({"content": WORDS}))).unwrap();
    let whole = response_message(&json!([{"type": "output_text", "text": WORDS}]));
    let response = String::from_utf8(response_stream(&whole)).unwrap();
    for (client, good) in [(WireApi::Responses, chat), (WireApi::Chat, response)] {
        let bytes = good.replace(WORDS, r"seventeen\ud83d");
        check_stream(client, bytes.as_bytes(), Read);
    }
}
