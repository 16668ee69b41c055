//! Moves a stream from the upstream to the client: bytes in, one sans-IO machine, bytes out. Books
//! nothing; it says how the stream ended.

use std::time::Duration;

use bytes::Bytes;
use gateway_wire::WireApi;
use gateway_wire::stream::{ReplySummary, Step};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::OnDisconnect;
use crate::error::ErrorCode;
use crate::exchange::answer::Outlet;
use crate::exchange::machine::Machine;
use crate::upstream::client::ReplyBody;

/// Times of one stream.
#[derive(Debug, Clone, Copy)]
pub struct PumpTimes {
    /// Longest silence of the upstream.
    pub idle: Duration,
    /// After this much silence toward the client it gets a data event; `None`: never.
    pub keepalive: Option<Duration>,
    /// Longest time to read on after the client left (`on_disconnect = "drain"`).
    pub drain: Duration,
}

/// One stream on its way.
pub struct Pump<'a> {
    pub machine: &'a mut Machine,
    pub body: &'a mut ReplyBody,
    pub outlet: &'a Outlet,
    pub wire: WireApi,
    pub times: PumpTimes,
    pub on_disconnect: OnDisconnect,
    /// Ends the stream when the process has to go.
    pub deadline: &'a CancellationToken,
    /// Whether a data event may stand before the first event of the stream (client libraries refuse
    /// it, Codex needs it).
    pub keepalive_first: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub enum StreamEnd {
    /// The terminal event is here and has not been passed on: settle, then send it and what came
    /// with it, then [`see_out`] the rest.
    Terminal(Vec<Bytes>),
    /// The upstream ended or broke without one.
    Truncated(Option<String>),
    /// The upstream was silent for too long.
    Silent,
    /// One event was larger than allowed.
    EventTooLarge,
    /// The client left.
    ClientGone,
    /// The process had to go.
    Interrupted,
}

impl StreamEnd {
    /// The error to tell the client in the stream, and the sentence for a person.
    pub fn error(&self) -> Option<(ErrorCode, String)> {
        match self {
            Self::Terminal(_) | Self::ClientGone => None,
            Self::Truncated(detail) => Some((
                ErrorCode::UpstreamTruncated,
                match detail {
                    Some(detail) => {
                        format!("the upstream's answer broke off before its end: {detail}")
                    }
                    None => "the upstream's answer ended before its terminal event".to_owned(),
                },
            )),
            Self::Silent => Some((
                ErrorCode::UpstreamTimeout,
                "the upstream fell silent in the middle of its answer".to_owned(),
            )),
            Self::EventTooLarge => Some((
                ErrorCode::EventTooLarge,
                "the upstream sent a single event that is larger than this gateway passes on"
                    .to_owned(),
            )),
            Self::Interrupted => Some((
                ErrorCode::GatewayStopping,
                "the gateway is being stopped; try again in a moment".to_owned(),
            )),
        }
    }
}

impl Pump<'_> {
    /// Runs until the stream ends on either side. `first_output` is called when something generated
    /// was seen.
    ///
    /// `ended`: the upstream is already through, and `held` is all there is.
    pub async fn run(
        &mut self,
        held: Vec<Step>,
        mut ended: Option<StreamEnd>,
        mut first_output: impl FnMut(&ReplySummary),
    ) -> StreamEnd {
        let mut steps = held;
        let mut has_client = true;
        let mut watch = Watch::new(self.times, self.keepalive_first, Instant::now());
        let outlet = self.outlet.clone();
        let client_gone = outlet.client_gone();
        tokio::pin!(client_gone);
        let alarm = sleep_until(watch.next_alarm());
        tokio::pin!(alarm);
        loop {
            match self.pass_on(&mut steps, &mut has_client).await {
                Passed::Terminal(bytes) => return StreamEnd::Terminal(bytes),
                Passed::Something => watch.told(self.machine.summary().events, Instant::now()),
                Passed::Nothing => {}
            }
            if self.machine.summary().has_output {
                first_output(self.machine.summary());
            }
            if !has_client {
                // A client that is only slow was given up because the process has to go.
                if self.deadline.is_cancelled() {
                    return StreamEnd::Interrupted;
                }
                match self.on_disconnect {
                    OnDisconnect::Cancel => return StreamEnd::ClientGone,
                    OnDisconnect::Drain => watch.drain(Instant::now()),
                }
            }
            if let Some(end) = ended.take() {
                return end;
            }
            tokio::select! {
                biased;
                piece = self.body.next() => {
                    watch.heard = Instant::now();
                    ended = self.take(piece, &mut steps);
                }
                () = &mut client_gone, if has_client => has_client = false,
                () = self.deadline.cancelled() => return StreamEnd::Interrupted,
                () = &mut alarm => {
                    let now = Instant::now();
                    match watch.due(now) {
                        Due::Silent => return StreamEnd::Silent,
                        Due::Drained => return StreamEnd::ClientGone,
                        Due::Keepalive => {
                            if has_client {
                                self.machine.keepalive(self.wire, &mut steps);
                            }
                            watch.told = now;
                        }
                        Due::Nothing => {}
                    }
                    alarm.as_mut().reset(watch.next_alarm().max(now + SHORTEST_ALARM));
                }
            }
        }
    }

    /// Feeds the machine; says how the upstream ended, if it did.
    fn take(
        &mut self,
        piece: Option<Result<Bytes, String>>,
        steps: &mut Vec<Step>,
    ) -> Option<StreamEnd> {
        match piece {
            Some(Ok(piece)) => self
                .machine
                .push(piece, steps)
                .is_err()
                .then_some(StreamEnd::EventTooLarge),
            Some(Err(detail)) => Some(StreamEnd::Truncated(Some(detail))),
            None => {
                self.machine.end(steps);
                Some(StreamEnd::Truncated(None))
            }
        }
    }

    /// Sends steps to the client, all but the terminal one.
    async fn pass_on(&self, steps: &mut Vec<Step>, has_client: &mut bool) -> Passed {
        let mut passed = Passed::Nothing;
        let mut last = Vec::new();
        for step in steps.drain(..) {
            match step {
                Step::Terminal(bytes) => last.push(bytes),
                Step::Preamble(bytes) | Step::Output(bytes) => {
                    if *has_client {
                        *has_client = self.outlet.send(bytes).await.is_ok();
                        passed = Passed::Something;
                    }
                }
            }
        }
        if last.is_empty() {
            passed
        } else {
            Passed::Terminal(last)
        }
    }
}

