//! A connection that carries WebSocket messages: the only file that knows the library behind it.
//! Knows nothing of what the messages say.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::{client, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

/// Bytes that are read at once. The buffer is there for as long as the connection.
const READ_BUFFER: usize = 4 * 1024;
/// Bytes that are gathered before they are written.
const WRITE_BUFFER: usize = 16 * 1024;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// UTF-8.
    Text(Bytes),
    Binary,
    /// A ping, which is answered already, or a pong.
    Sign,
}

/// Why nothing more arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEnd {
    /// The other side closed with this code.
    Closed(Option<u16>),
    /// The connection ended or broke without a word.
    Gone,
    /// A message is larger than allowed.
    TooLarge,
    /// The other side broke the protocol; the code says how.
    Invalid(u16, String),
}

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// The bytes below.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

type Stream = WebSocketStream<Box<dyn Connection>>;

/// Reads messages. Reading answers pings.
pub struct MessageReader(SplitStream<Stream>);

/// Writes messages.
pub struct MessageWriter(SplitSink<Stream, Message>);

/// The other side takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritable;

/// Takes over a connection whose handshake is done. `max_message`: the largest message, and the
/// largest frame, that is read.
pub async fn open(
    connection: Box<dyn Connection>,
    side: Side,
    max_message: usize,
) -> (MessageWriter, MessageReader) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    let role = match side {
        Side::Client => Role::Client,
        Side::Server => Role::Server,
    };
    let stream = Stream::from_raw_socket(connection, role, Some(config)).await;
    let (writer, reader) = stream.split();
    (MessageWriter(writer), MessageReader(reader))
}

/// What a handshake with this `sec-websocket-key` is answered with.
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// A new `sec-websocket-key`.
pub fn new_key() -> String {
    client::generate_key()
}

impl MessageReader {
    /// The next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When there will be no more.
    pub async fn next(&mut self) -> Result<Incoming, SocketEnd> {
        match self.0.next().await {
            None => Err(SocketEnd::Gone),
            Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text.into())),
            Some(Ok(Message::Binary(_))) => Ok(Incoming::Binary),
            Some(Ok(Message::Close(frame))) => {
                Err(SocketEnd::Closed(frame.map(|frame| frame.code.into())))
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Incoming::Sign),
            Some(Err(error)) => Err(end_of(&error)),
        }
    }
}

fn end_of(error: &Error) -> SocketEnd {
    match error {
        Error::Capacity(_) => SocketEnd::TooLarge,
        Error::Utf8(_) => SocketEnd::Invalid(1007, "a text is not UTF-8".to_owned()),
        Error::Protocol(error) if *error != ProtocolError::ResetWithoutClosingHandshake => {
            SocketEnd::Invalid(1002, error.to_string())
        }
        Error::Protocol(_)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => SocketEnd::Gone,
    }
}

impl MessageWriter {
    /// Puts a text among what is written next.
    ///
    /// # Errors
    /// When the connection has ended, or the bytes are not UTF-8.
    pub async fn feed(&mut self, text: Bytes) -> Result<(), Unwritable> {
        let text = Utf8Bytes::try_from(text).map_err(|_| Unwritable)?;
        self.0
            .feed(Message::Text(text))
            .await
            .map_err(|_| Unwritable)
    }

    /// Writes what was put there.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn flush(&mut self) -> Result<(), Unwritable> {
        self.0.flush().await.map_err(|_| Unwritable)
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn ping(&mut self) -> Result<(), Unwritable> {
        let ping = Message::Ping(Bytes::new());
        self.0.send(ping).await.map_err(|_| Unwritable)
    }

    /// Says why the connection ends.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), Unwritable> {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        let close = Message::Close(Some(frame));
        self.0.send(close).await.map_err(|_| Unwritable)
    }
}
