//! Answers that are compressed although nobody asked: decoded as they come, so that the client sees plain bytes.

use std::io::Write as _;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, header};

use super::client::ReplyBody;

/// A push decoder: bytes in, the plain bytes that are ready out.
enum Decoder {
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Deflate(flate2::write::ZlibDecoder<Vec<u8>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
    Brotli(Box<brotli::DecompressorWriter<Vec<u8>>>),
}

impl Decoder {
    fn new(coding: &str) -> Option<Self> {
        match coding {
            "gzip" | "x-gzip" => Some(Self::Gzip(flate2::write::MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::Deflate(flate2::write::ZlibDecoder::new(Vec::new()))),
            "zstd" => zstd::stream::write::Decoder::new(Vec::new())
                .ok()
                .map(Self::Zstd),
            "br" => Some(Self::Brotli(Box::new(brotli::DecompressorWriter::new(
                Vec::new(),
                16 * 1024,
            )))),
            _ => None,
        }
    }

    /// Flushing after each piece gives out an event as soon as it can be decoded.
    fn push(&mut self, piece: &[u8]) -> std::io::Result<Bytes> {
        let plain = match self {
            Self::Gzip(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Deflate(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Zstd(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                std::mem::take(decoder.get_mut())
            }
            Self::Brotli(decoder) => {
                decoder.write_all(piece)?;
                decoder.flush()?;
                std::mem::take(decoder.get_mut())
            }
        };
        Ok(Bytes::from(plain))
    }
}

/// What the answer's bytes turned out to be.
pub enum Encoding {
    /// Plain, or decoded here.
    Plain(ReplyBody),
    /// In a coding that this gateway does not know: passed on, with its header.
    Unknown(ReplyBody),
}

/// Decodes a body by its `content-encoding`.
pub fn decoded(headers: &HeaderMap, body: ReplyBody) -> Encoding {
    let coding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity");
    match coding {
        None => Encoding::Plain(body),
        Some(coding) => match Decoder::new(&coding) {
            Some(decoder) => Encoding::Plain(decode(decoder, body)),
            None => Encoding::Unknown(body),
        },
    }
}

/// Decodes a body that begins like gzip although no header says so.
pub fn gunzipped(body: ReplyBody) -> ReplyBody {
    decode(
        Decoder::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())),
        body,
    )
}

/// Whether bytes begin like gzip.
pub fn looks_like_gzip(prefix: &[u8]) -> bool {
    prefix.starts_with(&[0x1f, 0x8b, 0x08])
}

fn decode(decoder: Decoder, body: ReplyBody) -> ReplyBody {
    ReplyBody::from_stream(stream::unfold(Some((decoder, body)), |state| async move {
        let (mut decoder, mut body) = state?;
        loop {
            match body.next().await? {
                Err(detail) => return Some((Err(detail), None)),
                Ok(piece) => match decoder.push(&piece) {
                    Ok(plain) if plain.is_empty() => {}
                    Ok(plain) => return Some((Ok(plain), Some((decoder, body)))),
                    Err(error) => {
                        return Some((
                            Err(format!("the compressed answer cannot be decoded: {error}")),
                            None,
                        ));
                    }
                },
            }
        }
    }))
}
