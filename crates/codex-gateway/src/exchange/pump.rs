//! Moves a stream from the upstream to the client: bytes in, one sans-IO state
//! machine, bytes out. Records nothing; it says how the stream ended.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use gateway_wire::WireApi;
use gateway_wire::stream::Step;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::OnDisconnect;
use crate::error::ErrorCode;
use crate::exchange::client_response::BodySender;
use crate::exchange::stream_processor::StreamProcessor;
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
    pub processor: &'a mut StreamProcessor,
    pub upstream: &'a mut ReplyBody,
    pub client: &'a BodySender,
    pub wire: WireApi,
    pub times: PumpTimes,
    pub on_disconnect: OnDisconnect,
    /// Ends the stream when the process has to go.
    pub shutdown: &'a CancellationToken,
    /// Whether a data event may stand before the first event of the stream: client libraries refuse
    /// it and get a comment, Codex needs it.
    pub keepalive_first: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub enum StreamEnd {
    /// The terminal event is here and has not been passed on: settle, then send it and what came
    /// with it, then [`drain_after_terminal`] the rest.
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
                        format!("the upstream's response was cut off: {detail}")
                    }
                    None => "the upstream's response ended before its terminal event".to_owned(),
                },
            )),
            Self::Silent => Some((
                ErrorCode::UpstreamTimeout,
                "the upstream went silent in the middle of its response".to_owned(),
            )),
            Self::EventTooLarge => Some((
                ErrorCode::EventTooLarge,
                "the upstream sent an event that is larger than this gateway accepts".to_owned(),
            )),
            Self::Interrupted => Some((
                ErrorCode::GatewayStopping,
                "the gateway is shutting down; try again in a moment".to_owned(),
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
        mut first_output: impl FnMut(),
    ) -> StreamEnd {
        let mut steps = held;
        let mut has_client = true;
        let mut timers = Timers::new(self.times, self.keepalive_first, Instant::now());
        let client = self.client.clone();
        let client_gone = client.client_gone();
        tokio::pin!(client_gone);
        let shutdown = self.shutdown;
        let stopping = shutdown.cancelled();
        tokio::pin!(stopping);
        let alarm = sleep_until(timers.next_alarm());
        tokio::pin!(alarm);
        loop {
            // Before anything leaves: the first output and the last event may come in one piece.
            if self.processor.summary().has_output {
                first_output();
            }
            match self.pass_on(&mut steps, &mut has_client).await {
                Passed::Terminal(bytes) => return StreamEnd::Terminal(bytes),
                Passed::Something => timers.sent(self.processor.summary().events, Instant::now()),
                Passed::Nothing => {}
            }
            if !has_client {
                // A client that is only slow was given up because the process has to go.
                if self.shutdown.is_cancelled() {
                    return StreamEnd::Interrupted;
                }
                match self.on_disconnect {
                    OnDisconnect::Cancel => return StreamEnd::ClientGone,
                    OnDisconnect::Drain => timers.drain(Instant::now()),
                }
            }
            if let Some(end) = ended.take() {
                return end;
            }
            tokio::select! {
                biased;
                piece = self.upstream.next() => {
                    timers.last_received = Instant::now();
                    ended = self.gather(piece, &mut steps).await;
                }
                () = &mut client_gone, if has_client => has_client = false,
                () = &mut stopping => return StreamEnd::Interrupted,
                () = &mut alarm => {
                    let now = Instant::now();
                    if let Some(end) = self.on_alarm(&mut timers, now, has_client, &mut steps) {
                        return end;
                    }
                    alarm.as_mut().reset(timers.next_alarm().max(now + SHORTEST_ALARM));
                }
            }
        }
    }

    /// Does what is due; says whether that ends the stream.
    fn on_alarm(
        &mut self,
        timers: &mut Timers,
        now: Instant,
        has_client: bool,
        steps: &mut Vec<Step>,
    ) -> Option<StreamEnd> {
        match timers.due(now) {
            Due::Silent => return Some(StreamEnd::Silent),
            Due::Drained => return Some(StreamEnd::ClientGone),
            Due::Keepalive => {
                if has_client && timers.takes_events {
                    self.processor.keepalive(self.wire, steps);
                } else if has_client && !self.processor.ends_with_connection() {
                    steps.push(Step::Preamble(Bytes::from_static(KEEPALIVE_COMMENT)));
                }
                timers.last_sent = now;
            }
            Due::Nothing => {}
        }
        None
    }

    /// Takes a piece, and all that the upstream has sent already, so that a burst of events is one
    /// write to the client and not one for each. Waits for nothing: a lone event leaves at once.
    async fn gather(
        &mut self,
        piece: Option<Result<Bytes, String>>,
        steps: &mut Vec<Step>,
    ) -> Option<StreamEnd> {
        let mut piece = piece;
        let mut gathered = 0;
        loop {
            gathered += size_of_piece(piece.as_ref());
            let ended = self.take(piece, steps);
            let is_over = matches!(steps.last(), Some(Step::Terminal(_)));
            if ended.is_some() || is_over || gathered >= GATHER_BYTES {
                return ended;
            }
            piece = self.already_here().await?;
        }
    }

    /// What the upstream has sent already; the outer `None`: nothing. The connection hands pieces
    /// over one at a time, so that it needs a turn to bring the next one.
    async fn already_here(&mut self) -> Option<Option<Result<Bytes, String>>> {
        for _ in 0..GATHER_TURNS {
            if let Some(piece) = self.upstream.next().now_or_never() {
                return Some(piece);
            }
            tokio::task::yield_now().await;
        }
        self.upstream.next().now_or_never()
    }

    /// Feeds the processor; says how the upstream ended, if it did.
    fn take(
        &mut self,
        piece: Option<Result<Bytes, String>>,
        steps: &mut Vec<Step>,
    ) -> Option<StreamEnd> {
        match piece {
            Some(Ok(piece)) => self
                .processor
                .push(piece, steps)
                .is_err()
                .then_some(StreamEnd::EventTooLarge),
            Some(Err(detail)) => Some(StreamEnd::Truncated(Some(detail))),
            None => {
                self.processor.end(steps);
                Some(StreamEnd::Truncated(None))
            }
        }
    }

    /// Sends steps to the client in one piece, all but the terminal ones.
    async fn pass_on(&self, steps: &mut Vec<Step>, has_client: &mut bool) -> Passed {
        let mut pieces = Vec::with_capacity(steps.len());
        let mut last = Vec::new();
        for step in steps.drain(..) {
            match step {
                Step::Terminal(bytes) => last.push(bytes),
                Step::Preamble(bytes) | Step::Output(bytes) => pieces.push(bytes),
            }
        }
        let mut passed = Passed::Nothing;
        if *has_client && !pieces.is_empty() {
            *has_client = self.client.send(joined(pieces)).await.is_ok();
            passed = Passed::Something;
        }
        if last.is_empty() {
            passed
        } else {
            Passed::Terminal(last)
        }
    }
}

