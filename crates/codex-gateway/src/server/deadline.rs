//! A time limit inside a `poll` function.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Not running until it is started.
#[derive(Default)]
pub struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Starts it, unless it runs already.
    pub fn start(&mut self, after: Duration) {
        self.0.get_or_insert_with(|| Box::pin(sleep(after)));
    }

    /// Stops it.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Has the task woken when it passes.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] when it has passed.
    pub fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.0.as_mut().map(|sleep| sleep.as_mut().poll(context)) {
            Some(Poll::Ready(())) => Err(io::ErrorKind::TimedOut.into()),
            Some(Poll::Pending) | None => Ok(()),
        }
    }
}
