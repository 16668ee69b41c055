//! The request body on its way through: a head that was read, and a tail that can be sent again or
//! is streamed once.

pub mod decode;
mod upload;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use gateway_wire::request::{HeadScanner, RequestError, RequestHead};
use gateway_wire::translate::compaction;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::error::{ErrorCode, GatewayError};
use crate::request_body::decode::Coding;
use crate::tasks;
pub use upload::{TailRefused, Upload};

/// Bodies up to this many bytes are read whole: below it, reading ahead costs nothing and every
/// attempt can be repeated.
const READ_AHEAD: usize = 64 * 1024;
/// Compressed bodies above this are decoded beside the request loop.
const DECODE_INLINE: usize = 16 * 1024;
/// Longest pause between two pieces of a request body.
const BODY_IDLE: Duration = Duration::from_secs(60);

/// A request body whose head is known.
pub struct RequestBody {
    pub head: RequestHead,
    pub tail: Tail,
    /// How the client's bytes are encoded; empty for plain ones.
    pub codings: Vec<Coding>,
}

/// What follows the head.
pub enum Tail {
    /// All of it is here: `raw` as the client sent it, `plain` decoded (the same bytes when nothing
    /// was encoded).
    Replayable { raw: Bytes, plain: Bytes },
    /// Still arriving; can be sent once. Plain bytes only.
    Streamed(Streamed),
    /// It was streamed and is gone.
    Sent,
}

impl RequestBody {
    /// Whether an attempt can be repeated.
    pub const fn is_replayable(&self) -> bool {
        matches!(self.tail, Tail::Replayable { .. })
    }

    /// Reads a streamed tail to its end, so that it can be sent more than once.
    pub async fn collect(&mut self) -> Result<(), GatewayError> {
        let tail = std::mem::replace(&mut self.tail, Tail::Sent);
        self.tail = match tail {
            Tail::Streamed(streamed) => {
                let (plain, head) = streamed.collect().await?;
                self.head = head;
                Tail::Replayable {
                    raw: plain.clone(),
                    plain,
                }
            }
            Tail::Replayable { .. } | Tail::Sent => tail,
        };
        Ok(())
    }
}

impl RequestBody {
    /// Turns what this gateway compacted back into messages, which any upstream can read. A body
    /// without such is left alone.
    pub fn expand_own_compaction(&mut self) -> Result<(), GatewayError> {
        let Tail::Replayable { plain, .. } = &self.tail else {
            return Ok(());
        };
        let Some(expanded) = compaction::expand(plain).map(Bytes::from) else {
            return Ok(());
        };
        self.head = gateway_wire::request::scan(&expanded).map_err(|error| invalid(&error))?;
        self.codings.clear();
        self.tail = Tail::Replayable {
            raw: expanded.clone(),
            plain: expanded,
        };
        Ok(())
    }
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Most bytes, before and after decompression.
    pub max: usize,
    /// Whether rules or fallbacks need the whole body before deciding.
    pub is_whole_needed: bool,
}

/// Reads the body as far as the walk needs it.
pub async fn read(
    mut body: Body,
    codings: Vec<Coding>,
    limits: ReadLimits,
) -> Result<RequestBody, GatewayError> {
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > limits.max as u64) {
        return Err(decode::too_large(limits.max));
    }
    let mut scanner = codings.is_empty().then(HeadScanner::new);
    let mut pieces = Gathered::default();
    let mut total = 0usize;
    while let Some(piece) = next_piece(&mut body).await? {
        total += piece.len();
        if total > limits.max {
            return Err(decode::too_large(limits.max));
        }
        if let Some(scanner) = &mut scanner {
            scanner.push(&piece).map_err(|error| invalid(&error))?;
        }
        pieces.push(piece);
        let can_stream = total > READ_AHEAD && !limits.is_whole_needed && !body.is_end_stream();
        if can_stream
            && let Some(scanner) = scanner.take_if(|scanner| scanner.head().model.is_some())
        {
            let head = scanner.head().clone();
            let shared = Arc::new(Mutex::new(TailState {
                scanner: Some(scanner),
                head: head.clone(),
                refusal: None,
                seen: total,
            }));
            let tail = Streamed {
                read: pieces,
                rest: body,
                seen: total,
                max: limits.max,
                length,
                state: shared,
            };
            return Ok(RequestBody {
                head,
                tail: Tail::Streamed(tail),
                codings,
            });
        }
    }
    let raw = pieces.joined();
    let (plain, head) = if let Some(scanner) = scanner {
        (raw.clone(), scanner.finish())
    } else {
        let (raw, codings, max) = (raw.clone(), codings.clone(), limits.max);
        // Decoding megabytes would hold up the streams of others.
        tasks::run_blocking(raw.len() > DECODE_INLINE, move || {
            let plain = decode::decode(&raw, &codings, max)?;
            let head = gateway_wire::request::scan(&plain);
            Ok::<_, GatewayError>((plain, head))
        })
        .await
        .unwrap_or_else(|| Err(internal()))?
    };
    let head = head.map_err(|error| invalid(&error))?;
    Ok(RequestBody {
        head,
        tail: Tail::Replayable { raw, plain },
        codings,
    })
}

