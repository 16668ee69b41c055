//! Does the steps of an answer on a connection.

use super::answer::Usage;
use super::record::AnswerEnd;
use super::script::{ReplyFraming, ReplyHead, Step};
use crate::http1::{Fields, Reader};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What the connection is good for after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    NextRequest,
    Close,
    Reset,
}

#[derive(Debug)]
pub(super) struct Played {
    pub(super) outcome: AnswerEnd,
    pub(super) after: After,
}

impl Played {
    const fn gone() -> Self {
        Self {
            outcome: AnswerEnd::PeerGone,
            after: After::Close,
        }
    }
}

/// Writes one answer. `on_served` is told of each complete answer once its bytes are handed to the
/// kernel.
pub(super) async fn play(
    steps: &[Step],
    reader: &mut Reader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
    mut on_served: impl FnMut(Option<Usage>),
) -> Played {
    let mut framing = ReplyFraming::AsHeaders;
    for step in steps {
        let wrote = match step {
            Step::Interim { status, headers } => {
                writer.write_all(&head_bytes(*status, headers, None)).await
            }
            Step::Head(head) => {
                framing = head.framing;
                writer.write_all(&reply_head_bytes(head)).await
            }
            Step::Send {
                body,
                cuts,
                delay_ms,
            } => {
                let bytes = body.bytes();
                let pieces = cuts.pieces(&bytes);
                send(
                    &pieces,
                    framing,
                    Duration::from_millis(*delay_ms),
                    reader,
                    writer,
                )
                .await
            }
            Step::Raw(payload) => writer.write_all(&payload.bytes()).await,
            Step::WaitMs(wait) => pause(Duration::from_millis(*wait), reader).await,
            Step::Served(usage) => {
                on_served(*usage);
                Ok(())
            }
            Step::End => break,
            Step::Reset => {
                return Played {
                    outcome: AnswerEnd::Cut,
                    after: After::Reset,
                };
            }
            Step::Close => {
                return Played {
                    outcome: AnswerEnd::Cut,
                    after: After::Close,
                };
            }
            Step::HalfClose => {
                if writer.shutdown().await.is_ok() {
                    reader.until_closed().await;
                }
                return Played {
                    outcome: AnswerEnd::Cut,
                    after: After::Close,
                };
            }
            Step::Stall => {
                reader.until_closed().await;
                return Played::gone();
            }
        };
        if wrote.is_err() {
            return Played::gone();
        }
    }
    match framing {
        ReplyFraming::Chunked if writer.write_all(b"0\r\n\r\n").await.is_err() => Played::gone(),
        ReplyFraming::UntilClose => Played {
            outcome: AnswerEnd::Done,
            after: After::Close,
        },
        ReplyFraming::Chunked | ReplyFraming::AsHeaders => Played {
            outcome: AnswerEnd::Done,
            after: After::NextRequest,
        },
    }
}

async fn send(
    pieces: &[&[u8]],
    framing: ReplyFraming,
    delay: Duration,
    reader: &mut Reader<OwnedReadHalf>,
    writer: &mut OwnedWriteHalf,
) -> io::Result<()> {
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 && !delay.is_zero() {
            pause(delay, reader).await?;
        }
        if framing == ReplyFraming::Chunked {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            writer.write_all(&chunk).await?;
        } else {
            writer.write_all(piece).await?;
        }
        // Each piece leaves as a segment of its own, also on one thread.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Waits, unless the peer goes away meanwhile.
#[expect(
    clippy::disallowed_methods,
    reason = "the script says how slow the upstream is"
)]
async fn pause(wait: Duration, reader: &mut Reader<OwnedReadHalf>) -> io::Result<()> {
    tokio::select! {
        () = tokio::time::sleep(wait) => Ok(()),
        () = reader.until_closed() => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn reply_head_bytes(head: &ReplyHead) -> Vec<u8> {
    let framing = match head.framing {
        ReplyFraming::Chunked => Some("transfer-encoding: chunked"),
        ReplyFraming::UntilClose => Some("connection: close"),
        ReplyFraming::AsHeaders => None,
    };
    head_bytes(head.status, &head.headers, framing)
}

/// Header values are written as Latin-1, so that a script can hold any byte.
fn head_bytes(status: u16, fields: &Fields, framing: Option<&str>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in fields {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if let Some(framing) = framing {
        let _ = write!(text, "{framing}\r\n");
    }
    text.push_str("\r\n");
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).unwrap_or(b'?'))
        .collect()
}

fn reason(status: u16) -> &'static str {
    match status {
        103 => "Early Hints",
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}
