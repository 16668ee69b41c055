//! The way out when the store fails after the upstream was paid: a preallocated file in the data
//! directory, written and fsynced by a thread of its own. It keeps entries until the store has
//! them; it is not a second ledger and answers no query.

mod file;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use crate::entry::LedgerEntry;
use crate::error::LedgerError;
use crate::group_commit::Reply;

use file::SpoolFile;

/// Entries waiting for the thread. When this many wait for one disk, it is gone, and callers get an
/// error.
const QUEUE: usize = 16 * 1024;
/// Records written per fsync.
const GROUP: usize = 1024;

enum SpoolCommand {
    Append(Box<LedgerEntry>, Option<Reply>),
    /// The oldest entries that were not taken yet.
    Take(
        usize,
        oneshot::Sender<Result<Vec<LedgerEntry>, LedgerError>>,
    ),
    /// Entries that the store refuses for good: into a file beside the spool, for a person to look
    /// at.
    SetAside(Vec<LedgerEntry>, Reply),
    /// The store has everything that was taken.
    Drained,
    /// The store has not; hand it out again.
    Rewind,
}

/// The spool's handle. The thread ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    commands: SyncSender<SpoolCommand>,
    depth: Arc<AtomicUsize>,
}

const GONE: &str = "the spool's thread is gone";

impl Spool {
    /// Opens or makes the file; what an earlier process left in it is there to be taken.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let depth = Arc::new(AtomicUsize::new(0));
        let file = SpoolFile::open(path, Arc::clone(&depth))?;
        let (commands, receiver) = sync_channel(QUEUE);
        // A thread and not a task: fsync blocks, and it must go on when every worker of the runtime
        // is stuck in the store.
        std::thread::Builder::new()
            .name("ledger-spool".to_owned())
            .spawn(move || serve(file, &receiver))
            .map_err(|error| LedgerError::io("the spool's thread cannot be started", error))?;
        Ok(Self { commands, depth })
    }

    /// Entries that the store does not have yet.
    pub(crate) fn depth(&self) -> usize {
        self.depth.load(Ordering::Relaxed)
    }

    /// Returns once the entry is fsynced.
    pub(crate) async fn append(&self, entry: LedgerEntry) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(SpoolCommand::Append(Box::new(entry), Some(reply)))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    /// Hands an entry over without waiting for the disk.
    pub(crate) fn hand_over(&self, entry: LedgerEntry) -> Result<(), LedgerError> {
        self.send(SpoolCommand::Append(Box::new(entry), None))
    }

    pub(crate) async fn take(&self, most: usize) -> Result<Vec<LedgerEntry>, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(SpoolCommand::Take(most, reply))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    pub(crate) async fn set_aside(&self, entries: Vec<LedgerEntry>) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(SpoolCommand::SetAside(entries, reply))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    pub(crate) fn drained(&self) -> Result<(), LedgerError> {
        self.send(SpoolCommand::Drained)
    }

    pub(crate) fn rewind(&self) -> Result<(), LedgerError> {
        self.send(SpoolCommand::Rewind)
    }

    fn send(&self, command: SpoolCommand) -> Result<(), LedgerError> {
        self.commands
            .try_send(command)
            .map_err(|_| LedgerError::unavailable("the spool is full or gone"))
    }
}

fn serve(mut file: SpoolFile, commands: &Receiver<SpoolCommand>) {
    let mut group = Vec::new();
    while let Ok(first) = commands.recv() {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                SpoolCommand::Append(entry, reply) => group.push((entry, reply)),
                SpoolCommand::Take(most, reply) => {
                    flush(&mut file, &mut group);
                    // The asker may have given up; then the next rewind hands the entries out
                    // again.
                    drop(reply.send(file.take(most)));
                }
                SpoolCommand::SetAside(entries, reply) => {
                    drop(reply.send(file.set_aside(&entries)));
                }
                SpoolCommand::Drained => {
                    flush(&mut file, &mut group);
                    if let Err(error) = file.drained() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the spool cannot be emptied"
                        );
                    }
                }
                SpoolCommand::Rewind => file.rewind(),
            }
            next = if group.len() < GROUP {
                commands.try_recv().ok()
            } else {
                None
            };
        }
        flush(&mut file, &mut group);
    }
}

type Waiting = (Box<LedgerEntry>, Option<Reply>);

fn flush(file: &mut SpoolFile, group: &mut Vec<Waiting>) {
    if group.is_empty() {
        return;
    }
    let written = file.append(group.iter().map(|(entry, _)| &**entry));
    if let Err(error) = &written {
        tracing::error!(
            error = error as &dyn std::error::Error,
            entries = group.len(),
            "the spool cannot be written: entries stay in memory only"
        );
    }
    for (_, reply) in group.drain(..) {
        let answer = match &written {
            Ok(()) => Ok(()),
            Err(error) => Err(LedgerError::bare(
                error.kind(),
                "the spool cannot be written",
            )),
        };
        // A caller that stopped waiting needs no answer.
        if let Some(reply) = reply {
            drop(reply.send(answer));
        }
    }
}
