//! Responses over WebSocket, before upstreams that speak HTTP.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::sample::{API_KEY, PROMPT_CANARY};
use gateway_tests::start_with;
use gateway_tests::upstream::{
    AnswerEnd, Chunking, FixedResponse, ModelAnswer, Output, Payload, Recorded, ReplyHead, Respond,
    Script, Step, Upstream,
};
use gateway_tests::websocket::{Received, WebSocket, frame_head, opcode};
use serde_json::{Value, json};
use std::time::Duration;

/// The key of the configuration that turns it on.
const ON: &str = "websocket = true";

fn on(config: Config) -> Config {
    config.server(ON)
}

async fn open(gateway: &Gateway) -> WebSocket {
    WebSocket::open(gateway.address(), API_KEY).await
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": format!("{PROMPT_CANARY} {text}")}]})
}

fn create(previous: Option<&str>, input: &[Value]) -> Value {
    let mut message =
        json!({"type": "response.create", "model": "gpt-5.5", "store": false, "input": input});
    if let Some(previous) = previous {
        message["previous_response_id"] = previous.into();
    }
    message
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str());
    kinds.map(Option::unwrap_or_default).collect()
}

#[track_caller]
fn id_of(events: &[Value]) -> String {
    let last = events.last().expect("there are events");
    assert_eq!(last["type"], "response.completed", "{events:#?}");
    let id = last["response"]["id"].as_str();
    id.expect("a response has an id").to_owned()
}

fn items(events: &[Value]) -> Vec<Value> {
    let done = |event: &&Value| event["type"] == "response.output_item.done";
    let done = events.iter().filter(done);
    done.map(|event| event["item"].clone()).collect()
}

#[track_caller]
fn assert_error(events: &[Value], status: u16, code: &str) {
    let [error] = events else {
        panic!("{events:#?}")
    };
    assert_eq!(error["type"], "error");
    assert_eq!(error["status"], status, "{error}");
    assert_eq!(error["error"]["code"], code, "{error}");
}

#[tokio::test]
async fn a_conversation_reaches_the_upstream_whole_and_a_warm_up_buys_nothing() {
    let (upstream, gateway) = start_with(Script::default(), on).await;
    let mut socket = open(&gateway).await;
    let mut warm_up = create(None, &[user("base")]);
    warm_up["generate"] = false.into();
    let warmed = socket.ask(&warm_up).await;
    assert_eq!(kinds(&warmed), ["response.created", "response.completed"]);
    assert!(upstream.requests().is_empty());

    let first = socket
        .ask(&create(Some(&id_of(&warmed)), &[user("one")]))
        .await;
    let second = socket
        .ask(&create(Some(&id_of(&first)), &[user("two")]))
        .await;
    id_of(&second);
    let bodies: Vec<Value> = upstream.requests().iter().map(Recorded::json).collect();
    let mut whole = vec![user("base"), user("one")];
    let expected = |input: &[Value]| json!({"model": "gpt-5.5", "store": false, "input": input, "stream": true});
    assert_eq!(bodies[0], expected(&whole));
    whole.extend(items(&first));
    whole.push(user("two"));
    assert_eq!(bodies[1], expected(&whole));
    let entries = gateway.entries().await;
    let facts: Vec<(&str, &str)> = entries
        .iter()
        .map(|it| (it["request_kind"].as_str(), it["outcome"].as_str()))
        .map(|(kind, outcome)| (kind.unwrap_or_default(), outcome.unwrap_or_default()))
        .collect();
    assert_eq!(facts.len(), 3, "{entries:#?}");
    assert!(facts.iter().all(|(_, outcome)| *outcome == "completed"));
    assert_eq!(
        facts.iter().filter(|(kind, _)| *kind == "prewarm").count(),
        1
    );
}

