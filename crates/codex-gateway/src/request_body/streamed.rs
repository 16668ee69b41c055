//! A request body of which the rest is still arriving.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use gateway_wire::request::{HeadScanner, RequestHead};

use crate::error::GatewayError;
use crate::request_body::buffer::{BodyBuffer, next_piece};
use crate::request_body::decode;
use crate::request_body::fault::{BODY_IDLE, invalid};
use crate::request_body::tail_state::{State, TailState, TailWatch};
use crate::request_body::upload::Upload;

/// A body of which the first pieces were read and the rest is still arriving.
pub struct Streamed {
    read: BodyBuffer,
    rest: Body,
    seen: usize,
    max: usize,
    length: Option<u64>,
    state: TailState,
}

impl Streamed {
    /// `read`: what has come; `rest`: what is to come; `length`: of both, where it is announced.
    pub(super) fn new(
        (read, seen): (BodyBuffer, usize),
        rest: Body,
        scanner: HeadScanner,
        max: usize,
        length: Option<u64>,
    ) -> Self {
        let state = State {
            head: scanner.head().clone(),
            scanner: Some(scanner),
            refusal: None,
            seen,
        };
        Self {
            read,
            rest,
            seen,
            max,
            length,
            state: TailState::new(state),
        }
    }

    /// Bytes of the whole body as announced, else those seen so far.
    pub fn announced_bytes(&self) -> u64 {
        self.length.unwrap_or(self.seen as u64)
    }

    /// Reads on to the end.
    pub(super) async fn collect(mut self) -> Result<(Bytes, RequestHead), GatewayError> {
        let scanner = self.state.lock().scanner.take();
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

    /// The body toward the upstream, and a watch on what it turns out to be.
    pub fn into_upload(self) -> (Upload, TailWatch) {
        let watch = TailWatch::new(self.state.clone());
        let upload = Upload {
            head: Some(self.read.joined()),
            rest: self.rest,
            alarm: None,
            patience: BODY_IDLE,
            over: Arc::default(),
            seen: self.seen,
            max: self.max,
            length: self.length,
            state: self.state,
        };
        (upload, watch)
    }
}
