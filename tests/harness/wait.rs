//! Waiting for something that the outside shows. The only pauses of the tests are here: each ends as
//! soon as what is waited for is there, and panics when it never comes.

use crate::TEST_TIMEOUT;
use std::time::{Duration, Instant};

/// Between two looks at something that cannot be waited for.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A value that stays the same over so many looks is taken for settled.
const STEADY_LOOKS: usize = 60;

/// Until the next look.
#[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
pub async fn poll_interval() {
    tokio::time::sleep(POLL_INTERVAL).await;
}

/// Asks again and again until the answer is yes.
///
/// # Panics
/// After [`TEST_TIMEOUT`]; `what` says what never happened.
#[track_caller]
pub fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    within(TEST_TIMEOUT, what, holds)
}

/// The same with a time of its own.
///
/// # Panics
/// After `limit`; `what` says what never happened.
pub async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        poll_interval().await;
    }
}

/// Waits until a value no longer changes.
///
/// # Panics
/// After [`TEST_TIMEOUT`]; `what` says what never settled.
pub async fn steady<T: PartialEq>(what: &str, mut value: impl FnMut() -> T) -> T {
    let started = Instant::now();
    let mut last = value();
    let mut looks = 0;
    while looks < STEADY_LOOKS {
        assert!(started.elapsed() < TEST_TIMEOUT, "never settled: {what}");
        poll_interval().await;
        let next = value();
        looks = if next == last { looks + 1 } else { 0 };
        last = next;
    }
    last
}

/// Waits until the process at the other end has read everything that was written to a connection on
/// this machine, as the kernel tells it.
///
/// # Panics
/// When it does not, or when the connection is not one of IPv4 on this machine.
pub async fn read_by_peer(stream: &tokio::net::TcpStream) {
    let [here, there] = [stream.local_addr(), stream.peer_addr()]
        .map(|address| address.expect("a connection has addresses").port());
    eventually("the peer reads what was written", async || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux lists its connections");
        let port = |field: &str| {
            let (_, port) = field.split_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        // The peer's own line: its local port is the one that we are connected to. The queues are
        // `sent:unread`, in hexadecimal.
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_peers =
                fields.len() > 4 && port(fields[1]) == Some(there) && port(fields[2]) == Some(here);
            is_peers && fields[4].ends_with(":00000000")
        })
    })
    .await;
}