#[tokio::test]
async fn the_events_are_those_of_the_stream() {
    let (upstream, gateway) = start_with(Script::default(), on).await;
    let over_http = gateway_tests::sample::by_key(&gateway.client())
        .send()
        .await;
    let body = upstream.only_request().json();
    let mut socket = open(&gateway).await;
    let mut message = body.clone();
    message["type"] = "response.create".into();
    let events = socket.ask(&message).await;
    assert_eq!(upstream.requests()[1].json(), body);
    let expected = over_http.event_types();
    assert_eq!(
        kinds(&events),
        expected.iter().map(String::as_str).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_chat_upstream_is_served_too_and_the_conversation_goes_on() {
    let upstream = Upstream::start().await;
    let tables = format!(
        "[upstreams.chat]\nbase_url = \"{}\"\nwire_api = \"chat\"\ncredential = \"none\"\n\n\
         [[rules]]\nname = \"to chat\"\nwhen = {{ model = \"gpt-5.5\" }}\n\
         then = {{ send = \"chat\" }}\n",
        upstream.base_url()
    );
    let gateway = Gateway::start(&Config::to(&upstream).server(ON).rest(&tables)).await;
    let mut socket = open(&gateway).await;
    let first = socket.ask(&create(None, &[user("one")])).await;
    let second = socket
        .ask(&create(Some(&id_of(&first)), &[user("two")]))
        .await;
    id_of(&second);
    let bodies: Vec<Value> = upstream.requests().iter().map(Recorded::json).collect();
    let roles = |body: &Value| -> Vec<String> {
        let messages = body["messages"].as_array().expect("Chat has messages");
        let roles = messages.iter().map(|message| message["role"].as_str());
        roles
            .map(|role| role.unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(roles(&bodies[0]), ["user"]);
    assert_eq!(roles(&bodies[1]), ["user", "assistant", "user"]);
}

#[tokio::test]
async fn refusals_are_errors_with_a_status_and_the_socket_stays() {
    let (upstream, gateway) = start_with(Script::default(), |config| {
        config.server(ON).rest("[[rules]]\nname = \"no\"\nwhen = { model = \"gpt-5.4\" }\nthen = { reject = \"not here\" }\n")
    })
    .await;
    let mut socket = open(&gateway).await;
    let mut rejected = create(None, &[user("x")]);
    rejected["model"] = "gpt-5.4".into();
    assert_error(&socket.ask(&rejected).await, 400, "model_not_found");
    let mut lane = create(None, &[user("x")]);
    lane["stream_id"] = "a".into();
    assert_error(&socket.ask(&lane).await, 400, "invalid_request");
    for unusable in [
        json!([1]),
        json!({"type": "session.update"}),
        json!({"model": "x"}),
    ] {
        assert_error(&socket.ask(&unusable).await, 400, "invalid_request");
    }
    let forgotten = create(Some("resp_warmup_of_another_socket"), &[user("x")]);
    let events = socket.ask(&forgotten).await;
    assert_error(&events, 400, "previous_response_not_found");
    assert!(upstream.requests().is_empty());
    // What interrupts comes too late while nothing runs; an answer to it would be taken for that of
    // the next message.
    socket.send(&json!({"type": "response.interrupt"})).await;
    id_of(&socket.ask(&create(None, &[user("x")])).await);
}

#[tokio::test]
async fn an_error_of_the_upstream_crosses_with_its_status_and_headers() {
    let error = json!({"error": {"message": "slow down", "code": "rate_limited", "n": 1.50}});
    let refusal = FixedResponse::json(429, error.clone()).header("retry-after", "7");
    let script = Script::always(Respond::FixedResponse(refusal));
    let (_upstream, gateway) = start_with(script, on).await;
    let mut socket = open(&gateway).await;
    let events = socket.ask(&create(None, &[user("x")])).await;
    assert_error(&events, 429, "rate_limited");
    assert_eq!(events[0]["error"], error["error"]);
    assert_eq!(events[0]["headers"]["retry-after"], "7");
}

#[tokio::test]
async fn a_handshake_is_refused_with_426_alone() {
    let bearer = format!("Bearer {API_KEY}");
    let by_key = [("authorization", bearer.as_str())];
    let (_upstream, off) = start_with(Script::default(), |config| {
        config.server("websocket = false")
    })
    .await;
    let refused = WebSocket::try_open(off.address(), &by_key).await;
    assert_eq!(refused.err(), Some(426));
    let (_upstream, gateway) = start_with(Script::default(), |config| {
        config.server(ON).server("max_websockets_per_caller = 1")
    })
    .await;
    let refused = WebSocket::try_open(gateway.address(), &[]).await;
    assert_eq!(refused.err(), Some(426), "without a credential");
    let first = open(&gateway).await;
    let refused = WebSocket::try_open(gateway.address(), &by_key).await;
    assert_eq!(refused.err(), Some(426), "a second one of the same caller");
    drop(first);
    while WebSocket::try_open(gateway.address(), &by_key)
        .await
        .is_err()
    {
        gateway_tests::wait::poll_interval().await;
    }
    let foreign = [by_key[0], ("origin", "https://evil.example")];
    let refused = WebSocket::try_open(gateway.address(), &foreign).await;
    assert_eq!(refused.err(), Some(403), "a web page of another origin");
}

#[tokio::test]
async fn a_revoked_key_stops_the_next_message() {
    let upstream = Upstream::start().await;
    let config = on(Config::to(&upstream));
    let gateway = Gateway::of_a_team_by(config, &upstream, "", "").await;
    let (id, key) = gateway.new_key(&["--name", "one"]).await;
    let mut socket = WebSocket::open(gateway.address(), &key).await;
    id_of(&socket.ask(&create(None, &[user("x")])).await);
    gateway.administer(&["keys", "revoke", &id]);
    let started = tokio::time::Instant::now();
    loop {
        let events = socket.ask(&create(None, &[user("x")])).await;
        if events[0]["type"] == "error" {
            assert_error(&events, 401, "invalid_gateway_key");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "still served");
    }
}

fn endless() -> Script {
    let text = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n".to_owned();
    Script::steps(vec![
        Step::Head(ReplyHead::event_stream()),
        Step::Send {
            body: Payload::Text(text),
            cuts: Chunking::default(),
            delay_ms: 0,
        },
        Step::Stall,
    ])
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_upstream_at_once() {
    let (upstream, gateway) = start_with(endless(), on).await;
    let mut socket = open(&gateway).await;
    socket.send(&create(None, &[user("x")])).await;
    socket.receive().await;
    // While a response runs, the client is heard.
    socket.frame(opcode::PING, true, b"there?").await;
    assert_eq!(socket.receive().await, Received::Pong(b"there?".to_vec()));
    drop(socket);
    let requests = upstream.wait_until_idle().await;
    assert_eq!(requests[0].outcome.unwrap().0, AnswerEnd::PeerGone);
    gateway.wait_for_output("client_gone").await;
}

#[tokio::test]
async fn what_breaks_the_protocol_closes_with_the_code_that_says_so() {
    let (_upstream, gateway) = start_with(Script::default(), |config| {
        config.server(ON).server("max_request_body = \"1MiB\"")
    })
    .await;
    let text = |payload: &[u8], mask| {
        let mut bytes = frame_head(opcode::TEXT, true, payload.len(), mask);
        bytes.extend_from_slice(payload);
        bytes
    };
    let large = (1 << 20) + 1;
    let mut too_large = frame_head(opcode::TEXT, true, large, 0x80);
    too_large.extend_from_slice(&[0; 4]);
    let mut reserved = text(b"", 0x80);
    reserved.extend_from_slice(&[0; 4]);
    reserved[0] |= 0x40;
    let mut not_utf8 = frame_head(opcode::TEXT, true, 1, 0x80);
    not_utf8.extend_from_slice(&[0, 0, 0, 0, 0xFF]);
    let mut binary = frame_head(opcode::BINARY, true, 0, 0x80);
    binary.extend_from_slice(&[0; 4]);
    let mut long_ping = frame_head(opcode::PING, true, 126, 0x80);
    long_ping.extend_from_slice(&[0; 130]);
    for (what, bytes, expected) in [
        ("a text without a mask", text(b"{}", 0), 1002),
        ("a reserved bit", reserved, 1002),
        ("a ping of 126 bytes", long_ping, 1002),
        ("a text that is not UTF-8", not_utf8, 1007),
        ("a binary message", binary, 1003),
        ("a message that is too large", too_large, 1009),
    ] {
        let mut socket = open(&gateway).await;
        let max = socket
            .handshake
            .iter()
            .find(|(name, _)| name == "x-codex-websocket-max-message-bytes");
        assert_eq!(max.map(|(_, value)| value.as_str()), Some("1048576"));
        socket.raw(&bytes).await;
        assert_eq!(socket.receive().await, Received::Close(expected), "{what}");
    }
}

#[tokio::test]
async fn fragments_are_one_message_with_control_frames_between_them() {
    let (upstream, gateway) = start_with(Script::default(), on).await;
    let mut socket = open(&gateway).await;
    let text = "äöü ".repeat(1 << 20);
    let message = create(None, &[user(&text)]).to_string();
    let mut pieces = message.as_bytes().chunks(1 << 20).peekable();
    let mut kind = opcode::TEXT;
    while let Some(piece) = pieces.next() {
        socket.frame(kind, pieces.peek().is_none(), piece).await;
        kind = opcode::CONTINUATION;
        if pieces.peek().is_some() {
            socket.frame(opcode::PING, true, b"p").await;
            assert_eq!(socket.receive().await, Received::Pong(b"p".to_vec()));
        }
    }
    id_of(&socket.response().await);
    let received = &upstream.only_request().json()["input"][0];
    assert_eq!(*received, user(&text));
    // The same in one frame.
    id_of(&socket.ask(&create(None, &[user(&text)])).await);
}

#[tokio::test]
async fn a_running_response_is_finished_before_the_socket_closes() {
    let words = (0..20).map(|number| format!("word{number} ")).collect();
    let answer = ModelAnswer::of(vec![Output::Deltas(words)]).delay_ms(25);
    let (_upstream, mut gateway) = start_with(Script::answer(answer), on).await;
    let mut idle = open(&gateway).await;
    let mut busy = open(&gateway).await;
    busy.send(&create(None, &[user("x")])).await;
    busy.receive().await;
    gateway.signal("TERM");
    assert_eq!(idle.receive().await, Received::Close(1001));
    id_of(&busy.response().await);
    assert_eq!(busy.receive().await, Received::Close(1001));
    drop((idle, busy));
    let status = gateway.wait_for_exit(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0), "{}", gateway.output());
}
