//! The way out when the store fails after the upstream was paid: a preallocated file in the data
//! directory, written and fsynced by a thread of its own. It keeps entries until the store has
//! them; it is no second ledger and answers no query.
//!
//! Layout: a header block of 4096 bytes with a magic and a generation, then records of `length u32
//! · generation u64 · checksum 8 bytes · JSON`. A record of another generation, or with a wrong
//! checksum, ends the file: the space behind it is preallocated zeros or left over from before the
//! last reset.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

use crate::entry::LedgerEntry;
use crate::error::{LedgerError, LedgerErrorKind};

const MAGIC: &[u8; 8] = b"cgwspool";
const HEADER: u64 = 4096;
const RECORD_HEAD: usize = 4 + 8 + 8;
/// Disk space set aside when the file is made, so that a full disk cannot keep a paid answer from
/// being booked: about ten thousand entries.
const PREALLOCATED: u64 = 16 * 1024 * 1024;
/// A record that long is not one of ours.
const MAX_RECORD: u32 = 16 * 1024 * 1024;
/// Entries waiting for the thread. When that many wait for one disk, it is gone, and callers are
/// told so.
const QUEUE: usize = 16 * 1024;
/// Records written per fsync.
const GROUP: usize = 1024;

enum Command {
    Append(
        Box<LedgerEntry>,
        Option<oneshot::Sender<Result<(), LedgerError>>>,
    ),
    /// The oldest entries that were not taken yet.
    Take(
        usize,
        oneshot::Sender<Result<Vec<LedgerEntry>, LedgerError>>,
    ),
    /// Entries that the store refuses for good: into a file beside the spool, for a person to look
    /// at.
    SetAside(Vec<LedgerEntry>, oneshot::Sender<Result<(), LedgerError>>),
    /// The store has everything that was taken.
    Drained,
    /// The store has not; hand it out again.
    Rewind,
}

/// The spool's handle. The thread ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    commands: SyncSender<Command>,
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
        self.send(Command::Append(Box::new(entry), Some(reply)))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    /// Hands an entry over without waiting for the disk.
    pub(crate) fn hand_over(&self, entry: LedgerEntry) -> Result<(), LedgerError> {
        self.send(Command::Append(Box::new(entry), None))
    }

    pub(crate) async fn take(&self, most: usize) -> Result<Vec<LedgerEntry>, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Take(most, reply))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    pub(crate) async fn set_aside(&self, entries: Vec<LedgerEntry>) -> Result<(), LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::SetAside(entries, reply))?;
        answer.await.map_err(|_| LedgerError::unavailable(GONE))?
    }

    pub(crate) fn drained(&self) -> Result<(), LedgerError> {
        self.send(Command::Drained)
    }

    pub(crate) fn rewind(&self) -> Result<(), LedgerError> {
        self.send(Command::Rewind)
    }

    fn send(&self, command: Command) -> Result<(), LedgerError> {
        self.commands
            .try_send(command)
            .map_err(|_| LedgerError::unavailable("the spool is full or gone"))
    }
}

fn serve(mut file: SpoolFile, commands: &Receiver<Command>) {
    let mut group = Vec::new();
    while let Ok(first) = commands.recv() {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(entry, reply) => group.push((entry, reply)),
                Command::Take(most, reply) => {
                    flush(&mut file, &mut group);
                    // The asker may have given up; then the next rewind hands the entries out
                    // again.
                    drop(reply.send(file.take(most)));
                }
                Command::SetAside(entries, reply) => drop(reply.send(file.set_aside(&entries))),
                Command::Drained => {
                    flush(&mut file, &mut group);
                    if let Err(error) = file.drained() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the spool cannot be emptied"
                        );
                    }
                }
                Command::Rewind => file.rewind(),
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

type Waiting = (
    Box<LedgerEntry>,
    Option<oneshot::Sender<Result<(), LedgerError>>>,
);

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
        // A caller that stopped waiting has nothing to be told.
        if let Some(reply) = reply {
            drop(reply.send(answer));
        }
    }
}

struct SpoolFile {
    file: File,
    generation: u64,
    /// Where the oldest entry lies that the store does not have.
    start: u64,
    /// Up to where entries were handed out.
    taken: u64,
    taken_count: usize,
    end: u64,
    depth: Arc<AtomicUsize>,
    /// Where refused entries are appended, one JSON object per line.
    rejected: PathBuf,
}

fn failed(error: std::io::Error) -> LedgerError {
    LedgerError::io("the spool file failed", error)
}

