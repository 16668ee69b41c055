//! Which HTTP version a client begins with.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How a client begins that speaks HTTP/2 without TLS (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pause before looking again at a preface that has only begun to arrive.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. `None` when they do not come within `limit`.
pub async fn detect(socket: &TcpStream, limit: Duration) -> Option<Protocol> {
    let detecting = async {
        let mut seen = [0u8; PREFACE.len()];
        loop {
            let count = socket.peek(&mut seen).await.ok()?;
            let begun = seen.get(..count)?;
            if count == 0 {
                return None;
            }
            if !PREFACE.starts_with(begun) {
                return Some(Protocol::Http1);
            }
            if count == PREFACE.len() {
                return Some(Protocol::Http2);
            }
            sleep(POLL_INTERVAL).await;
        }
    };
    timeout(limit, detecting).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn the_first_bytes_tell_the_protocol() {
        let short = Duration::from_millis(100);
        for (bytes, expected) in [
            (b"GET / HTTP/1.1\r\n".as_slice(), Some(Protocol::Http1)),
            (b"POST".as_slice(), Some(Protocol::Http1)),
            (PREFACE, Some(Protocol::Http2)),
            (b"PRI * HT".as_slice(), None),
            (b"".as_slice(), None),
        ] {
            let (mut client, server) = pair().await;
            client.write_all(bytes).await.unwrap();
            assert_eq!(detect(&server, short).await, expected, "{bytes:?}");
        }
    }
}
