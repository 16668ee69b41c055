//! Bad input in every direction, streamed and not: what the client is told, and what the ledger
//! keeps of it. One table, so that it shows where two directions differ.

use super::{call, third_party};
use gateway_tests::client::Reply;
use gateway_tests::upstream::{
    Chunking, FixedResponse, ModelAnswer, Output, Payload, Recorded, ReplyHead, Respond, Script,
    Step,
};
use serde_json::{Value, json};

/// A protocol on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Responses,
    Chat,
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Responses => "/v1/responses",
            Self::Chat => "/v1/chat/completions",
        }
    }

    /// A request in this protocol with one tool.
    fn body(self, tool: &str, stream: bool) -> Value {
        let parameters = json!({"type": "object"});
        match self {
            Self::Responses => {
                json!({"model": "third-a", "stream": stream, "store": false, "input": "hi",
                "tools": [{"type": "function", "name": tool, "parameters": parameters}]})
            }
            Self::Chat => {
                json!({"model": "third-a", "stream": stream, "messages": [{"role": "user", "content": "hi"}],
                "tools": [{"type": "function", "function": {"name": tool, "parameters": parameters}}]})
            }
        }
    }

    /// The beginning of an answer in this protocol, then an error.
    fn error_in_stream(self) -> Script {
        let error =
            json!({"message": "out of GPUs", "code": "server_error", "type": "server_error"});
        let events = match self {
            Self::Responses => vec![
                json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1", "role": "assistant", "content": []}}),
                json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "half"}),
                json!({"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "error": error,
                    "usage": {"input_tokens": 7, "output_tokens": 1, "total_tokens": 8}}}),
            ],
            Self::Chat => vec![
                json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "half"}}]}),
                json!({"error": error}),
            ],
        };
        Script::steps(vec![
            Step::Head(ReplyHead::event_stream()),
            Step::Send {
                body: Payload::Events(events),
                cuts: Chunking::Whole,
                delay_ms: 0,
            },
            Step::End,
        ])
    }
}

fn plain(kind: &str, body: &str) -> Script {
    Script::always(Respond::FixedResponse(FixedResponse {
        status: 200,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        body: Payload::Text(body.to_owned()),
    }))
}

/// The code that a client finds in an answer, wherever it stands; `-` where nothing went wrong for
/// it.
fn code(reply: &Reply) -> String {
    let last = if reply.text().trim_start().starts_with('{') {
        reply.json()
    } else {
        reply.events().pop().unwrap_or_default()
    };
    let error = [&last["error"], &last["response"]["error"]]
        .into_iter()
        .find(|error| error.is_object());
    error.map_or_else(
        || "-".to_owned(),
        |error| error["code"].as_str().unwrap_or("?").to_owned(),
    )
}

/// What the client was told and what stands in the books: status, code; outcome, where the tokens
/// are from, whether the cost is known.
async fn told_and_booked(
    client: Side,
    upstream: Side,
    script: Script,
    body: &Value,
) -> (String, Reply, Vec<Value>) {
    let wire = format!("\"{}\"", upstream.word());
    let (upstream, gateway) = third_party(script, &wire, "").await;
    let reply = call(&gateway, client.path(), body).send().await;
    let entry = gateway.entry_of(&reply).await;
    assert_eq!(entry["status"], reply.status, "{entry}");
    assert_eq!(entry["endpoint"], client.word(), "{entry}");
    assert_eq!(entry["model_requested"], "third-a", "{entry}");
    let attempts = entry["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(upstream.requests().len()), "{entry}");
    let line = format!(
        "{} {}; {} {} {}",
        reply.status,
        code(&reply),
        entry["outcome"].as_str().unwrap_or_default(),
        entry["usage_source"].as_str().unwrap_or_default(),
        entry["cost_source"].as_str().unwrap_or_default(),
    );
    let sent = upstream.requests();
    (line, reply, sent.iter().map(Recorded::json).collect())
}

const DIRECTIONS: [(Side, Side); 4] = [
    (Side::Responses, Side::Responses),
    (Side::Responses, Side::Chat),
    (Side::Chat, Side::Responses),
    (Side::Chat, Side::Chat),
];

/// Makes one kind of exchange in each direction, streamed and not, and compares what came of it.
async fn check(
    expected: &str,
    mut ask: impl FnMut(Side, Side, bool) -> (Script, Value),
) -> Vec<(Side, Side, bool, Reply, Vec<Value>)> {
    let (mut table, mut seen) = (Vec::new(), Vec::new());
    for (client, upstream) in DIRECTIONS {
        for stream in [true, false] {
            let (script, body) = ask(client, upstream, stream);
            let (line, reply, sent) = told_and_booked(client, upstream, script, &body).await;
            let way = if stream { "stream" } else { "whole" };
            table.push(format!(
                "{} to {}, {way}: {line}",
                client.word(),
                upstream.word()
            ));
            seen.push((client, upstream, stream, reply, sent));
        }
    }
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(table, expected, "{table:#?}");
    seen
}

#[tokio::test]
async fn a_good_answer_that_is_garbage() {
    check(
        r"
        responses to responses, stream: 502 upstream_unreadable; failed unknown unpriced
        responses to responses, whole: 200 -; upstream_truncated estimated unpriced
        responses to chat, stream: 502 upstream_unreadable; failed unknown unpriced
        responses to chat, whole: 502 upstream_unreadable; failed unknown unpriced
        chat to responses, stream: 502 upstream_unreadable; failed unknown unpriced
        chat to responses, whole: 502 upstream_unreadable; failed unknown unpriced
        chat to chat, stream: 502 upstream_unreadable; failed unknown unpriced
        chat to chat, whole: 200 -; upstream_truncated estimated unpriced
        ",
        |client, _, stream| {
            let page = plain("text/html", "<html>sign in</html>");
            (page, client.body("f", stream))
        },
    )
    .await;
}

#[tokio::test]
async fn a_good_answer_of_the_wrong_shape() {
    check(
        r"
        responses to responses, stream: 502 upstream_unreadable; failed unknown unpriced
        responses to responses, whole: 200 -; completed unknown unpriced
        responses to chat, stream: 502 upstream_unreadable; failed unknown unpriced
        responses to chat, whole: 502 upstream_unreadable; failed unknown unpriced
        chat to responses, stream: 502 upstream_unreadable; failed unknown unpriced
        chat to responses, whole: 502 upstream_unreadable; failed unknown unpriced
        chat to chat, stream: 502 upstream_unreadable; failed unknown unpriced
        chat to chat, whole: 200 -; completed unknown unpriced
        ",
        |client, _, stream| {
            (
                plain("application/json", "{\"hello\":1}"),
                client.body("f", stream),
            )
        },
    )
    .await;
}

#[tokio::test]
async fn an_error_in_a_good_answer() {
    check(r"
        responses to responses, stream: 200 server_error; failed reported unpriced
        responses to responses, whole: 200 server_error; failed unknown unpriced
        responses to chat, stream: 200 server_error; failed unknown unpriced
        responses to chat, whole: 502 server_error; failed unknown unpriced
        chat to responses, stream: 200 server_error; failed reported unpriced
        chat to responses, whole: 502 server_error; failed unknown unpriced
        chat to chat, stream: 200 server_error; failed unknown unpriced
        chat to chat, whole: 200 server_error; failed unknown unpriced
        ", |client, upstream, stream| {
        let script = if stream {
            upstream.error_in_stream()
        } else {
            let error = json!({"error": {"message": "out of GPUs", "code": "server_error", "type": "server_error"}});
            plain("application/json", &error.to_string())
        };
        (script, client.body("f", stream))
    })
    .await;
}

