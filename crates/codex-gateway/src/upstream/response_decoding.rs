//! Decodes responses that are compressed although the gateway accepts none: as they arrive, so that
//! the client gets plain bytes.

use std::io::{self, Write};

use bytes::{Buf as _, Bytes};
use futures_util::stream;
use http::{HeaderMap, header};

use crate::upstream::client::ReplyBody;

/// About how many decoded bytes are given out at once. The rest of a piece waits until they are
/// taken.
const OUTPUT_CHUNK: usize = 64 * 1024;
/// Bytes that are fed at once to the brotli decoder, which takes all it gets, and the most that they
/// may become.
const BROTLI_CHUNK: usize = 256;
const MAX_BROTLI_OUTPUT: usize = 16 << 20;
/// Largest window of zstd that RFC 9659 allows on the web, as a power of two.
const ZSTD_WINDOW: u32 = 23;

/// A push decoder: bytes in, the plain bytes that are ready out.
enum Decoder {
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Deflate(flate2::write::ZlibDecoder<Vec<u8>>),
    Zstd(zstd::stream::write::Decoder<'static, Vec<u8>>),
    Brotli(Box<brotli::DecompressorWriter<BrotliBuffer>>),
}

/// Where brotli writes: no more than a bound before it is emptied.
#[derive(Default)]
struct BrotliBuffer(Vec<u8>);

impl Write for BrotliBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BROTLI_OUTPUT {
            return Err(io::Error::other("it is too large when decompressed"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    fn new(coding: &str) -> Option<Self> {
        match coding {
            "gzip" | "x-gzip" => Some(Self::Gzip(flate2::write::MultiGzDecoder::new(Vec::new()))),
            "deflate" => Some(Self::Deflate(flate2::write::ZlibDecoder::new(Vec::new()))),
            "zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).ok()?;
                decoder.window_log_max(ZSTD_WINDOW).ok()?;
                Some(Self::Zstd(decoder))
            }
            "br" => Some(Self::Brotli(Box::new(brotli::DecompressorWriter::new(
                BrotliBuffer::default(),
                16 * 1024,
            )))),
            _ => None,
        }
    }

    /// Takes some of a piece, and gives what came of it: at most about [`OUTPUT_CHUNK`], however well
    /// it was compressed.
    fn push(&mut self, piece: &mut Bytes) -> io::Result<Bytes> {
        let mut plain = Vec::new();
        while !piece.is_empty() && plain.len() < OUTPUT_CHUNK {
            let taken = self.take(piece)?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            piece.advance(taken);
            self.collect(&mut plain);
        }
        // Flushing at the end of each piece gives out an event as soon as it can be decoded.
        if piece.is_empty() {
            self.writer().flush()?;
            self.collect(&mut plain);
        }
        Ok(Bytes::from(plain))
    }

    /// One step: most decoders stop when their own small buffer is full.
    fn take(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.write(piece),
            Self::Deflate(decoder) => decoder.write(piece),
            Self::Zstd(decoder) => decoder.write(piece),
            Self::Brotli(decoder) => decoder.write(piece.get(..BROTLI_CHUNK).unwrap_or(piece)),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
        }
    }

    fn collect(&mut self, plain: &mut Vec<u8>) {
        let ready = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => &mut decoder.get_mut().0,
        };
        if plain.is_empty() {
            *plain = std::mem::take(ready);
        } else {
            plain.append(ready);
        }
    }
}

