//! Writes log lines in a thread of its own. Whoever logs never waits and never fails: where a line
//! cannot be written (a full disk, a closed pipe, a terminal that hangs), it is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written. When so many wait, further ones are dropped.
const MAX_WAITING: usize = 4096;
/// How long the end of the process waits for what is not written yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before trying again to enter a full queue, at the end of the process.
const FLUSH_PAUSE: Duration = Duration::from_millis(5);

enum WriterCommand {
    Line(Vec<u8>),
    /// Everything before it was written, or dropped.
    Flush(SyncSender<()>),
}

/// The way into the queue.
#[derive(Clone)]
pub(super) struct LogQueue {
    sender: SyncSender<WriterCommand>,
    dropped: &'static AtomicU64,
}

impl LogQueue {
    /// Starts the thread, which writes to `output`. Lines that are dropped are added to `dropped`.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        dropped: &'static AtomicU64,
    ) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, output, dropped))?;
        Ok(Self { sender, dropped })
    }

    fn push(&self, line: Vec<u8>) {
        if self.sender.try_send(WriterCommand::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was logged so far is written, but not for long.
    fn flush(&self) {
        let (done, written) = sync_channel(1);
        let mut message = WriterCommand::Flush(done);
        let mut waited = Duration::ZERO;
        while let Err(TrySendError::Full(refused)) = self.sender.try_send(message) {
            if waited >= FLUSH_TIMEOUT {
                return;
            }
            message = refused;
            std::thread::sleep(FLUSH_PAUSE);
            waited += FLUSH_PAUSE;
        }
        match written.recv_timeout(FLUSH_TIMEOUT.saturating_sub(waited)) {
            // What is late is lost with the process.
            Ok(()) | Err(_) => {}
        }
    }
}

fn write_lines(
    receiver: &Receiver<WriterCommand>,
    mut output: impl Write,
    dropped: &'static AtomicU64,
) {
    for message in receiver {
        match message {
            WriterCommand::Line(line) => {
                let written = output.write_all(&line).and_then(|()| output.flush());
                if written.is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            WriterCommand::Flush(done) => match done.try_send(()) {
                Ok(()) | Err(_) => {}
            },
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = QueuedLine<'a>;

    fn make_writer(&'a self) -> QueuedLine<'a> {
        QueuedLine {
            queue: self,
            line: Vec::new(),
        }
    }
}

/// One line while it is formatted; it enters the queue when it is dropped.
pub(super) struct QueuedLine<'a> {
    queue: &'a LogQueue,
    line: Vec<u8>,
}

impl Write for QueuedLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueuedLine<'_> {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.queue.push(std::mem::take(&mut self.line));
        }
    }
}

/// Held until the process ends; then waits for what is not written yet, for a second at most.
#[must_use = "dropping it ends the wait for what is not written yet"]
pub struct LogGuard(pub(super) LogQueue);

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn counter() -> &'static AtomicU64 {
        Box::leak(Box::default())
    }

    /// Hands over what is written; waits while nobody takes it.
    struct Slow(mpsc::SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .send(bytes.to_vec())
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(queue: &LogQueue, text: &str) {
        queue.make_writer().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_are_written_in_order_and_the_end_waits_for_them() {
        let (sender, written) = mpsc::sync_channel(100);
        let dropped = counter();
        let queue = LogQueue::start(Slow(sender), dropped).unwrap();
        for number in 0..50 {
            log(&queue, &format!("{number}\n"));
        }
        drop(LogGuard(queue));
        let expected: Vec<String> = (0..50).map(|number| format!("{number}\n")).collect();
        let lines: Vec<String> = written
            .try_iter()
            .map(|line| String::from_utf8(line).unwrap())
            .collect();
        assert_eq!(lines, expected);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_counted() {
        let (sender, written) = mpsc::sync_channel(0);
        drop(written);
        let dropped = counter();
        let queue = LogQueue::start(Slow(sender), dropped).unwrap();
        for _ in 0..3 {
            log(&queue, "lost\n");
        }
        queue.flush();
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_output_that_hangs_holds_nobody_up() {
        let (sender, written) = mpsc::sync_channel(0);
        let dropped = counter();
        let queue = LogQueue::start(Slow(sender), dropped).unwrap();
        for _ in 0..MAX_WAITING + 100 {
            log(&queue, "waits\n");
        }
        // One may be in the thread's hands.
        let lost = dropped.load(Ordering::Relaxed);
        assert!((99..=100).contains(&lost), "{lost}");
        drop(LogGuard(queue));
        drop(written);
    }
}
