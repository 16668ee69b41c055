//! Takes what has gathered in a queue as one group: while one group is being written the next one
//! gathers.

use tokio::sync::{mpsc, oneshot, watch};

use crate::error::LedgerError;

/// Tells a caller that waits what became of its operation.
pub(crate) type Reply = oneshot::Sender<Result<(), LedgerError>>;

pub(crate) struct GroupQueue<Op> {
    queue: mpsc::Receiver<Op>,
    /// Operations in one group.
    most: usize,
}

impl<Op> GroupQueue<Op> {
    pub(crate) const fn new(queue: mpsc::Receiver<Op>, most: usize) -> Self {
        Self { queue, most }
    }

    /// The next group; `None` when the queue is closed and empty. What is queued when `closing`
    /// turns true still comes.
    pub(crate) async fn next(&mut self, closing: &mut watch::Receiver<bool>) -> Option<Vec<Op>> {
        let mut group = Vec::with_capacity(self.most);
        loop {
            tokio::select! {
                received = self.queue.recv_many(&mut group, self.most) => {
                    return (received > 0).then_some(group);
                }
                Ok(()) = closing.changed() => self.queue.close(),
            }
        }
    }
}
