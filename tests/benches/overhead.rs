//! What the gateway adds to a request: latency beside a direct call in the same run, and its own
//! CPU time.
//!
//! `make bench` runs it on the release build. Everything is on loopback and one connection; the
//! upstream answers at once, so what is measured is the way, not the model.

use gateway_tests::gateway::{Config, Gateway};
use gateway_tests::http1::{BodyReader, Framing, Reader};
use gateway_tests::sample::{API_KEY, responses_body};
use gateway_tests::upstream::{Chunking, ModelAnswer, Output, Script, Upstream};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const KIB: usize = 1024;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test --benches` passes this: then one round shows that it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") {
        1000
    } else {
        1
    };
    println!("body      events  direct p50  through p50  added p50  added p99  CPU/request");
    for (body, events, share) in [
        (2 * KIB, 10, 1),
        (64 * KIB, 10, 1),
        (KIB * KIB, 10, 5),
        (2 * KIB, 1010, 5),
    ] {
        let measured = measure(body, events, (rounds / share).max(1), "").await;
        measured.print(body, events);
    }
    let few = measure(2 * KIB, 10, rounds, "").await;
    let many = measure(2 * KIB, 1010, (rounds / 5).max(1), "").await;
    println!("CPU/event {:.2?}", many.cpu.saturating_sub(few.cpu) / 1000);
    let queued = measure(2 * KIB, 10, rounds, "[storage]\ndurability = \"queued\"\n").await;
    println!("with durability = \"queued\":");
    queued.print(2 * KIB, 10);
}

struct Measured {
    direct: Vec<Duration>,
    through: Vec<Duration>,
    /// Of the gateway, for each request.
    cpu: Duration,
}

impl Measured {
    fn print(&self, body: usize, events: usize) {
        let at = |times: &[Duration], percent: usize| times[(times.len() - 1) * percent / 100];
        let added = |percent| at(&self.through, percent).saturating_sub(at(&self.direct, percent));
        println!(
            "{:>4} KiB  {events:>6}  {:>10.2?}  {:>11.2?}  {:>9.2?}  {:>9.2?}  {:>11.2?}",
            body / KIB,
            at(&self.direct, 50),
            at(&self.through, 50),
            added(50),
            added(99),
            self.cpu,
        );
    }
}

async fn measure(body: usize, events: usize, rounds: usize, settings: &str) -> Measured {
    // Ten events surround the deltas.
    let deltas = vec!["word ".to_owned(); events.saturating_sub(9).max(1)];
    let mut script = Script::answer(
        ModelAnswer::of(vec![Output::Deltas(deltas)]).cuts(Chunking::Each(16 * KIB)),
    );
    script.forget_bodies = true;
    let upstream = Upstream::with(script).await;
    let gateway = Gateway::start(&Config::to(&upstream).rest(settings)).await;
    let request = responses_body(&"x".repeat(body)).to_string();
    let mut direct = Connection::open(upstream.address()).await;
    let mut through = Connection::open(gateway.address()).await;
    for _ in 0..rounds.min(50) {
        direct.round(&request).await;
        through.round(&request).await;
    }
    let mut measured = Measured {
        direct: Vec::new(),
        through: Vec::new(),
        cpu: Duration::ZERO,
    };
    let before = gateway.cpu_time();
    // Turn by turn, so that both see the same machine.
    for _ in 0..rounds {
        measured.direct.push(direct.round(&request).await);
        measured.through.push(through.round(&request).await);
    }
    measured.cpu =
        gateway.cpu_time().saturating_sub(before) / u32::try_from(rounds).unwrap_or(u32::MAX);
    measured.direct.sort_unstable();
    measured.through.sort_unstable();
    measured
}

/// A connection that is kept, as Codex keeps its own.
struct Connection {
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    host: SocketAddr,
}

impl Connection {
    async fn open(host: SocketAddr) -> Self {
        let stream = TcpStream::connect(host)
            .await
            .expect("the address accepts connections");
        stream
            .set_nodelay(true)
            .expect("a TCP socket can do without delay");
        let (read, writer) = stream.into_split();
        Self {
            reader: Reader::new(read),
            writer,
            host,
        }
    }

    /// One request to the end of its answer.
    async fn round(&mut self, body: &str) -> Duration {
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {API_KEY}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let started = Instant::now();
        self.writer
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .await
            .expect("the request can be sent");
        let head = self
            .reader
            .head()
            .await
            .expect("a well-formed answer")
            .expect("an answer");
        assert_eq!(head.word(1), "200");
        let framing = Framing::of_answer(&head, "POST", 200).expect("a framing");
        BodyReader::new(framing)
            .all(&mut self.reader)
            .await
            .expect("a whole body");
        started.elapsed()
    }
}