/// Reads a body that is passed on without being looked at.
pub async fn read_opaque(mut body: Body, max: usize) -> Result<Bytes, GatewayError> {
    if body.size_hint().lower() > max as u64 {
        return Err(decode::too_large(max));
    }
    let mut pieces = Gathered::default();
    let mut total = 0;
    while let Some(piece) = next_piece(&mut body).await? {
        total += piece.len();
        if total > max {
            return Err(decode::too_large(max));
        }
        pieces.push(piece);
    }
    Ok(pieces.joined())
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, GatewayError> {
    loop {
        let frame = tokio::time::timeout(BODY_IDLE, body.frame())
            .await
            .map_err(|_| stalled())?;
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Some(Err(error)) => {
                return Err(GatewayError::new(
                    ErrorCode::InvalidRequest,
                    format!("the request body broke off: {error}"),
                ));
            }
        }
    }
}

/// Bytes that arrived in pieces. One piece is kept as it is; more are copied together, so that a
/// body of tiny pieces costs its size and not a handle for each.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    joined: BytesMut,
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() && self.joined.is_empty() {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.joined.extend_from_slice(&piece);
    }

    fn joined(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

/// The caller's fault, with the position.
pub fn invalid(error: &RequestError) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!("the request body is not usable: {error}"),
    )
}

fn stalled() -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!(
            "the request body stopped arriving for {} s; send the request again",
            BODY_IDLE.as_secs()
        ),
    )
}

fn internal() -> GatewayError {
    GatewayError::new(
        ErrorCode::InternalError,
        "internal error while reading the request body",
    )
}

/// A body of which the first pieces were read and the rest is still arriving.
pub struct Streamed {
    read: Gathered,
    rest: Body,
    seen: usize,
    max: usize,
    length: Option<u64>,
    state: Arc<Mutex<TailState>>,
}

struct TailState {
    scanner: Option<HeadScanner>,
    head: RequestHead,
    refusal: Option<GatewayError>,
    /// Bytes that have come so far.
    seen: usize,
}

/// What became of a streamed tail.
#[derive(Clone)]
pub struct TailWatch(Arc<Mutex<TailState>>);

impl std::fmt::Debug for TailWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailWatch").finish_non_exhaustive()
    }
}

impl TailWatch {
    /// Why the rest of the body was refused, if it was.
    pub fn refusal(&self) -> Option<GatewayError> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refusal
            .clone()
    }

    /// How much of the body has come.
    pub fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen as u64
    }

    /// The head as far as it is known: later members appear once they were sent.
    pub fn head(&self) -> RequestHead {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .scanner
            .as_ref()
            .map_or_else(|| state.head.clone(), |scanner| scanner.head().clone())
    }
}

impl Streamed {
    /// Bytes of the whole body as announced, else those seen so far.
    pub fn announced_bytes(&self) -> u64 {
        self.length.unwrap_or(self.seen as u64)
    }

    async fn collect(mut self) -> Result<(Bytes, RequestHead), GatewayError> {
        let scanner = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .scanner
            .take();
        let mut scanner = scanner.unwrap_or_default();
        while let Some(piece) = next_piece(&mut self.rest).await? {
            self.seen += piece.len();
            if self.seen > self.max {
                return Err(decode::too_large(self.max));
            }
            scanner.push(&piece).map_err(|error| invalid(&error))?;
            self.read.push(piece);
        }
        let head = scanner.finish().map_err(|error| invalid(&error))?;
        Ok((self.read.joined(), head))
    }

    /// The body toward the upstream, with the model's value replaced where `splice` says so, and a
    /// watch on what it turns out to be.
    pub fn into_upload(
        self,
        splice: Option<(std::ops::Range<usize>, &str)>,
    ) -> Result<(Upload, TailWatch), GatewayError> {
        let watch = TailWatch(Arc::clone(&self.state));
        let joined = self.read.joined();
        let before = joined.len() as u64;
        let (pieces, after) = match splice {
            Some((span, model)) => {
                let pieces = gateway_wire::splice::splice(&joined, span, model).map_err(|_| {
                    GatewayError::new(
                        ErrorCode::InternalError,
                        "internal error: the model was not where it was expected",
                    )
                })?;
                let after = pieces.iter().map(|piece| piece.len() as u64).sum();
                (Vec::from(pieces), after)
            }
            None => (vec![joined], before),
        };
        let length = self.length.map(|length| length - before + after);
        let upload = Upload {
            head: pieces.into(),
            rest: self.rest,
            alarm: None,
            patience: BODY_IDLE,
            over: Arc::default(),
            seen: self.seen,
            max: self.max,
            length,
            state: self.state,
        };
        Ok((upload, watch))
    }
}
