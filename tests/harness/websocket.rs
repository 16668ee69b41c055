//! A WebSocket client by hand: a test can fragment a message, leave out the mask, or send what no
//! library would.

use crate::TEST_TIMEOUT;
use crate::http1::{BodyReader, Fields, Framing, Reader, field};
use serde_json::Value;
use std::fmt::Write as _;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The opcodes of RFC 6455.
pub mod opcode {
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Json(Value),
    Pong(Vec<u8>),
    /// With its code.
    Close(u16),
    /// The connection ended without a word.
    End,
}

/// An open socket.
#[derive(Debug)]
pub struct WebSocket {
    reader: Reader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    pub handshake: Fields,
}

/// The head of a handshake that offers what Codex offers.
pub fn handshake(address: SocketAddr, headers: &[(&str, &str)]) -> String {
    let mut head = format!(
        "GET /v1/responses HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    );
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    head
}

impl WebSocket {
    /// Opens one with these headers; the status where it is refused.
    pub async fn try_open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        let (read, mut writer) = stream.into_split();
        let head = handshake(address, headers);
        writer.write_all(head.as_bytes()).await.expect("it is read");
        let mut reader = Reader::new(read);
        let head = tokio::time::timeout(TEST_TIMEOUT, reader.head())
            .await
            .expect("a handshake is answered")
            .expect("with HTTP")
            .expect("and not with an end");
        let status: u16 = head.word(1).parse().expect("a status");
        if status != 101 {
            return Err(status);
        }
        let accept = field(&head.fields, "sec-websocket-accept");
        assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(field(&head.fields, "sec-websocket-extensions"), None);
        Ok(Self {
            reader,
            writer,
            handshake: head.fields,
        })
    }

    /// Opens one with a bearer token, as Codex does.
    pub async fn open(address: SocketAddr, token: &str) -> Self {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("originator", "codex_exec"),
            ("openai-beta", "responses_websockets=2026-02-06"),
        ];
        Self::try_open(address, &headers)
            .await
            .expect("the handshake is accepted")
    }

    pub async fn send(&mut self, message: &Value) {
        self.frame(opcode::TEXT, true, message.to_string().as_bytes())
            .await;
    }

    /// One frame, masked as a client's are.
    pub async fn frame(&mut self, opcode: u8, is_last: bool, payload: &[u8]) {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let masked = payload.iter().zip(mask.iter().cycle());
        let masked: Vec<u8> = masked.map(|(byte, mask)| byte ^ mask).collect();
        let mut bytes = frame_head(opcode, is_last, payload.len(), 0x80);
        bytes.extend_from_slice(&mask);
        bytes.extend_from_slice(&masked);
        self.raw(&bytes).await;
    }

    /// Any bytes. A server that has closed already is seen when its messages are read.
    pub async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.writer.write_all(bytes).await;
    }

    /// The next message.
    pub async fn receive(&mut self) -> Received {
        tokio::time::timeout(TEST_TIMEOUT, self.next())
            .await
            .expect("the server sends something in time")
    }

    /// The messages up to the end of a response: an event that ends it, or an `error`.
    pub async fn response(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let Received::Json(event) = self.receive().await else {
                panic!("the socket ended behind {events:#?}");
            };
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            events.push(event);
            if matches!(
                kind.as_str(),
                "response.completed" | "response.incomplete" | "response.failed" | "error"
            ) {
                return events;
            }
        }
    }

    /// Sends a message and receives the response.
    pub async fn ask(&mut self, message: &Value) -> Vec<Value> {
        self.send(message).await;
        self.response().await
    }

    async fn next(&mut self) -> Received {
        let mut text = Vec::new();
        loop {
            let Some((opcode, is_last, payload)) = self.read_frame().await else {
                return Received::End;
            };
            match opcode {
                opcode::TEXT | opcode::CONTINUATION => {
                    text.extend_from_slice(&payload);
                    if is_last {
                        let json = serde_json::from_slice(&text).expect("a message is JSON");
                        return Received::Json(json);
                    }
                }
                opcode::CLOSE => {
                    let code = payload
                        .get(..2)
                        .map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                    return Received::Close(code);
                }
                opcode::PING => self.frame(opcode::PONG, true, &payload).await,
                opcode::PONG => return Received::Pong(payload),
                other => panic!("a frame of the kind {other}"),
            }
        }
    }

    async fn read_frame(&mut self) -> Option<(u8, bool, Vec<u8>)> {
        let head = self.bytes(2).await?;
        assert_eq!(head[0] & 0x70, 0, "no extension was agreed on");
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => {
                let bytes = self.bytes(2).await?;
                u64::from(u16::from_be_bytes([bytes[0], bytes[1]]))
            }
            127 => {
                let bytes = self.bytes(8).await?;
                u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
            }
            short => u64::from(short),
        };
        let payload = self.bytes(length).await?;
        Some((head[0] & 0x0F, head[0] & 0x80 != 0, payload))
    }

    async fn bytes(&mut self, count: u64) -> Option<Vec<u8>> {
        BodyReader::new(Framing::Length(count))
            .all(&mut self.reader)
            .await
            .ok()
    }
}

/// The head of a frame; `mask` is the bit that says whether one follows.
pub fn frame_head(opcode: u8, is_last: bool, length: usize, mask: u8) -> Vec<u8> {
    let mut head = vec![if is_last { 0x80 | opcode } else { opcode }];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..126), _) => head.push(mask | length),
        (_, Ok(length)) => {
            head.push(mask | 0x7E);
            head.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            head.push(mask | 0x7F);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}
