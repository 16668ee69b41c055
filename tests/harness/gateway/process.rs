//! What the kernel knows about a gateway's process.

use super::Gateway;
use std::time::Duration;

impl Gateway {
    /// The most memory it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory it holds, in bytes.
    pub fn present_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process is there");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .expect("the kernel tells the memory");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number of kilobytes")
            * 1024
    }

    /// The processor time it has used, all its threads together.
    pub fn cpu_time(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("the process is there");
        let nanos = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// How many files and sockets it holds open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("the process is there")
            .count()
    }
}
