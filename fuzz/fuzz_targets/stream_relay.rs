//! Any bytes as an upstream's stream that is passed on, in one piece and in two: the same bytes and
//! the same reading, one terminal at most, and a stream in which nothing had to be repaired reaches
//! the client as it came. The first byte chooses the protocol and what is rewritten, the second
//! where the stream is cut.
#![no_main]

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::relay::{Relay, RelaySettings};
use gateway_wire::sse::Splitter;
use gateway_wire::stream::{Step, ReplySummary};
use libfuzzer_sys::fuzz_target;

const MAX_EVENT: usize = 1 << 12;

struct Run {
    sent: Vec<u8>,
    terminals: usize,
    is_refused: bool,
    summary: ReplySummary,
}

fn run(settings: &RelaySettings, pieces: &[&[u8]]) -> Run {
    let mut relay = Relay::new(settings.clone());
    let mut steps = Vec::new();
    let is_refused = pieces.iter().any(|piece| {
        relay
            .push(Bytes::copy_from_slice(piece), &mut steps)
            .is_err()
    });
    assert!(relay.buffered() <= MAX_EVENT + 4, "{}", relay.buffered());
    if !is_refused {
        relay.end(&mut steps);
    }
    let terminals = steps
        .iter()
        .filter(|step| matches!(step, Step::Terminal(_)))
        .count();
    // An end that has no event of its own is an empty step.
    assert!(steps.iter().all(|step| !step.bytes().is_empty() || matches!(step, Step::Terminal(_))));
    assert!(
        steps
            .iter()
            .rev()
            .skip(1)
            .all(|step| !matches!(step, Step::Terminal(_))),
        "something follows the terminal event"
    );
    Run {
        sent: steps
            .iter()
            .flat_map(|step| step.bytes().to_vec())
            .collect(),
        terminals,
        is_refused,
        summary: relay.summary().clone(),
    }
}

/// The frames of a splitter alone.
fn frames(pieces: &[&[u8]]) -> Option<Vec<Bytes>> {
    let mut splitter = Splitter::new(MAX_EVENT);
    let mut out = Vec::new();
    for piece in pieces {
        splitter
            .push(Bytes::copy_from_slice(piece), &mut out)
            .ok()?;
    }
    out.extend(splitter.finish());
    Some(out.into_iter().map(|frame| frame.raw).collect())
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, stream @ ..] = data else {
        return;
    };
    let is_plain = choice & 14 == 0;
    let settings = RelaySettings {
        wire: if choice & 1 == 0 {
            WireApi::Responses
        } else {
            WireApi::Chat
        },
        max_event: MAX_EVENT,
        model_echo: (choice & 2 != 0).then(|| "asked".to_owned()),
        strip_models_etag: choice & 4 != 0,
        hide_usage: choice & 8 != 0,
        ends_with_connection: choice & 16 != 0,
    };
    let (left, right) = stream.split_at(usize::from(*cut).min(stream.len()));
    let whole = run(&settings, &[stream]);
    let halves = run(&settings, &[left, right]);
    assert!(whole.terminals <= 1);
    assert_eq!(whole.is_refused, halves.is_refused);
    if !whole.is_refused {
        assert_eq!(whole.sent, halves.sent);
        assert_eq!(whole.summary, halves.summary);
        if is_plain && whole.summary.repairs.is_empty() {
            assert!(
                stream.starts_with(&whole.sent),
                "bytes of a sound stream were changed"
            );
        }
    }
    assert_eq!(frames(&[stream]), frames(&[left, right]));
});
