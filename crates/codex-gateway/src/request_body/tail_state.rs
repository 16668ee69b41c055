//! What a body that is sent on while it arrives turns out to be: written by the upload, read by
//! whoever waits for its answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_wire::request::{HeadScanner, RequestHead};

use crate::error::GatewayError;

/// The state of one body, shared.
#[derive(Clone)]
pub(super) struct TailState(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) scanner: Option<HeadScanner>,
    pub(super) head: RequestHead,
    pub(super) refusal: Option<GatewayError>,
    /// Bytes that have come so far.
    pub(super) seen: usize,
}

impl TailState {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a streamed tail.
#[derive(Clone)]
pub struct TailWatch(TailState);

impl std::fmt::Debug for TailWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TailWatch").finish_non_exhaustive()
    }
}

impl TailWatch {
    pub(super) const fn new(state: TailState) -> Self {
        Self(state)
    }

    /// Why the rest of the body was refused, if it was.
    pub fn refusal(&self) -> Option<GatewayError> {
        self.0.lock().refusal.clone()
    }

    /// How much of the body has come.
    pub fn bytes(&self) -> u64 {
        self.0.lock().seen as u64
    }

    /// The head as far as it is known: later members appear once they were sent.
    pub fn head(&self) -> RequestHead {
        let state = self.0.lock();
        state
            .scanner
            .as_ref()
            .map_or_else(|| state.head.clone(), |scanner| scanner.head().clone())
    }
}