/// The body of a response after decoding.
pub enum Encoding {
    /// Plain, or decoded here.
    Plain(ReplyBody),
    /// In a coding that this gateway does not know: forwarded, with its header.
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

/// Decodes a body that is gzip without saying so: its first piece tells.
pub fn plain_of_unlabelled(body: ReplyBody) -> ReplyBody {
    ReplyBody::from_stream(stream::unfold(
        (body, true),
        |(mut body, is_first)| async move {
            let piece = body.next().await?;
            match piece {
                Ok(piece) if is_first && looks_like_gzip(&piece) => {
                    let rest =
                        stream::unfold((Some(piece), body), |(first, mut body)| async move {
                            match first {
                                Some(piece) => Some((Ok(piece), (None, body))),
                                None => body.next().await.map(|piece| (piece, (None, body))),
                            }
                        });
                    let gzip = Decoder::Gzip(flate2::write::MultiGzDecoder::new(Vec::new()));
                    let mut plain = decode(gzip, ReplyBody::from_stream(rest));
                    let first = plain.next().await?;
                    Some((first, (plain, false)))
                }
                piece => Some((piece, (body, false))),
            }
        },
    ))
}

/// Whether bytes begin like gzip.
fn looks_like_gzip(prefix: &[u8]) -> bool {
    prefix.starts_with(&[0x1f, 0x8b, 0x08])
}

fn decode(decoder: Decoder, body: ReplyBody) -> ReplyBody {
    let state = (decoder, body, Bytes::new());
    ReplyBody::from_stream(stream::unfold(Some(state), |state| async move {
        let (mut decoder, mut body, mut piece) = state?;
        loop {
            if piece.is_empty() {
                match body.next().await? {
                    Err(detail) => return Some((Err(detail), None)),
                    Ok(next) => piece = next,
                }
            }
            match decoder.push(&mut piece) {
                Ok(plain) if plain.is_empty() => {}
                Ok(plain) => return Some((Ok(plain), Some((decoder, body, piece)))),
                Err(error) => {
                    return Some((
                        Err(format!(
                            "the compressed response cannot be decoded: {error}"
                        )),
                        None,
                    ));
                }
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(coding: &str, plain: &[u8]) -> Bytes {
        let mut out = Vec::new();
        match coding {
            "gzip" => {
                let mut encoder =
                    flate2::write::GzEncoder::new(&mut out, flate2::Compression::best());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap();
            }
            "deflate" => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(&mut out, flate2::Compression::best());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap();
            }
            "zstd" => out = zstd::encode_all(plain, 3).unwrap(),
            _ => {
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
                encoder.write_all(plain).unwrap();
            }
        }
        Bytes::from(out)
    }

    async fn pieces(coding: &str, body: Bytes, size: usize) -> Vec<Result<Bytes, String>> {
        let chunks: Vec<_> = body
            .chunks(size)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
        let body = ReplyBody::from_stream(stream::iter(chunks));
        let Encoding::Plain(mut body) = decoded(&headers, body) else {
            panic!("{coding} is known");
        };
        let mut pieces = Vec::new();
        while let Some(piece) = body.next().await {
            pieces.push(piece);
        }
        pieces
    }

    const CODINGS: [&str; 4] = ["gzip", "deflate", "zstd", "br"];

    #[tokio::test]
    async fn an_answer_comes_out_whole_however_it_is_cut() {
        let plain: Vec<u8> = (0..100_000u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        for coding in CODINGS {
            for size in [1_000, 1 << 30] {
                let whole: Vec<u8> = pieces(coding, encoded(coding, &plain), size)
                    .await
                    .into_iter()
                    .flat_map(|piece| piece.unwrap())
                    .collect();
                assert!(whole == plain, "{coding} in pieces of {size}");
            }
        }
    }

    #[tokio::test]
    async fn a_bomb_comes_out_in_pieces_of_bounded_size() {
        let plain = vec![b' '; 24 << 20];
        for coding in CODINGS {
            let body = encoded(coding, &plain);
            assert!(body.len() < 100_000, "{coding}: {}", body.len());
            let pieces = pieces(coding, body, 1 << 30).await;
            if coding == "br" {
                // Its decoder takes what it gets, so that a bomb is refused.
                let largest = pieces.iter().flatten().map(Bytes::len).max();
                assert!(largest.unwrap_or(0) <= MAX_BROTLI_OUTPUT);
                assert!(pieces.last().unwrap().is_err());
                continue;
            }
            let sizes: Vec<usize> = pieces
                .iter()
                .map(|piece| piece.as_ref().unwrap().len())
                .collect();
            assert_eq!(sizes.iter().sum::<usize>(), plain.len(), "{coding}");
            let largest = sizes.iter().max().unwrap();
            assert!(*largest <= OUTPUT_CHUNK + 256 * 1024, "{coding}: {largest}");
        }
    }
}