/// How long an upstream may take to end its stream after the terminal event, while the client still
/// listens.
const SEEN_OUT: Duration = Duration::from_secs(2);
/// The same when the client has left: reading to the upstream's own end lets the connection serve
/// the next request.
const LEFT_ALONE: Duration = Duration::from_millis(300);

/// After the terminal event has left: what the upstream still says goes to the client as it comes,
/// until one of them is through. All is booked by then, so nothing that happens here is a failure;
/// a client that leaves now has everything.
pub async fn see_out(
    machine: &mut Machine,
    body: &mut ReplyBody,
    outlet: Outlet,
    deadline: &CancellationToken,
) {
    let is_left = match machine {
        // A translation ends with its own last event.
        Machine::Translator(_) => true,
        Machine::Relay(relay) => {
            let passing_on = async {
                let mut steps = Vec::new();
                while let Some(Ok(piece)) = body.next().await {
                    if relay.push(piece, &mut steps).is_err() {
                        return;
                    }
                    for step in steps.drain(..) {
                        if outlet.send(step.into_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = passing_on => false,
                () = outlet.client_gone() => true,
                () = tokio::time::sleep(SEEN_OUT) => false,
                () = deadline.cancelled() => false,
            }
        }
    };
    drop(outlet);
    if is_left {
        let rest = async { while let Some(Ok(_)) = body.next().await {} };
        drop(tokio::time::timeout(LEFT_ALONE, rest).await);
    }
}

/// What became of some steps.
enum Passed {
    Nothing,
    Something,
    /// The terminal event and what came with it, not yet sent.
    Terminal(Vec<Bytes>),
}

/// Alarms are set lazily; this keeps a clock that was just reset from ringing in a circle.
const SHORTEST_ALARM: Duration = Duration::from_millis(20);
/// Longer than any stream: for times that never come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The times of one stream: when the upstream was last heard, when the client was last told
/// something.
struct Watch {
    times: PumpTimes,
    heard: Instant,
    told: Instant,
    told_events: u64,
    drain_until: Option<Instant>,
    /// Whether a keepalive may go out now.
    may_tell: bool,
}

/// What is due when the alarm rings.
enum Due {
    Nothing,
    Keepalive,
    Silent,
    Drained,
}

impl Watch {
    fn new(times: PumpTimes, may_tell: bool, now: Instant) -> Self {
        Self {
            times,
            heard: now,
            told: now,
            told_events: 0,
            drain_until: None,
            may_tell,
        }
    }

    /// Something went to the client. Comments do not count: Codex ignores them, and its patience
    /// runs on.
    fn told(&mut self, events: u64, now: Instant) {
        if events > self.told_events {
            self.told_events = events;
            self.told = now;
            self.may_tell = true;
        }
    }

    fn drain(&mut self, now: Instant) {
        self.drain_until.get_or_insert(now + self.times.drain);
    }

    fn next_alarm(&self) -> Instant {
        let pause = self.times.keepalive.filter(|_| self.may_tell);
        let keepalive = self.told + pause.unwrap_or(NEVER);
        let silence = self.heard + self.times.idle.min(NEVER);
        let next = keepalive.min(silence);
        self.drain_until.map_or(next, |until| next.min(until))
    }

    fn due(&self, now: Instant) -> Due {
        if now >= self.heard + self.times.idle.min(NEVER) {
            Due::Silent
        } else if self.drain_until.is_some_and(|until| now >= until) {
            Due::Drained
        } else if self.may_tell
            && self
                .times
                .keepalive
                .is_some_and(|keepalive| now >= self.told + keepalive)
        {
            Due::Keepalive
        } else {
            Due::Nothing
        }
    }
}