#[tokio::test]
async fn arguments_that_are_no_json() {
    let seen = check(
        r"
        responses to responses, stream: 200 -; completed reported unpriced
        responses to responses, whole: 200 -; completed reported unpriced
        responses to chat, stream: 200 server_error; failed reported unpriced
        responses to chat, whole: 502 server_error; failed reported unpriced
        chat to responses, stream: 200 server_error; failed reported unpriced
        chat to responses, whole: 502 server_error; failed reported unpriced
        chat to chat, stream: 200 -; completed reported unpriced
        chat to chat, whole: 200 -; completed reported unpriced
        ",
        |client, _, stream| {
            let bad = Output::Call {
                name: "f".to_owned(),
                namespace: None,
                arguments: "{\"cmd\": ls}".to_owned(),
                call_id: "call_1".to_owned(),
            };
            let script = Script::answer(ModelAnswer::of(vec![bad]));
            (script, client.body("f", stream))
        },
    )
    .await;
    // Bytes pass where nothing is translated; a translated answer with such a call is not one that
    // a client may act on.
    for (client, upstream, stream, reply, _) in seen {
        let text = reply.text();
        if client == upstream {
            assert!(
                text.contains("ls}"),
                "{client:?} {upstream:?} {stream}: {text}"
            );
        }
        assert!(
            client == upstream || !text.contains("output_item.done"),
            "{client:?} {upstream:?} {stream}: {text}"
        );
    }
}

#[tokio::test]
async fn a_tool_name_of_200_characters() {
    let name = "n".repeat(200);
    let seen = check(
        r"
        responses to responses, stream: 200 -; completed reported unpriced
        responses to responses, whole: 200 -; completed reported unpriced
        responses to chat, stream: 200 -; completed reported unpriced
        responses to chat, whole: 200 -; completed reported unpriced
        chat to responses, stream: 200 -; completed reported unpriced
        chat to responses, whole: 200 -; completed reported unpriced
        chat to chat, stream: 200 -; completed reported unpriced
        chat to chat, whole: 200 -; completed reported unpriced
        ",
        |client, _, stream| (Script::default(), client.body(&name, stream)),
    )
    .await;
    for (client, upstream, _, _, sent) in seen {
        let tool = &sent[0]["tools"][0];
        let sent = tool["name"].as_str().or(tool["function"]["name"].as_str());
        let length = sent.unwrap_or_default().len();
        // Responses names may be longer than Chat's: those are shortened. A name that is too long
        // in both is the upstream's to refuse.
        let is_shortened = (client, upstream) == (Side::Responses, Side::Chat);
        assert_eq!(length <= 64, is_shortened, "{length}");
        assert!(is_shortened || length == 200, "{length}");
    }
}

#[tokio::test]
async fn a_body_of_the_wrong_wire() {
    check(r"
        responses to responses, stream: 400 missing_required_parameter; failed unknown unpriced
        responses to responses, whole: 400 missing_required_parameter; failed unknown unpriced
        responses to chat, stream: 400 invalid_request; rejected unknown unpriced
        responses to chat, whole: 400 invalid_request; rejected unknown unpriced
        chat to responses, stream: 400 invalid_request; rejected unknown unpriced
        chat to responses, whole: 400 invalid_request; rejected unknown unpriced
        chat to chat, stream: 400 missing_required_parameter; failed unknown unpriced
        chat to chat, whole: 400 missing_required_parameter; failed unknown unpriced
        ", |client, _, stream| {
        let other = match client {
            Side::Responses => Side::Chat,
            Side::Chat => Side::Responses,
        };
        let refusal = json!({"error": {"message": "Missing required parameter", "type": "invalid_request_error", "param": null, "code": "missing_required_parameter"}});
        (Script::always(Respond::FixedResponse(FixedResponse::json(400, refusal))), other.body("f", stream))
    })
    .await;
}
