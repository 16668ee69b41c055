//! How long translation takes: per megabyte of history, and per event of a stream.
//!
//! `cargo bench -p gateway-wire --bench translate`. Goals: 5 ms per MB, 3 µs per event.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use gateway_wire::translate::{
    NoReasoning, ReplyPurpose, ReplySettings, StreamTranslator, TranslateError, TranslatedRequest,
    TranslationContext, chat_to_responses, responses_to_chat,
};
use gateway_wire::{Dialect, WireApi};

#[expect(
    clippy::panic,
    reason = "a benchmark of something else would be worth nothing"
)]
fn give_up(error: &TranslateError) -> TranslatedRequest {
    panic!("{error}")
}

fn main() {
    divan::main();
}

fn settings() -> TranslationContext<'static> {
    TranslationContext {
        model: "m",
        dialect: &Dialect::OPENAI,
        strict: false,
        request_id: "01a1fae9-b3bd-7ac3-8ae3-b8f70db5ba3a",
        created_at: 1_700_000_000,
        is_codex: true,
        reasoning: &NoReasoning,
        purpose: ReplyPurpose::Turn,
    }
}

/// A session of a coding agent: calls, outputs of some kilobytes full of escapes, patches, short
/// texts.
fn history(bytes: usize) -> Vec<u8> {
    let output = "src/main.rs:12:\\tlet x = \\\"quoted\\\";\\n".repeat(80);
    let patch = "*** Begin Patch\\n*** Update File: a.rs\\n@@\\n-old \\\"line\\\"\\n+new line\\n"
        .repeat(20);
    let base =
        r#"{"type":"message","role":"developer","content":[{"type":"input_text","text":"Base."}]}"#;
    let round = |n: usize| {
        format!(
            r#",{{"type":"reasoning","id":"rs_{n}","summary":[],"encrypted_content":"gAAAA"}},{{"type":"function_call","id":"fc_{n}","name":"exec_command","arguments":"{{\"cmd\":\"rg -n x\"}}","call_id":"call_{n}"}},{{"type":"function_call_output","call_id":"call_{n}","output":"{output}"}},{{"type":"custom_tool_call","name":"apply_patch","call_id":"p_{n}","input":"{patch}"}},{{"type":"custom_tool_call_output","call_id":"p_{n}","output":"Done"}},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"Next."}}]}}"#
        )
    };
    let rounds = bytes / round(1).len();
    let items: Vec<String> = std::iter::once(base.to_owned())
        .chain((0..rounds).map(round))
        .collect();
    let items = items.concat();
    format!(r#"{{"model":"m","stream":true,"input":[{items}],"tools":[{{"type":"function","name":"exec_command","parameters":{{"type":"object"}}}},{{"type":"custom","name":"apply_patch"}}]}}"#).into_bytes()
}

fn translated(client: WireApi, body: &[u8]) -> TranslatedRequest {
    let result = match client {
        WireApi::Responses => responses_to_chat(body, &settings()),
        WireApi::Chat => chat_to_responses(body, &settings()),
    };
    result.unwrap_or_else(|error| give_up(&error))
}

#[divan::bench]
fn history_to_chat(bencher: Bencher<'_, '_>) {
    let body = history(1 << 20);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| translated(WireApi::Responses, &body));
}

#[divan::bench]
fn history_to_responses(bencher: Bencher<'_, '_>) {
    let body = translated(WireApi::Responses, &history(1 << 20)).body;
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| translated(WireApi::Chat, &body));
}

const EVENTS: usize = 10_000;

fn run(plan: &ReplySettings, chunks: &[Bytes]) -> usize {
    let mut machine = StreamTranslator::new(plan.clone(), 1 << 20);
    let mut steps = Vec::new();
    let mut bytes = 0;
    for chunk in chunks {
        if machine.push(chunk.clone(), &mut steps).is_err() {
            break;
        }
        bytes += steps
            .drain(..)
            .map(|step| step.bytes().len())
            .sum::<usize>();
    }
    machine.end(&mut steps);
    bytes
}

#[divan::bench]
fn chat_text_events(bencher: Bencher<'_, '_>) {
    let plan = translated(
        WireApi::Responses,
        br#"{"model":"m","stream":true,"input":"hi"}"#,
    )
    .reply;
    let chunk = Bytes::from_static(b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
    let chunks = vec![chunk; EVENTS];
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| run(&plan, &chunks));
}

#[divan::bench]
fn chat_patch_events(bencher: Bencher<'_, '_>) {
    let request = br#"{"model":"m","stream":true,"input":"hi","tools":[{"type":"custom","name":"apply_patch"}]}"#;
    let plan = translated(WireApi::Responses, request).reply;
    let chunk = |arguments: &str, name: &str| {
        Bytes::from(
            format!(
                r#"data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0{name},"function":{{"arguments":"{arguments}"}}}}]}}}}]}}"#
            ) + "\n\n",
        )
    };
    let mut chunks = vec![Bytes::from_static(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"apply_patch\",\"arguments\":\"{\\\"input\\\":\\\"\"}}]}}]}\n\n")];
    chunks.resize(EVENTS, chunk(r"+ line\\n", ""));
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| run(&plan, &chunks));
}

#[divan::bench]
fn responses_text_events(bencher: Bencher<'_, '_>) {
    let plan = translated(
        WireApi::Chat,
        br#"{"model":"m","stream":true,"messages":[]}"#,
    )
    .reply;
    let chunk = Bytes::from_static(b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\" token\",\"logprobs\":[]}\n\n");
    let chunks = vec![chunk; EVENTS];
    bencher
        .counter(ItemsCount::new(EVENTS))
        .bench(|| run(&plan, &chunks));
}
