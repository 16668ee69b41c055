//! The request body on its way through: a head that was read, and a tail that can be sent again or
//! is streamed once.

mod buffer;
pub mod decode;
mod fault;
mod streamed;
mod tail_state;
mod upload;

use axum::body::Body;
use bytes::Bytes;
use gateway_wire::request::{HeadScanner, RequestHead};
use gateway_wire::translate::compaction;
use http_body::Body as _;

use crate::error::{ErrorCode, GatewayError};
use crate::request_body::decode::Coding;
use crate::tasks;
use buffer::{BodyBuffer, next_piece};
use fault::invalid;
pub use streamed::Streamed;
pub use tail_state::TailWatch;
pub use upload::{TailRefused, Upload};

/// Bodies up to this many bytes are read whole: below it, reading ahead costs nothing and every
/// attempt can be repeated.
const READ_AHEAD: usize = 64 * 1024;
/// Compressed bodies above this are decoded beside the request loop.
const DECODE_INLINE: usize = 16 * 1024;

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
    ///
    /// # Errors
    /// When the rest is too large, broken, or stops arriving.
    pub async fn collect(&mut self) -> Result<(), GatewayError> {
        if let Some(streamed) = self.take_streamed() {
            let (plain, head) = streamed.collect().await?;
            self.head = head;
            self.tail = Tail::Replayable {
                raw: plain.clone(),
                plain,
            };
        }
        Ok(())
    }

    /// Takes a tail that can be sent once.
    pub fn take_streamed(&mut self) -> Option<Streamed> {
        if !matches!(self.tail, Tail::Streamed(_)) {
            return None;
        }
        match std::mem::replace(&mut self.tail, Tail::Sent) {
            Tail::Streamed(streamed) => Some(streamed),
            Tail::Replayable { .. } | Tail::Sent => None,
        }
    }

    /// Turns what this gateway compacted back into messages, which any upstream can read. A body
    /// without such is left alone.
    ///
    /// # Errors
    /// When what comes of it is not a request body, which would be a bug.
    pub fn expand_own_compaction(&mut self) -> Result<(), GatewayError> {
        let Tail::Replayable { plain, .. } = &self.tail else {
            return Ok(());
        };
        let Some(expanded) = compaction::expand(plain).map(Bytes::from) else {
            return Ok(());
        };
        self.replace(expanded)
    }

    /// Puts another plain body in the place of this one.
    ///
    /// # Errors
    /// When it is not a request body.
    pub fn replace(&mut self, plain: Bytes) -> Result<(), GatewayError> {
        self.head = gateway_wire::request::scan(&plain).map_err(|error| invalid(&error))?;
        self.codings.clear();
        self.tail = Tail::Replayable {
            raw: plain.clone(),
            plain,
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
///
/// # Errors
/// When the body is too large, broken or wrongly encoded, or stops arriving.
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
    let mut pieces = BodyBuffer::default();
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
            let tail = Streamed::new((pieces, total), body, scanner, limits.max, length);
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
///
/// # Errors
/// When the body is too large or broken, or stops arriving.
pub async fn read_opaque(mut body: Body, max: usize) -> Result<Bytes, GatewayError> {
    if body.size_hint().lower() > max as u64 {
        return Err(decode::too_large(max));
    }
    let mut pieces = BodyBuffer::default();
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

fn internal() -> GatewayError {
    GatewayError::new(
        ErrorCode::InternalError,
        "internal error while reading the request body",
    )
}