fn size_of_piece(piece: Option<&Result<Bytes, String>>) -> usize {
    match piece {
        Some(Ok(bytes)) => bytes.len(),
        _ => 0,
    }
}

/// One piece out of several: the connection writes once for each that it gets.
fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.as_slice() {
        [_] => pieces.remove(0),
        many => Bytes::from(many.concat()),
    }
}

/// A sign of life for clients that accept no event yet, and for proxies between.
pub const KEEPALIVE_COMMENT: &[u8] = b": keepalive\n\n";

/// Bytes that are gathered before they are passed on.
const GATHER_BYTES: usize = 64 * 1024;
/// Turns that the connection gets to bring what has arrived.
const GATHER_TURNS: usize = 2;

/// How long an upstream may take to end its stream after the terminal event, while the client still
/// listens.
const DRAIN_WITH_CLIENT: Duration = Duration::from_secs(2);
/// The same when the client has left: reading to the upstream's own end lets the connection serve
/// the next request.
const DRAIN_WITHOUT_CLIENT: Duration = Duration::from_millis(300);

/// After the terminal event has left: what the upstream still says goes to the client as it comes,
/// until one of them is through. All is recorded by then, so nothing that happens here is a failure;
/// a client that leaves now has everything.
pub async fn drain_after_terminal(
    processor: &mut StreamProcessor,
    upstream: &mut ReplyBody,
    client: BodySender,
    shutdown: &CancellationToken,
) {
    let is_left = match processor {
        // A translation ends with its own last event.
        StreamProcessor::Translator(_) => true,
        StreamProcessor::Relay(relay) => {
            let passing_on = async {
                let mut steps = Vec::new();
                while let Some(Ok(piece)) = upstream.next().await {
                    if relay.push(piece, &mut steps).is_err() {
                        return;
                    }
                    for step in steps.drain(..) {
                        if client.send(step.into_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = passing_on => false,
                () = client.client_gone() => true,
                () = tokio::time::sleep(DRAIN_WITH_CLIENT) => false,
                () = shutdown.cancelled() => false,
            }
        }
    };
    drop(client);
    if is_left {
        let rest = async { while let Some(Ok(_)) = upstream.next().await {} };
        drop(tokio::time::timeout(DRAIN_WITHOUT_CLIENT, rest).await);
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

/// The timers of one stream: how long the upstream has been silent, and how long the client has got
/// nothing.
struct Timers {
    times: PumpTimes,
    last_received: Instant,
    last_sent: Instant,
    sent_events: u64,
    drain_until: Option<Instant>,
    /// Whether a keepalive may be an event now.
    takes_events: bool,
}

/// What is due when the alarm rings.
enum Due {
    Nothing,
    Keepalive,
    Silent,
    Drained,
}

impl Timers {
    fn new(times: PumpTimes, takes_events: bool, now: Instant) -> Self {
        Self {
            times,
            last_received: now,
            last_sent: now,
            sent_events: 0,
            drain_until: None,
            takes_events,
        }
    }

    /// Something went to the client. Comments do not count: Codex ignores them, and its patience
    /// runs on.
    fn sent(&mut self, events: u64, now: Instant) {
        if events > self.sent_events {
            self.sent_events = events;
            self.last_sent = now;
            self.takes_events = true;
        }
    }

    fn drain(&mut self, now: Instant) {
        self.drain_until.get_or_insert(now + self.times.drain);
    }

    fn next_alarm(&self) -> Instant {
        let keepalive = self.last_sent + self.times.keepalive.unwrap_or(NEVER);
        let silence = self.last_received + self.times.idle.min(NEVER);
        let next = keepalive.min(silence);
        self.drain_until.map_or(next, |until| next.min(until))
    }

    fn due(&self, now: Instant) -> Due {
        if now >= self.last_received + self.times.idle.min(NEVER) {
            Due::Silent
        } else if self.drain_until.is_some_and(|until| now >= until) {
            Due::Drained
        } else if self
            .times
            .keepalive
            .is_some_and(|keepalive| now >= self.last_sent + keepalive)
        {
            Due::Keepalive
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests;
