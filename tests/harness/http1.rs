//! HTTP/1.1 read by hand, for both ends of the tests. A library would hide what the tests are
//! about: the order of headers, where chunks were cut, how a connection ended. Strict enough to
//! notice a malformed message.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A head longer than this is not read.
const MAX_HEAD: usize = 1024 * 1024;

/// The first byte of a TLS connection, on which nobody here should wait for a head.
const TLS_HANDSHAKE: u8 = 0x16;

/// Header fields in the order they came, names as they were written, values byte for byte (bytes
/// over 127 as Latin-1).
pub type Fields = Vec<(String, String)>;

/// The first value of a header field, whatever the case of its name.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// The start line and the fields of a message.
#[derive(Debug, Clone)]
pub struct Head {
    pub start: String,
    pub fields: Fields,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The `index`-th word of the start line.
    pub fn word(&self, index: usize) -> &str {
        self.start.splitn(3, ' ').nth(index).unwrap_or_default()
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    /// Of a request: without either field there is no body.
    pub fn of_request(head: &Head) -> io::Result<Self> {
        Ok(Self::declared(head)?.unwrap_or(Self::Length(0)))
    }

    /// Of an answer: without either field it lasts until the connection closes.
    pub fn of_answer(head: &Head, method: &str, status: u16) -> io::Result<Self> {
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Self::Length(0));
        }
        Ok(Self::declared(head)?.unwrap_or(Self::UntilClose))
    }

    fn declared(head: &Head) -> io::Result<Option<Self>> {
        let chunked = head
            .field("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        match (chunked, head.field("content-length")) {
            (true, Some(_)) => Err(malformed("both transfer-encoding and content-length")),
            (true, None) => Ok(Some(Self::Chunked)),
            (false, Some(length)) => length
                .trim()
                .parse()
                .map(|length| Some(Self::Length(length)))
                .map_err(|_| malformed("content-length")),
            (false, None) => Ok(None),
        }
    }
}

/// Reads messages from one direction of a connection.
#[derive(Debug)]
pub struct Reader<R> {
    io: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(io: R) -> Self {
        Self {
            io,
            buffer: BytesMut::with_capacity(16 * 1024),
        }
    }

    pub fn into_inner(self) -> R {
        self.io
    }

    /// Reads until the peer has closed its side, keeping what arrives. Dropping this future loses
    /// nothing.
    pub async fn until_closed(&mut self) {
        while let Ok(1..) = self.fill().await {}
    }

    /// The next head, or `None` when the peer closed before sending anything of one.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n", searched) {
                let bytes = self.buffer.split_to(at + 4);
                return parse_head(&bytes[..at]).map(Some);
            }
            if self.buffer.first() == Some(&TLS_HANDSHAKE) {
                return Err(malformed("TLS where plain HTTP is spoken"));
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed("the head is too long"));
            }
            if self.fill().await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.io.read_buf(&mut self.buffer).await
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n", 0) {
                let line = self.buffer.split_to(at + 2).freeze();
                return Ok(line.slice(..at));
            }
            if self.buffer.len() > MAX_HEAD || self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Where the reading of one body stands.
#[derive(Debug)]
pub struct BodyReader {
    framing: Framing,
    /// Bytes left of the body, or of the present chunk.
    left: u64,
    done: bool,
}

impl BodyReader {
    pub fn new(framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing {
            length
        } else {
            0
        };
        Self {
            framing,
            left,
            done: framing == Framing::Length(0),
        }
    }

    /// The next bytes as they arrive; `None` at the proper end. A connection that ends early is
    /// `UnexpectedEof`.
    pub async fn next<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> io::Result<Option<Bytes>> {
        if self.done {
            return Ok(None);
        }
        if self.framing == Framing::Chunked && self.left == 0 {
            let line = reader.line().await?;
            let size = std::str::from_utf8(&line)
                .ok()
                .and_then(|line| line.split(';').next());
            self.left = size
                .and_then(|size| u64::from_str_radix(size.trim(), 16).ok())
                .ok_or_else(|| malformed("a chunk's size"))?;
            if self.left == 0 {
                while !reader.line().await?.is_empty() {}
                self.done = true;
                return Ok(None);
            }
        }
        if reader.buffer.is_empty() && reader.fill().await? == 0 {
            self.done = true;
            return match self.framing {
                Framing::UntilClose => Ok(None),
                Framing::Length(_) | Framing::Chunked => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        if self.framing == Framing::UntilClose {
            return Ok(Some(reader.buffer.split().freeze()));
        }
        let take = reader
            .buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let piece = reader.buffer.split_to(take).freeze();
        self.left -= take as u64;
        if self.left == 0 {
            if self.framing == Framing::Chunked {
                if !reader.line().await?.is_empty() {
                    return Err(malformed("a chunk is longer than it says"));
                }
            } else {
                self.done = true;
            }
        }
        Ok(Some(piece))
    }

    /// The rest of the body in one piece.
    pub async fn all<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut Reader<R>,
    ) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(piece) = self.next(reader).await? {
            out.extend_from_slice(&piece);
        }
        Ok(out)
    }
}

fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let fields = lines
        .map(|line| {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| malformed("a header line without a colon"))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        })
        .collect::<io::Result<Fields>>()?;
    Ok(Head { start, fields })
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    rest.windows(needle.len())
        .position(|window| window == needle)
        .map(|at| at + from)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed message: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(message: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let mut reader = Reader::new(message);
        let head = reader.head().await?.unwrap();
        let body = BodyReader::new(Framing::of_request(&head)?)
            .all(&mut reader)
            .await?;
        Ok((head, body))
    }

    #[tokio::test]
    async fn bodies_end_where_their_framing_says() {
        let (head, body) =
            read(b"POST /a?b HTTP/1.1\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nhi...")
                .await
                .unwrap();
        assert_eq!(
            (head.word(0), head.word(1), body.as_slice()),
            ("POST", "/a?b", b"hi".as_slice())
        );
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n3\r\n!!!\r\n0\r\n\r\n";
        assert_eq!(read(chunked).await.unwrap().1, b"hi!!!");
    }

    #[tokio::test]
    async fn a_body_cut_short_is_an_error() {
        let cut = read(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi").await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let both =
            read(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\nhi")
                .await;
        assert_eq!(both.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
