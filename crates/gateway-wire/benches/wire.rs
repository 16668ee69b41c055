//! What one request and one stream cost in this crate. `memcpy`, `serde_json_skips_body` and
//! `split` are the baselines to read the rest against.

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use gateway_wire::WireApi;
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::request::{features, scan};
use gateway_wire::splice::{Edit, splice};
use gateway_wire::sse::Splitter;

fn main() {
    divan::main();
}

const SIZES: [usize; 3] = [2 << 10, 64 << 10, 1 << 20];

/// A Codex-like body: prose with line breaks and quotes, tool calls with escaped JSON, schemas.
fn body(size: usize) -> Vec<u8> {
    let item = r#"{"type":"message","id":"msg_0123456789abcdef","role":"user","content":[{"type":"input_text","text":"Please look at the parser in src/lib.rs and say why\nthe second test fails; it prints \"left\" and \"right\" with the same text.\n\nThe steps were:\n1. build it\n2. run it with an empty file\n3. run it again"}]},{"type":"function_call","id":"fc_0123456789abcdef","call_id":"call_1","name":"exec_command","arguments":"{\"cmd\":\"cargo test -p parser -- --nocapture\",\"workdir\":\"/home/user/project\",\"yield_time_ms\":10000}"},{"type":"function_call_output","call_id":"call_1","output":"running 12 tests\ntest parses_an_empty_file ... FAILED\n\nfailures:\n    parses_an_empty_file\n"}"#;
    let head = r#"{"model":"gpt-5.5","stream":true,"input":["#;
    let tail = r#"],"tools":[{"type":"function","name":"exec_command","parameters":{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"]}}],"tool_choice":"auto","reasoning":{"effort":"medium"},"store":false,"prompt_cache_key":"01a1faf1-062d-7473-9083-7f59fb49ed37"}"#;
    let mut text = head.to_owned();
    text.push_str(item);
    while text.len() + item.len() + tail.len() < size {
        text.push(',');
        text.push_str(item);
    }
    text.push_str(tail);
    text.into_bytes()
}

const DELTA: &str = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":17,\"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"output_index\":0,\"content_index\":0,\"delta\":\" parser\",\"logprobs\":[],\"obfuscation\":\"aZ8kQ2xW\",\"padding\":\"0123456789012345678901234567890123456789\"}\n\n";

fn stream(deltas: usize) -> Bytes {
    let mut text = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"model\":\"gpt-5.5\",\"output\":[],\"usage\":null}}\n\n".to_owned();
    for _ in 0..deltas {
        text.push_str(DELTA);
    }
    text.push_str("event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":9,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"model\":\"gpt-5.5\",\"output\":[],\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":10},\"output_tokens\":20,\"output_tokens_details\":{\"reasoning_tokens\":5},\"total_tokens\":120}}}\n\n");
    Bytes::from(text)
}

fn relay(model_echo: Option<&str>) -> Relay {
    Relay::new(RelaySettings {
        wire: WireApi::Responses,
        max_event: 64 << 20,
        model_echo: model_echo.map(str::to_owned),
        strip_models_etag: true,
        hide_usage: false,
        ends_with_connection: false,
    })
}

#[divan::bench(args = SIZES)]
fn memcpy(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| black_box(&body).clone());
}

#[divan::bench(args = SIZES)]
fn serde_json_skips_body(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&body)).is_ok());
}

#[divan::bench(args = SIZES)]
fn scan_body(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| scan(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn scan_and_splice(bencher: Bencher<'_, '_>, size: usize) {
    let body = Bytes::from(body(size));
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let model = scan(black_box(&body)).ok()?.model?;
        splice(&body, vec![Edit::string(model.span, "gpt-5.4")]).ok()
    });
}

#[divan::bench(args = SIZES)]
fn features_of_body(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    let head = scan(&body).unwrap_or_default();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| features(black_box(&body), &head));
}

#[divan::bench]
fn split_208_events(bencher: Bencher<'_, '_>) {
    let stream = stream(206);
    bencher.counter(ItemsCount::new(208_usize)).bench(|| {
        let mut out = Vec::with_capacity(256);
        Splitter::new(64 << 20)
            .push(black_box(stream.clone()), &mut out)
            .map(|()| out)
    });
}

#[divan::bench]
fn relay_208_events_in_one_chunk(bencher: Bencher<'_, '_>) {
    let stream = stream(206);
    bencher.counter(ItemsCount::new(208_usize)).bench(|| {
        let mut steps = Vec::with_capacity(8);
        relay(None)
            .push(black_box(stream.clone()), &mut steps)
            .map(|()| steps)
    });
}

#[divan::bench(args = [300, 1_400, 16 << 10])]
fn relay_208_events_in_chunks(bencher: Bencher<'_, '_>, size: usize) {
    let stream = stream(206);
    bencher.counter(ItemsCount::new(208_usize)).bench(|| {
        let mut relay = relay(Some("gpt-5.4"));
        let mut steps = Vec::with_capacity(256);
        let mut rest = black_box(stream.clone());
        while !rest.is_empty() {
            let chunk = rest.split_to(size.min(rest.len()));
            relay.push(chunk, &mut steps).ok()?;
        }
        Some(steps)
    });
}

#[divan::bench]
fn relay_one_delta(bencher: Bencher<'_, '_>) {
    let delta = Bytes::from_static(DELTA.as_bytes());
    let mut relay = relay(None);
    let mut steps = Vec::with_capacity(8);
    bencher.bench_local(|| {
        steps.clear();
        relay.push(black_box(delta.clone()), &mut steps)
    });
}

#[divan::bench]
fn relay_one_event_of_32_mb_in_chunks_of_4_kb(bencher: Bencher<'_, '_>) {
    let event = Bytes::from(format!(
        "data: {{\"type\":\"response.output_item.done\",\"x\":\"{}\"}}\n\n",
        "y".repeat(32 << 20)
    ));
    bencher.counter(BytesCount::new(event.len())).bench(|| {
        let mut relay = relay(None);
        let mut steps = Vec::new();
        let mut rest = event.clone();
        while !rest.is_empty() {
            let chunk = rest.split_to((4 << 10).min(rest.len()));
            relay.push(chunk, &mut steps).ok()?;
        }
        Some(steps)
    });
}

/// With and without taking out the usage that the gateway asked for and the client did not.
#[divan::bench(args = [false, true])]
fn relay_208_chat_events_in_one_chunk(bencher: Bencher<'_, '_>, hide_usage: bool) {
    let chunk = "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1795211462,\"model\":\"gpt-5.4\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" parser\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"aZ8kQ2xW\"}\n\n";
    let stream = Bytes::from(format!("{}data: [DONE]\n\n", chunk.repeat(207)));
    bencher.counter(ItemsCount::new(208_usize)).bench(|| {
        let mut relay = Relay::new(RelaySettings {
            wire: WireApi::Chat,
            max_event: 64 << 20,
            model_echo: None,
            strip_models_etag: false,
            hide_usage,
            ends_with_connection: false,
        });
        let mut steps = Vec::with_capacity(8);
        relay
            .push(black_box(stream.clone()), &mut steps)
            .map(|()| steps)
    });
}
