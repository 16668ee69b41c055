//! Golden streams: what a relay makes of each file in `fixtures/wire`, and that no split of a
//! stream changes it.
//!
//! To add one: put a `.sse` file there, its name beginning with its wire, run with
//! `INSTA_UPDATE=always` and read the new snapshot.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::request::RequestHead;
use gateway_wire::stream::{ReplySummary, Step};
use proptest::prelude::*;

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect()
}

fn settings(name: &str) -> RelaySettings {
    let is_rewritten = name.ends_with("-rerouted");
    RelaySettings {
        wire: if name.starts_with("chat") {
            WireApi::Chat
        } else {
            WireApi::Responses
        },
        max_event: 1 << 20,
        model_echo: is_rewritten.then(|| "gpt-5.5".to_owned()),
        strip_models_etag: is_rewritten,
        hide_usage: false,
        ends_with_connection: false,
    }
}

/// The steps, those of one kind joined, and the summary.
fn relay<'a>(
    settings: RelaySettings,
    chunks: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Step>, ReplySummary) {
    let mut relay = Relay::new(settings);
    let mut steps = Vec::new();
    for chunk in chunks {
        relay
            .push(Bytes::copy_from_slice(chunk), &mut steps)
            .unwrap();
    }
    relay.end(&mut steps);
    (joined(steps), relay.summary().clone())
}

fn joined(steps: Vec<Step>) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    for step in steps {
        let both = |a: &Bytes, b: &Bytes| Bytes::from([&a[..], &b[..]].concat());
        match (out.last_mut(), &step) {
            (Some(Step::Preamble(all)), Step::Preamble(more))
            | (Some(Step::Output(all)), Step::Output(more))
            | (Some(Step::Terminal(all)), Step::Terminal(more)) => {
                *all = both(all, more);
            }
            (_, Step::Preamble(_) | Step::Output(_) | Step::Terminal(_)) => out.push(step),
        }
    }
    out
}

