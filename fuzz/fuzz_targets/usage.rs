//! Any bytes as what an upstream says about tokens, in every place where it is read: nothing is
//! believed that cannot be true, and what reaches Codex can be read by it.
#![no_main]

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::reply::read_reply;
use gateway_wire::usage::UsageReading;
use gateway_wire::usage::{MAX_COUNT, read_usage};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fn is_true(reading: UsageReading) {
    if let UsageReading::Reported(usage) = reading {
        assert!(usage.cached_input() + usage.cache_write() <= usage.input());
        assert!(usage.reasoning() <= usage.output());
        assert!(usage.input() <= MAX_COUNT && usage.output() <= MAX_COUNT);
    }
}

/// What a client gets of one event, and what was read in it.
fn relayed(wire: WireApi, event: &str) -> (Vec<u8>, UsageReading) {
    let mut relay = Relay::new(RelaySettings {
        wire,
        max_event: 1 << 20,
        model_echo: None,
        strip_models_etag: false,
        hide_usage: false,
        ends_with_connection: false,
    });
    let mut steps = Vec::new();
    relay
        .push(Bytes::from(format!("data: {event}\n\n")), &mut steps)
        .expect("an event below the limit");
    let sent = steps
        .iter()
        .flat_map(|step| step.bytes().to_vec())
        .collect();
    (sent, relay.summary().clone().usage)
}

/// Whether Codex can read a `usage`: absent, null, or whole numbers where it looks.
fn is_readable(usage: &Value) -> bool {
    let whole = |value: &Value| value.as_i64().is_some();
    let details = |value: &Value, name: &str| value.is_null() || whole(&value[name]);
    usage.is_null()
        || whole(&usage["input_tokens"])
            && whole(&usage["output_tokens"])
            && whole(&usage["total_tokens"])
            && details(&usage["input_tokens_details"], "cached_tokens")
            && details(&usage["output_tokens_details"], "reasoning_tokens")
}

fuzz_target!(|data: &[u8]| {
    let reading = read_usage(data);
    is_true(reading.usage);
    assert!(reading.cost_nanos.is_none_or(|nanos| nanos >= 0));
    for wire in [WireApi::Responses, WireApi::Chat] {
        is_true(read_reply(wire, data).usage);
    }
    let Ok(Value::Object(usage)) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    // One line, with the last of members that stand twice.
    let usage = Value::Object(usage).to_string();
    let reading = read_usage(usage.as_bytes()).usage;
    let chunk = format!(r#"{{"id":"c","choices":[],"usage":{usage}}}"#);
    assert_eq!(relayed(WireApi::Chat, &chunk).1, reading);
    let event =
        format!(r#"{{"type":"response.completed","response":{{"id":"r","usage":{usage}}}}}"#);
    let (sent, read) = relayed(WireApi::Responses, &event);
    assert_eq!(read, reading);
    let sent = sent.strip_prefix(b"data: ").expect("one event");
    let sent: Value = serde_json::from_slice(sent).expect("an event is JSON");
    assert!(is_readable(&sent["response"]["usage"]), "{sent}");
});
