//! How an exchange ended, and the one place that turns it into an outcome.

use std::time::Duration;

use gateway_ledger::{AttemptRecord, Outcome};
use gateway_wire::codex::PlanLimits;
use gateway_wire::stream::{ReplySummary, StreamFailure, Terminal};
use gateway_wire::translate::Loss;

use crate::error::ErrorCode;

/// How an exchange ended, as the step that ended it saw it.
#[derive(Debug)]
pub struct Ending {
    pub end: End,
    /// The status that the client got.
    pub status: Option<u16>,
    /// The gateway's own error code, where it made the end.
    pub error: Option<&'static str>,
    pub answer: AnswerFacts,
}

/// What ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The gateway answered with an error of its own.
    Refused,
    /// An upstream's answer reached its end.
    Answered,
    /// An upstream's answer broke off, fell silent or could not be passed on.
    Truncated,
    /// The client left.
    ClientGone,
    /// The process had to go.
    Stopped,
    /// A bug of the gateway.
    Panicked,
}

/// What is known of an upstream's answer.
#[derive(Debug, Default)]
pub struct AnswerFacts {
    /// What it says about itself.
    pub summary: ReplySummary,
    /// From accepting the request to the first generated event.
    pub first_token: Option<Duration>,
    /// What its translation could not carry.
    pub losses: Vec<Loss>,
    /// Plan limits in its headers.
    pub plan_limits: Option<Box<PlanLimits>>,
}

impl Ending {
    /// An end before any answer.
    pub fn without_answer(end: End) -> Self {
        Self {
            end,
            status: None,
            error: None,
            answer: AnswerFacts::default(),
        }
    }

    /// The word for how it ended. `calls`: those that were made to upstreams.
    pub fn outcome(&self, calls: &[AttemptRecord]) -> Outcome {
        match self.end {
            // An intent may be written, but no upstream was asked.
            End::Refused | End::Stopped if calls.is_empty() => Outcome::Rejected,
            End::Refused | End::Panicked => Outcome::Failed,
            End::Stopped => Outcome::Interrupted,
            End::ClientGone => Outcome::ClientGone,
            End::Truncated => Outcome::UpstreamTruncated,
            End::Answered => self.outcome_of_answer(),
        }
    }

    /// Whether the client got a whole answer that is not a failure.
    pub fn is_success(&self, calls: &[AttemptRecord]) -> bool {
        self.outcome(calls) == Outcome::Completed
    }

    fn outcome_of_answer(&self) -> Outcome {
        let is_success = self
            .status
            .is_some_and(|status| (200..300).contains(&status));
        match &self.answer.summary.terminal {
            _ if !is_success => Outcome::Failed,
            Some(Terminal::Failed(failure)) if is_cut_short(failure) => Outcome::UpstreamTruncated,
            Some(Terminal::Failed(_)) => Outcome::Failed,
            Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => Outcome::Completed,
        }
    }

    /// Why it failed: the gateway's own code, else the answer's, else the class of the `refusal`
    /// that was passed on.
    pub fn failure<'a>(&'a self, refusal: Option<&'a str>) -> Option<&'a str> {
        let answers = match &self.answer.summary.terminal {
            Some(Terminal::Failed(failure)) => Some(failure),
            Some(Terminal::Completed | Terminal::Incomplete { .. }) | None => None,
        };
        self.error
            .or_else(|| answers?.code.as_deref())
            .or_else(|| answers?.kind.as_deref())
            .or(refusal)
            .or_else(|| answers.map(|_| "failed"))
    }
}

/// Whether a stream's failure is one that the gateway itself found, because the upstream's answer
/// broke off.
pub fn is_cut_short(failure: &StreamFailure) -> bool {
    // The upstream's own failures carry what it sent.
    failure.raw.is_empty()
        && failure.code.as_deref().is_some_and(|code| {
            code == ErrorCode::UpstreamTruncated.as_str()
                || code == ErrorCode::EventTooLarge.as_str()
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gateway_wire::SendState;

    use super::*;

    fn answered(status: u16, terminal: impl Into<Option<Terminal>>) -> Ending {
        let mut ending = Ending::without_answer(End::Answered);
        ending.status = Some(status);
        ending.answer.summary.terminal = terminal.into();
        ending
    }

    fn failed(code: Option<&str>, raw: &'static str) -> Terminal {
        Terminal::Failed(StreamFailure {
            code: code.map(str::to_owned),
            raw: Bytes::from_static(raw.as_bytes()),
            ..StreamFailure::default()
        })
    }

    #[test]
    fn every_end_has_one_outcome() {
        let call = AttemptRecord {
            model: "m".to_owned(),
            upstream: "openai".to_owned(),
            status: Some(200),
            failure: None,
            sent: SendState::Sent,
        };
        let (none, one) = (&[][..], &[call][..]);
        let incomplete = Terminal::Incomplete { reason: None };
        for (ending, calls, expected) in [
            (
                Ending::without_answer(End::Refused),
                none,
                Outcome::Rejected,
            ),
            (Ending::without_answer(End::Refused), one, Outcome::Failed),
            (
                Ending::without_answer(End::Stopped),
                none,
                Outcome::Rejected,
            ),
            (
                Ending::without_answer(End::Stopped),
                one,
                Outcome::Interrupted,
            ),
            (
                Ending::without_answer(End::ClientGone),
                none,
                Outcome::ClientGone,
            ),
            (
                Ending::without_answer(End::ClientGone),
                one,
                Outcome::ClientGone,
            ),
            (Ending::without_answer(End::Panicked), none, Outcome::Failed),
            (
                Ending::without_answer(End::Truncated),
                one,
                Outcome::UpstreamTruncated,
            ),
            (answered(200, None), one, Outcome::Completed),
            (answered(200, Terminal::Completed), one, Outcome::Completed),
            (answered(200, incomplete), one, Outcome::Completed),
            (answered(200, failed(None, "")), one, Outcome::Failed),
            (
                answered(200, failed(Some("upstream_truncated"), "")),
                one,
                Outcome::UpstreamTruncated,
            ),
            (
                answered(200, failed(Some("event_too_large"), "")),
                one,
                Outcome::UpstreamTruncated,
            ),
            // A gateway behind this one said so: the answer itself is whole.
            (
                answered(200, failed(Some("upstream_truncated"), "{}")),
                one,
                Outcome::Failed,
            ),
            (answered(429, None), one, Outcome::Failed),
            (
                answered(500, failed(Some("upstream_truncated"), "")),
                one,
                Outcome::Failed,
            ),
        ] {
            assert_eq!(
                ending.outcome(calls),
                expected,
                "{ending:?}, {} calls",
                calls.len()
            );
        }
    }

    #[test]
    fn the_nearest_word_for_a_failure_counts() {
        let mut ending = answered(200, failed(Some("server_error"), "{}"));
        assert_eq!(ending.failure(Some("unclassified")), Some("server_error"));
        ending.error = Some("upstream_timeout");
        assert_eq!(ending.failure(None), Some("upstream_timeout"));
        let unnamed = answered(200, failed(None, ""));
        assert_eq!(unnamed.failure(Some("rate_limited")), Some("rate_limited"));
        assert_eq!(unnamed.failure(None), Some("failed"));
        assert_eq!(answered(200, None).failure(None), None);
    }
}