#[test]
fn golden_streams() {
    for (name, bytes) in fixtures() {
        let (steps, summary) = relay(settings(&name), std::iter::once(&bytes[..]));
        let sent: Vec<u8> = steps
            .iter()
            .flat_map(|step| step.bytes().to_vec())
            .collect();
        let mut text = String::new();
        if sent == bytes {
            text.push_str("passes byte for byte\n");
        }
        for step in &steps {
            let kind = match step {
                Step::Preamble(_) => "preamble",
                Step::Output(_) => "output",
                Step::Terminal(_) => "terminal",
            };
            writeln!(text, "=== {kind}").unwrap();
            if sent == bytes {
                // Enough to see where one kind ends.
                let shown = std::str::from_utf8(step.bytes()).unwrap();
                let events = shown.matches("data:").count();
                writeln!(text, "{} bytes, {events} events", shown.len()).unwrap();
            } else {
                let shown = std::str::from_utf8(step.bytes()).unwrap();
                writeln!(text, "{}", shown.replace('\r', "\\r")).unwrap();
            }
        }
        writeln!(text, "=== summary\n{summary:#?}").unwrap();
        insta::assert_snapshot!(name, text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_split_changes_a_stream(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        for (name, bytes) in fixtures() {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            let whole = relay(settings(&name), std::iter::once(&bytes[..]));
            prop_assert_eq!(relay(settings(&name), pieces), whole, "{}", name);
        }
    }
}

#[test]
fn streams_cut_anywhere_or_fed_byte_by_byte_hold() {
    for (name, bytes) in fixtures() {
        let whole = relay(settings(&name), std::iter::once(&bytes[..]));
        assert_eq!(relay(settings(&name), bytes.chunks(1)), whole, "{name}");
        for end in 0..bytes.len() {
            let (_, summary) = relay(settings(&name), std::iter::once(&bytes[..end]));
            assert!(summary.events <= whole.1.events, "{name} cut at {end}");
        }
    }
}

#[test]
fn sound_streams_pass_byte_for_byte() {
    for (name, bytes) in fixtures() {
        let (steps, summary) = relay(settings(&name), bytes.chunks(100));
        if summary.repairs.is_empty() && summary.terminal.is_some() && !name.ends_with("-rerouted")
        {
            let sent: Vec<u8> = steps
                .iter()
                .flat_map(|step| step.bytes().to_vec())
                .collect();
            assert_eq!(
                String::from_utf8(sent).unwrap(),
                String::from_utf8(bytes).unwrap(),
                "{name}"
            );
        }
    }
}

/// Events of all kinds in any order, with line ends and bytes of all kinds.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        Just(
            r#"{"type":"response.created","response":{"id":"r","model":"m","headers":{"openai-model":"x","x-models-etag":"e"}}}"#
        ),
        Just(r#"{"type":"response.output_text.delta","delta":"é漢"}"#),
        Just(r#"{ "headers" : {"x-models-etag":"e"} , "type" : "response.metadata" }"#),
        Just(r#"{"type":"error","code":"c","message":"m"}"#),
        Just(r#"{"type":"codex.rate_limits","limit_name":"l"}"#),
        Just(r#"{"type":"keepalive"}"#),
        Just(
            r#"{"type":"response.completed","response":{"id":null,"usage":{"input_tokens":1.0,"output_tokens":2,"total_tokens":3}}}"#
        ),
        Just(r#"{"type":"response.completed"}"#),
        Just(r#"{"type":"response.failed","response":{"error":{"code":"c"}}}"#),
        Just(
            r#"{"id":"c","model":"m","choices":[{"delta":{"content":"hi"},"finish_reason":null}],"usage":null}"#
        ),
        Just(
            r#"{"id":"c","choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#
        ),
        Just(r#"{"error":{"message":"m"}}"#),
        Just("[DONE]"),
        Just("{"),
        Just(""),
    ];
    let end = || prop_oneof![8 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")];
    let event = (
        prop_oneof![
            Just("data: "),
            Just("data:"),
            Just("event: x\ndata: "),
            Just(": "),
            Just("data:  \ndata: ")
        ],
        data,
        end(),
        end(),
    )
        .prop_map(|(field, data, one, two)| [field, data, one, two].concat().into_bytes());
    let noise = prop_oneof![
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just(b"\xC3".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec())
    ];
    prop::collection::vec(prop_oneof![12 => event, 1 => noise], 0..10)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_split_changes_any_stream(
        bytes in soup(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        wire in prop_oneof![Just(WireApi::Responses), Just(WireApi::Chat)],
        echo: bool,
    ) {
        let settings = || RelaySettings {
            wire,
            max_event: 1 << 20,
            model_echo: echo.then(|| "asked".to_owned()),
            strip_models_etag: echo,
        hide_usage: false,
        ends_with_connection: false,
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        let whole = relay(settings(), std::iter::once(&bytes[..]));
        prop_assert_eq!(relay(settings(), pieces), whole.clone());
        // The terminal event and what stands behind it, joined.
        let terminals = whole.0.iter().filter(|step| matches!(step, Step::Terminal(_))).count();
        prop_assert!(terminals <= 1 && (terminals == 0 || matches!(whole.0.last(), Some(Step::Terminal(_)))));
    }

    #[test]
    fn damaged_streams_and_bodies_never_panic(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let all = fixtures();
        let (name, mut bytes) = all[which.index(all.len())].clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _summary = relay(settings(&name), bytes.chunks(97));
        for line in bytes.split(|byte| *byte == b'\n') {
            let data = line.strip_prefix(b"data: ").unwrap_or(line);
            let _type = gateway_wire::sse::event_type(data);
            let _reply = gateway_wire::reply::read_reply(settings(&name).wire, data);
            let _failure = gateway_wire::stream::StreamFailure::read(data);
            let _features = gateway_wire::request::features(data, &RequestHead::default());
            let _limits = gateway_wire::codex::PlanLimits::from_event(data);
            let text = String::from_utf8_lossy(data);
            let _turn = gateway_wire::codex::TurnMetadata::parse(&text);
            let _claims = gateway_wire::codex::ChatgptClaims::from_jwt(&text);
        }
    }
}
