//! One socket from its first message to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use gateway_wire::socket::{ClientFrame, CreateFrame, EventKind};
use http::request::Parts;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

use crate::endpoint::Endpoint;
use crate::error::{ErrorCode, GatewayError};
use crate::exchange;
use crate::exchange::proxy::Proxy;
use crate::exchange::socket_turn::SocketTurn;
use crate::identity::client;
use crate::message_socket::{MessageReader, MessageWriter, SocketEnd};
use crate::websocket::answer::{Answer, Messages, refusal};
use crate::websocket::frame_request::request;
use crate::websocket::history::History;
use crate::websocket::io::{Gone, Inbound, SocketIo, split};

/// How long a client may take to send its first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(60);
/// How long a socket may be idle. A client that comes back later sends the whole conversation, once.
const IDLE: Duration = Duration::from_secs(20 * 60);
/// An idle socket that is older than this is closed: the public service ends one after an hour,
/// whatever it is doing.
const MAX_AGE: Duration = Duration::from_secs(55 * 60);
/// Below the 60 s after which common proxies drop a connection.
const PING: Duration = Duration::from_secs(25);
/// After so many pings without any sign the client has gone.
const MAX_UNANSWERED: u32 = 4;
/// How often a client that waits for an answer hears something. Pings do not count for Codex.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// Messages that may wait behind an answer.
const MAX_WAITING: usize = 4;

/// Close codes of RFC 6455.
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED: u16 = 1003;
const TOO_LARGE: u16 = 1009;

/// One socket.
pub(super) struct Session {
    proxy: Arc<Proxy>,
    /// The handshake, as the start of every request.
    template: Parts,
    history: History,
    waiting: VecDeque<Inbound>,
    unanswered: u32,
}

