//! A client that sends exactly the bytes a test says and keeps exactly the bytes that come back,
//! each piece with its time. It checks on every answer of the gateway what must hold for all of
//! them (`Checks`).

use crate::TEST_TIMEOUT;
use crate::http1::{self, BodyReader, Fields, Framing, Head, Reader};
use crate::secrets::{self, Secrets};
use bytes::Bytes;
use serde_json::Value;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What must hold for every answer: no credential that was ever sent may appear, in headers or
/// body.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    pub secrets: Secrets,
}

/// Makes requests to one address, each on a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    checks: Option<Arc<Checks>>,
}

impl Client {
    /// Answers are taken as they are: for talking to an upstream without a gateway.
    pub fn direct(address: SocketAddr) -> Self {
        Self {
            address,
            checks: None,
        }
    }

    /// Every answer is checked.
    pub fn checking(address: SocketAddr, checks: Checks) -> Self {
        Self {
            address,
            checks: Some(Arc::new(checks)),
        }
    }

    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    pub fn post(&self, target: &str) -> Call {
        self.call("POST", target)
    }

    pub fn call(&self, method: &str, target: &str) -> Call {
        Call {
            client: self.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            fields: vec![("host".to_owned(), self.address.to_string())],
            body: Vec::new(),
            chunks: None,
        }
    }

    /// A bare connection, for what is no proper request.
    pub async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("the address accepts connections");
        stream
            .set_nodelay(true)
            .expect("a TCP socket can do without delay");
        stream
    }

    /// Sends bytes and reads until the peer closes or stays silent for `patience`.
    pub async fn raw(&self, bytes: &[u8], patience: Duration) -> Vec<u8> {
        let mut stream = self.connect().await;
        // The peer may refuse before everything is sent.
        let _ = stream.write_all(bytes).await;
        let mut seen = Vec::new();
        while let Ok(Ok(1..)) = tokio::time::timeout(patience, stream.read_buf(&mut seen)).await {}
        seen
    }
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Call {
    client: Client,
    method: String,
    target: String,
    fields: Fields,
    body: Vec<u8>,
    chunks: Option<usize>,
}

impl Call {
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In place of the field of that name.
    #[must_use]
    pub fn set_header(mut self, name: &str, value: &str) -> Self {
        self.fields
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks of so many bytes, without a content-length.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunks = Some(size.max(1));
        self
    }

    /// The whole answer.
    pub async fn send(self) -> Reply {
        let what = format!("{} {}", self.method, self.target);
        tokio::time::timeout(TEST_TIMEOUT, async { self.open().await.finish().await })
            .await
            .unwrap_or_else(|_| panic!("`{what}` had no complete answer in time"))
    }

    /// The answer up to its head; the body is the caller's to read or leave.
    pub async fn open(self) -> OpenReply {
        let what = format!("{} {}", self.method, self.target);
        self.try_open()
            .await
            .unwrap_or_else(|error| panic!("`{what}` has no well-formed answer: {error}"))
    }

    /// The same where the gateway may die in between: `ConnectionRefused` says that nothing was
    /// sent.
    pub async fn try_open(self) -> io::Result<OpenReply> {
        let method = self.method.clone();
        let checks = self.client.checks.clone();
        if let Some(checks) = &checks {
            checks.secrets.note_fields(&self.fields);
            if let Some(link) = secrets::link_of(&self.target, &self.body) {
                checks.secrets.note(&link);
            }
        }
        let stream = TcpStream::connect(self.client.address).await?;
        stream.set_nodelay(true)?;
        let started = Instant::now();
        let (read, mut writer) = stream.into_split();
        // A peer that refuses early closes while we write; its answer is what counts.
        let _ = writer.write_all(&self.wire_bytes()).await;
        let mut reader = Reader::new(read);
        let mut interim = Vec::new();
        let (head, status) = loop {
            let head = tokio::time::timeout(TEST_TIMEOUT, reader.head())
                .await
                .unwrap_or_else(|_| panic!("`{method} {}` had no head in time", self.target))?
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            let status: u16 = head.word(1).parse().expect("a status is a number");
            if status >= 200 {
                break (head, status);
            }
            interim.push(status);
        };
        let framing =
            Framing::of_answer(&head, &method, status).expect("the framing is well formed");
        let reply = Reply {
            status,
            fields: head.fields.clone(),
            body: Vec::new(),
            pieces: Vec::new(),
            interim,
            cut: None,
            head_after: started.elapsed(),
            took: Duration::ZERO,
        };
        if let Some(checks) = &checks {
            checks.head(&head, status);
        }
        Ok(OpenReply {
            reply,
            checks,
            body: BodyReader::new(framing),
            reader,
            writer,
            started,
        })
    }

