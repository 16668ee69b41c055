//! The state machine that turns an upstream's bytes into the client's: it relays where both speak
//! the same protocol, and translates where they do not. A closed choice, made once per answer.

use bytes::Bytes;
use gateway_wire::relay::Relay;
use gateway_wire::sse::EventTooLarge;
use gateway_wire::stream::{ReplySummary, Step, StreamFailure};
use gateway_wire::translate::{Loss, ReasoningBlob, StreamTranslator};
use gateway_wire::{WireApi, synthesize};

/// The processor of one stream.
#[derive(Debug)]
pub enum StreamProcessor {
    /// Same protocol on both sides: bytes pass.
    Relay(Box<Relay>),
    /// The client's protocol is another one.
    Translator(Box<StreamTranslator>),
}

impl StreamProcessor {
    /// Takes what the upstream sent and appends what the client gets.
    ///
    /// # Errors
    /// When an event is larger than the limit.
    pub fn push(&mut self, piece: Bytes, steps: &mut Vec<Step>) -> Result<(), EventTooLarge> {
        match self {
            Self::Relay(relay) => relay.push(piece, steps),
            Self::Translator(translator) => translator.push(piece, steps),
        }
    }

    /// The upstream closed cleanly.
    pub fn end(&mut self, steps: &mut Vec<Step>) {
        match self {
            Self::Relay(relay) => relay.end(steps),
            Self::Translator(translator) => translator.end(steps),
        }
    }

    /// What is known so far.
    pub fn summary(&self) -> &ReplySummary {
        match self {
            Self::Relay(relay) => relay.summary(),
            Self::Translator(translator) => translator.summary(),
        }
    }

    /// Whether only the connection ends this stream, so that nothing of ours belongs into it.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self, Self::Relay(relay) if relay.ends_with_connection())
    }

    /// An event that says nothing but that the answer is still being made.
    pub fn keepalive(&mut self, wire: WireApi, steps: &mut Vec<Step>) {
        match self {
            _ if self.ends_with_connection() => {}
            Self::Relay(relay) => {
                steps.push(Step::Preamble(synthesize::keepalive(wire, relay.summary())));
            }
            Self::Translator(translator) => translator.keepalive(steps),
        }
    }

    /// The terminal event for an end that the upstream did not make: `code` and `message` are ours.
    pub fn fail(&mut self, wire: WireApi, code: &str, message: &str) -> Bytes {
        match self {
            Self::Relay(relay) => {
                let summary = relay.summary();
                // An `error` event alone is ignored by Codex: its reason goes into the event that
                // Codex reads.
                let reason = summary.pending_error.as_ref();
                let code = reason
                    .and_then(|error| error.code.as_deref())
                    .unwrap_or(code);
                let message = reason
                    .and_then(|error| error.message.as_deref())
                    .unwrap_or(message);
                match wire {
                    WireApi::Responses => {
                        synthesize::response_failed(summary.response_id.as_deref(), code, message)
                    }
                    WireApi::Chat => synthesize::chat_error(code, message),
                }
            }
            Self::Translator(translator) => {
                let mut steps = Vec::new();
                let failure = StreamFailure {
                    code: Some(code.to_owned()),
                    message: Some(message.to_owned()),
                    ..StreamFailure::default()
                };
                translator.fail(failure, &mut steps);
                // Items that were open are closed first.
                steps
                    .iter()
                    .flat_map(|step| step.bytes().iter().copied())
                    .collect()
            }
        }
    }

    /// What the answer's translation could not carry.
    pub fn losses(&self) -> &[Loss] {
        match self {
            Self::Relay(_) => &[],
            Self::Translator(translator) => translator.losses(),
        }
    }

    /// Provider reasoning by call id, to keep for the caller's next request. Asked once, at the
    /// end.
    pub fn take_reasoning(&mut self) -> Vec<(String, ReasoningBlob)> {
        match self {
            Self::Relay(_) => Vec::new(),
            Self::Translator(translator) => translator.take_reasoning(),
        }
    }
}