/// Why a session ends.
enum Stop {
    /// There is no client to tell.
    Gone,
    Close(u16, String),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Session {
    pub(super) fn new(proxy: Arc<Proxy>, template: Parts, history: History) -> Self {
        Self {
            proxy,
            template,
            history,
            waiting: VecDeque::new(),
            unanswered: 0,
        }
    }

    /// Serves the socket to its end. Dropped, it tells the exchange that runs that the client has
    /// gone.
    pub(super) async fn run(mut self, writer: MessageWriter, reader: MessageReader) {
        let (mut io, reading) = split(writer, reader);
        let serving = async {
            match self.serve(&mut io).await {
                Stop::Gone => {}
                Stop::Close(code, reason) => io.close(code, &reason).await,
            }
        };
        let reading = async {
            reading.run().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = reading => {}
        }
    }

    async fn serve(&mut self, io: &mut SocketIo) -> Stop {
        let draining = self.proxy.tasks.draining().clone();
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let opened = Instant::now();
        let mut deadline = opened + FIRST_MESSAGE;
        loop {
            let inbound = if let Some(inbound) = self.waiting.pop_front() {
                inbound
            } else {
                tokio::select! {
                    biased;
                    () = draining.cancelled() => {
                        return Stop::Close(GOING_AWAY, "the gateway is shutting down".to_owned());
                    }
                    inbound = io.inbound.recv() => match inbound {
                        Some(inbound) => inbound,
                        None => return Stop::Gone,
                    },
                    _ = pings.tick() => match self.ping(io).await {
                        Ok(()) => continue,
                        Err(Gone) => return Stop::Gone,
                    },
                    () = sleep_until(deadline) => {
                        return Stop::Close(GOING_AWAY, "idle for too long".to_owned());
                    }
                }
            };
            if draining.is_cancelled() {
                return Stop::Close(GOING_AWAY, "the gateway is shutting down".to_owned());
            }
            if let Err(stop) = self.take(io, inbound, &mut pings).await {
                return stop;
            }
            let now = Instant::now();
            deadline = (now + IDLE).min((opened + MAX_AGE).max(now));
        }
    }

    async fn ping(&mut self, io: &mut SocketIo) -> Result<(), Gone> {
        self.unanswered = if io.has_signs() {
            0
        } else {
            self.unanswered + 1
        };
        if self.unanswered > MAX_UNANSWERED {
            return Err(Gone);
        }
        io.ping().await
    }

    /// Answers one message.
    async fn take(
        &mut self,
        io: &mut SocketIo,
        inbound: Inbound,
        pings: &mut Interval,
    ) -> Result<(), Stop> {
        let text = match inbound {
            Inbound::Text(text) => text,
            Inbound::Binary => {
                let reason = "messages must be text".to_owned();
                return Err(Stop::Close(UNSUPPORTED, reason));
            }
            Inbound::Unusable(end) => return Err(close_for(end)),
        };
        match ClientFrame::read(&text) {
            Ok(ClientFrame::Create(frame)) => self.create(io, frame, pings).await,
            Ok(ClientFrame::Other { kind }) => {
                self.other(io, &kind).await?;
                Ok(())
            }
            Err(error) => {
                let error = GatewayError::new(ErrorCode::InvalidRequest, error.to_string());
                Ok(send_refusal(io, error).await?)
            }
        }
    }

    /// A message about a response, while none runs. What interrupts comes too late then, and Codex
    /// would take an error for the answer to its next message.
    async fn other(&mut self, io: &mut SocketIo, kind: &str) -> Result<(), Gone> {
        if kind.starts_with("response.") {
            return Ok(());
        }
        let kind: String = kind.chars().take(60).collect();
        let error = GatewayError::new(
            ErrorCode::InvalidRequest,
            format!("messages of the type `{kind}` are not supported; send `response.create`"),
        );
        send_refusal(io, error.param("type")).await
    }

    /// Runs the exchange of one `response.create`.
    async fn create(
        &mut self,
        io: &mut SocketIo,
        frame: CreateFrame,
        pings: &mut Interval,
    ) -> Result<(), Stop> {
        if frame.stream_id().is_some() {
            let error = GatewayError::new(
                ErrorCode::InvalidRequest,
                "this gateway serves one response at a time on a WebSocket: leave out \
                 `stream_id`, and open another connection for a response beside it",
            );
            return Ok(send_refusal(io, error.param("stream_id")).await?);
        }
        let mut response = self.history.begin(&frame);
        let turn = SocketTurn::new(frame.clone(), self.history.previous(&frame));
        let request = request(&self.template, turn);
        let max = self.proxy.config.load().settings.server.max_event;
        let is_codex = client::names_itself(&self.template.headers);
        // Client libraries refuse an event before the first one of a response.
        let mut may_keep_alive = client::takes_early_events(&self.template.headers);
        let exchange = exchange::run(Arc::clone(&self.proxy), Endpoint::Responses, request);
        let mut answer = Answer::new(exchange, max, is_codex);
        let mut quiet_since = Instant::now();
        loop {
            tokio::select! {
                biased;
                messages = answer.next() => {
                    let Messages { texts, items, end } = messages;
                    for item in items {
                        response.add(item);
                    }
                    if let Some(EventKind::Completed(Some(id))) = &end {
                        // Before the client hears of it, and continues it.
                        self.history.complete(id.clone(), response);
                        io.send(texts).await?;
                        return Ok(());
                    }
                    if !texts.is_empty() {
                        io.send(texts).await?;
                        quiet_since = Instant::now();
                        may_keep_alive = true;
                    }
                    if end.is_some() {
                        return Ok(());
                    }
                }
                inbound = io.inbound.recv(), if self.waiting.len() < MAX_WAITING => {
                    match inbound {
                        None => return Err(Stop::Gone),
                        Some(Inbound::Unusable(end)) => return Err(close_for(end)),
                        Some(inbound) => self.meanwhile(inbound),
                    }
                }
                () = io.gone.cancelled() => return Err(Stop::Gone),
                _ = pings.tick() => self.ping(io).await?,
                () = sleep_until(quiet_since + KEEPALIVE), if may_keep_alive => {
                    let keepalive = bytes::Bytes::from_static(br#"{"type":"keepalive"}"#);
                    io.send([keepalive]).await?;
                    quiet_since = Instant::now();
                }
            }
        }
    }

    /// A message while a response runs. Over HTTP nothing can interrupt an upstream without losing
    /// what it made, so that the client gets the response to its normal end.
    fn meanwhile(&mut self, inbound: Inbound) {
        if let Inbound::Text(text) = &inbound
            && let Ok(ClientFrame::Other { kind }) = ClientFrame::read(text)
            && kind.starts_with("response.")
        {
            return;
        }
        self.waiting.push_back(inbound);
    }
}

async fn send_refusal(io: &mut SocketIo, error: GatewayError) -> Result<(), Gone> {
    let mut answer = refusal(error);
    loop {
        let messages = answer.next().await;
        io.send(messages.texts).await?;
        if messages.end.is_some() {
            return Ok(());
        }
    }
}

fn close_for(end: SocketEnd) -> Stop {
    match end {
        SocketEnd::TooLarge => Stop::Close(
            TOO_LARGE,
            "a message is larger than `max_request_body`".to_owned(),
        ),
        SocketEnd::Invalid(code, reason) => Stop::Close(code, reason),
        SocketEnd::Closed(_) | SocketEnd::Gone => Stop::Gone,
    }
}
