//! Any bytes as an upstream's answer, both ways, in one piece and in two: the same steps, exactly
//! one terminal, and nothing panics. The first byte chooses dialect and direction, the second where
//! the stream is cut.
#![no_main]

use bytes::Bytes;
use gateway_wire::stream::Step;
use gateway_wire::translate::{
    StreamCollector, NoReasoning, ReplyPurpose, ReplySettings, TranslationContext, StreamTranslator, chat_to_responses,
    error_body, reply_json, responses_to_chat,
};
use gateway_wire::{Dialect, WireApi};
use libfuzzer_sys::fuzz_target;

const RESPONSES: &[u8] = br#"{"model":"m","stream":true,"input":"x","tools":[{"type":"custom","name":"p"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"g"}]}]}"#;
const CHAT: &[u8] =
    br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;

fn plan(client: WireApi, dialect: &Dialect) -> ReplySettings {
    let settings = TranslationContext {
        model: "m",
        dialect,
        strict: false,
        request_id: "fuzz",
        created_at: 0,
        is_codex: true,
        reasoning: &NoReasoning,
        purpose: ReplyPurpose::Turn,
    };
    let translated = match client {
        WireApi::Responses => responses_to_chat(RESPONSES, &settings),
        WireApi::Chat => chat_to_responses(CHAT, &settings),
    };
    translated.expect("the request is sound").reply
}

/// The bytes for the client by kind, and how many terminals there were.
fn run(plan: &ReplySettings, pieces: &[&[u8]]) -> (Vec<u8>, usize) {
    let mut machine = StreamTranslator::new(plan.clone(), 1 << 16);
    let mut steps = Vec::new();
    for piece in pieces {
        if machine
            .push(Bytes::copy_from_slice(piece), &mut steps)
            .is_err()
        {
            break;
        }
    }
    machine.end(&mut steps);
    let terminals = steps
        .iter()
        .filter(|step| matches!(step, Step::Terminal(_)))
        .count();
    (
        steps
            .iter()
            .flat_map(|step| step.bytes().to_vec())
            .collect(),
        terminals,
    )
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, stream @ ..] = data else {
        return;
    };
    let names: Vec<_> = Dialect::names().collect();
    let dialect =
        Dialect::named(names[usize::from(*choice) % names.len()]).unwrap_or(&Dialect::OPENAI);
    let client = if choice & 128 == 0 {
        WireApi::Responses
    } else {
        WireApi::Chat
    };
    let plan = plan(client, dialect);
    let (whole, terminals) = run(&plan, &[stream]);
    assert_eq!(terminals, 1);
    let (left, right) = stream.split_at(usize::from(*cut).min(stream.len()));
    assert_eq!(run(&plan, &[left, right]).0, whole);
    let mut collector = StreamCollector::new(plan.upstream_wire(), 1 << 16, 1 << 20);
    let _ = collector.push(Bytes::copy_from_slice(stream));
    if let (Ok(body), _) = collector.finish() {
        let _ = reply_json(&plan, &body);
    }
    let _ = reply_json(&plan, stream);
    let _ = error_body(500, stream);
});