    fn wire_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let has_length = http1::field(&self.fields, "content-length").is_some();
        if self.chunks.is_some() {
            head.push_str("transfer-encoding: chunked\r\n");
        } else if !has_length && (!self.body.is_empty() || self.method == "POST") {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes: Vec<u8> = head
            .chars()
            .map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?'))
            .collect();
        if let Some(size) = self.chunks {
            for chunk in self.body.chunks(size) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

/// An answer whose body is still coming. Dropping it closes the connection.
#[derive(Debug)]
pub struct OpenReply {
    pub reply: Reply,
    checks: Option<Arc<Checks>>,
    body: BodyReader,
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    started: Instant,
}

impl OpenReply {
    /// The next bytes as they come; `None` at the end, proper or not (`Reply::cut`).
    pub async fn next(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(TEST_TIMEOUT, self.body.next(&mut self.reader)).await;
        match next.expect("the body goes on or ends in time") {
            Ok(Some(bytes)) => {
                self.reply.body.extend_from_slice(&bytes);
                self.reply.pieces.push(Piece {
                    at: self.started.elapsed(),
                    bytes: bytes.clone(),
                });
                Some(bytes)
            }
            Ok(None) => None,
            Err(error) => {
                self.reply.cut = Some(error.kind());
                None
            }
        }
    }

    /// Reads on until the body so far contains a text.
    pub async fn until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.reply.body).contains(text) {
            assert!(
                self.next().await.is_some(),
                "the body ended without `{text}`: {}",
                self.reply.text()
            );
        }
    }

    /// Reads the rest.
    pub async fn finish(mut self) -> Reply {
        while self.next().await.is_some() {}
        self.reply.took = self.started.elapsed();
        if let Some(checks) = &self.checks {
            checks.body(&self.reply.body);
        }
        self.reply
    }

    /// Leaves without a word, as a killed process does.
    pub fn reset(self) {
        self.writer
            .as_ref()
            .set_zero_linger()
            .expect("a TCP socket can be told not to linger");
        self.writer.forget();
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    /// The body as its pieces arrived.
    pub pieces: Vec<Piece>,
    /// Statuses under 200 that came before.
    pub interim: Vec<u16>,
    /// Set when the connection ended before the body did.
    pub cut: Option<io::ErrorKind>,
    pub head_after: Duration,
    pub took: Duration,
}

#[derive(Debug, Clone)]
pub struct Piece {
    /// Since the request was sent.
    pub at: Duration,
    pub bytes: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::field(&self.fields, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON (status {}): {}", self.status, self.text()))
    }

    /// `error.code` of the body.
    pub fn error_code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The code of the failure, whether it came as an error body or in-stream; empty when there is
    /// none.
    pub fn failure_code(&self) -> String {
        if self.status != 200 {
            return self.error_code();
        }
        let last = self.events().pop().unwrap_or_default();
        last["response"]["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The JSON data of the events of a stream, as Codex would parse it; comments and `[DONE]` are
    /// left out.
    pub fn events(&self) -> Vec<Value> {
        events(&self.body)
    }

    /// The `type` of each event.
    pub fn event_types(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter_map(|event| event["type"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// When the piece came that completed a text.
    pub fn time_of(&self, text: &str) -> Option<Duration> {
        let mut seen = Vec::new();
        self.pieces.iter().find_map(|piece| {
            seen.extend_from_slice(&piece.bytes);
            String::from_utf8_lossy(&seen)
                .contains(text)
                .then_some(piece.at)
        })
    }
}

/// Parses server-sent events as the specification says, `\r\n` and all; data that is no JSON is
/// left out.
pub fn events(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let data_of = |frame: &str| {
        let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
        lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    text.split("\n\n")
        .filter_map(|frame| serde_json::from_str(&data_of(frame)).ok())
        .collect()
}

impl Checks {
    fn head(&self, head: &Head, status: u16) {
        assert!(
            head.field("x-request-id").is_some_and(|id| !id.is_empty()),
            "an answer without x-request-id (status {status}): {:?}",
            head.fields
        );
        for (name, value) in &head.fields {
            let lower = name.to_ascii_lowercase();
            let allowed = match lower.as_str() {
                "set-cookie" => secrets::is_own_cookie(&head.fields),
                "cookie" | "keep-alive" | "proxy-authenticate" | "proxy-connection" | "te"
                | "trailer" | "alt-svc" => false,
                "upgrade" => status == 426,
                _ => true,
            };
            assert!(
                allowed,
                "a header that may not cross (status {status}): {name}: {value}"
            );
            self.text(value);
        }
    }

    fn body(&self, body: &[u8]) {
        self.text(&String::from_utf8_lossy(body));
    }

    fn text(&self, text: &str) {
        let leak = self.secrets.found_in(text);
        assert!(
            leak.is_none(),
            "a secret reached the client: `{}`",
            leak.unwrap_or_default()
        );
    }
}