impl SpoolFile {
    fn open(path: &Path, depth: Arc<AtomicUsize>) -> Result<Self, LedgerError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        let rejected = path.with_extension("rejected.jsonl");
        let mut spool = Self {
            file,
            generation: 1,
            start: HEADER,
            taken: HEADER,
            taken_count: 0,
            end: HEADER,
            depth,
            rejected,
        };
        let mut header = [0; 16];
        let length = spool.file.metadata().map_err(failed)?.len();
        if length >= HEADER {
            spool.file.read_exact(&mut header).map_err(failed)?;
        }
        let (magic, generation) = header.split_at(8);
        if magic == MAGIC {
            spool.generation = generation.try_into().map_or(1, u64::from_le_bytes);
            spool.find_end()?;
        } else {
            spool.write_header()?;
        }
        if length < PREALLOCATED {
            spool.preallocate(length.max(spool.end))?;
        }
        Ok(spool)
    }

    fn preallocate(&mut self, from: u64) -> Result<(), LedgerError> {
        // Instant where the file system can set blocks aside; elsewhere writing them does.
        if fs4::fs_std::FileExt::allocate(&self.file, PREALLOCATED).is_ok() {
            return self.file.sync_all().map_err(failed);
        }
        self.file.seek(SeekFrom::Start(from)).map_err(failed)?;
        let zeros = vec![0; 64 * 1024];
        let mut left = PREALLOCATED.saturating_sub(from);
        while left > 0 {
            let part = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
            self.file
                .write_all(zeros.get(..part).unwrap_or(&zeros))
                .map_err(failed)?;
            left = left.saturating_sub(part as u64);
        }
        self.file.sync_all().map_err(failed)
    }

    fn write_header(&mut self) -> Result<(), LedgerError> {
        let mut header = vec![0; 16];
        header.splice(..8, MAGIC.iter().copied());
        header.splice(8.., self.generation.to_le_bytes());
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        self.file.write_all(&header).map_err(failed)?;
        // A record must never be found under a header that is not on the disk.
        self.file.sync_all().map_err(failed)
    }

    fn find_end(&mut self) -> Result<(), LedgerError> {
        let mut count = 0;
        while let Some((_, next)) = self.read_at(self.end)? {
            self.end = next;
            count += 1;
        }
        self.depth.store(count, Ordering::Relaxed);
        Ok(())
    }

    fn append<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e LedgerEntry>,
    ) -> Result<(), LedgerError> {
        let mut bytes = Vec::new();
        let mut count = 0;
        for entry in entries {
            let payload = serde_json::to_vec(entry).map_err(|error| {
                LedgerError::caused(
                    LedgerErrorKind::Rejected,
                    "an entry cannot be written as JSON",
                    error,
                )
            })?;
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&self.generation.to_le_bytes());
            bytes.extend_from_slice(&checksum(&payload));
            bytes.extend_from_slice(&payload);
            count += 1;
        }
        self.file.seek(SeekFrom::Start(self.end)).map_err(failed)?;
        self.file.write_all(&bytes).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        // Only now: after a failure the next group overwrites what may be torn.
        self.end += bytes.len() as u64;
        self.depth.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    fn read_at(&mut self, offset: u64) -> Result<Option<(Vec<u8>, u64)>, LedgerError> {
        let mut head = [0; RECORD_HEAD];
        self.file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        if !read_whole(&mut self.file, &mut head)? {
            return Ok(None);
        }
        let (length, rest) = head.split_at(4);
        let (generation, sum) = rest.split_at(8);
        let length = length.try_into().map_or(0, u32::from_le_bytes);
        let generation = generation.try_into().map_or(0, u64::from_le_bytes);
        if length == 0 || length > MAX_RECORD || generation != self.generation {
            return Ok(None);
        }
        let mut payload = vec![0; length as usize];
        if !read_whole(&mut self.file, &mut payload)? || checksum(&payload) != *sum {
            return Ok(None);
        }
        let next = offset + RECORD_HEAD as u64 + u64::from(length);
        Ok(Some((payload, next)))
    }

    fn take(&mut self, most: usize) -> Result<Vec<LedgerEntry>, LedgerError> {
        let mut entries = Vec::new();
        while entries.len() < most && self.taken < self.end {
            let Some((payload, next)) = self.read_at(self.taken)? else {
                break;
            };
            self.taken = next;
            self.taken_count += 1;
            match serde_json::from_slice(&payload) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    tracing::error!(%error, "an entry in the spool cannot be read and is skipped");
                }
            }
        }
        Ok(entries)
    }

    fn set_aside(&self, entries: &[LedgerEntry]) -> Result<(), LedgerError> {
        let mut lines = Vec::new();
        for line in entries.iter().flat_map(serde_json::to_vec) {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.rejected)
            .map_err(failed)?;
        file.write_all(&lines).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    fn rewind(&mut self) {
        self.taken = self.start;
        self.taken_count = 0;
    }

    fn drained(&mut self) -> Result<(), LedgerError> {
        self.start = self.taken;
        self.depth.fetch_sub(self.taken_count, Ordering::Relaxed);
        self.taken_count = 0;
        if self.start == self.end && self.end > HEADER {
            // The new generation makes everything behind the header stale in one write.
            self.generation += 1;
            self.write_header()?;
            self.start = HEADER;
            self.taken = HEADER;
            self.end = HEADER;
            self.file.set_len(PREALLOCATED).map_err(failed)?;
        }
        Ok(())
    }
}

/// FNV-1a: enough to notice a torn write, which is all it is for.
fn checksum(payload: &[u8]) -> [u8; 8] {
    let mix = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    payload
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, mix)
        .to_le_bytes()
}

fn read_whole(file: &mut File, buffer: &mut [u8]) -> Result<bool, LedgerError> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
