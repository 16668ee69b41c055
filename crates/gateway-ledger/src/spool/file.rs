//! The spool's file.
//!
//! Layout: a header block of 4096 bytes with a magic and a generation, then records of `length u32
//! · generation u64 · checksum 8 bytes · JSON`. A record of another generation, or with a wrong
//! checksum, ends the file: the space behind it is preallocated zeros or left over from before the
//! last reset.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::entry::LedgerEntry;
use crate::error::LedgerError;

const MAGIC: &[u8; 8] = b"cgwspool";
const HEADER: u64 = 4096;
const RECORD_HEAD: usize = 4 + 8 + 8;
/// Disk space preallocated when the file is made, so that a full disk cannot keep a paid answer from
/// being recorded: about ten thousand entries.
const PREALLOCATED: u64 = 16 * 1024 * 1024;
/// A record that long is not one of ours.
const MAX_RECORD: u32 = 16 * 1024 * 1024;

pub(super) struct SpoolFile {
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
    pub(super) fn open(path: &Path, depth: Arc<AtomicUsize>) -> Result<Self, LedgerError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| failed(error).at(path))?;
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

    pub(super) fn append<'e>(
        &mut self,
        entries: impl Iterator<Item = &'e LedgerEntry>,
    ) -> Result<(), LedgerError> {
        let mut bytes = Vec::new();
        let mut count = 0;
        for entry in entries {
            let payload = serde_json::to_vec(entry)
                .map_err(|error| LedgerError::json("an entry cannot be written as JSON", error))?;
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

    pub(super) fn take(&mut self, most: usize) -> Result<Vec<LedgerEntry>, LedgerError> {
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

    pub(super) fn set_aside(&self, entries: &[LedgerEntry]) -> Result<(), LedgerError> {
        let mut lines = Vec::new();
        for line in entries.iter().flat_map(serde_json::to_vec) {
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.rejected)
            .map_err(failed)?;
        file.write_all(&lines).map_err(failed)?;
        file.sync_all().map_err(failed)
    }

    pub(super) fn rewind(&mut self) {
        self.taken = self.start;
        self.taken_count = 0;
    }

    pub(super) fn drained(&mut self) -> Result<(), LedgerError> {
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
