//! Compressed request bodies: decoded with a cap on what comes out, so that a bomb costs bounded
//! memory.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::error::{ErrorCode, GatewayError};

/// One content coding this gateway understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Zstd,
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    /// The word in `content-encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    /// Reads one word of `content-encoding`; `None` for `identity`.
    fn parse(word: &str) -> Result<Option<Self>, GatewayError> {
        match word.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "zstd" => Ok(Some(Self::Zstd)),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "br" => Ok(Some(Self::Brotli)),
            other => Err(GatewayError::new(
                ErrorCode::UnsupportedEncoding,
                format!(
                    "content-encoding `{}` is not supported; use zstd, gzip, deflate, br or no \
                     encoding",
                    other.chars().take(40).collect::<String>()
                ),
            )),
        }
    }
}

/// The codings of a body in the order they were applied. At most two, so that nesting is no
/// amplifier.
///
/// # Errors
/// When a coding is unknown, or there are more than two.
pub fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, GatewayError> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let text = value.to_str().map_err(|_| {
            GatewayError::new(
                ErrorCode::UnsupportedEncoding,
                "the content-encoding header is not valid text",
            )
        })?;
        for word in text.split(',') {
            if let Some(coding) = Coding::parse(word.trim())? {
                codings.push(coding);
            }
        }
    }
    if codings.len() > 2 {
        return Err(GatewayError::new(
            ErrorCode::UnsupportedEncoding,
            "the body is encoded more than twice; use zstd, gzip, deflate, br or no encoding",
        ));
    }
    Ok(codings)
}

/// The error for a body that is or becomes larger than `limit` bytes.
pub fn too_large(limit: usize) -> GatewayError {
    GatewayError::new(
        ErrorCode::BodyTooLarge,
        format!(
            "the request body is larger than {limit} bytes (after decompression); shorten it, or \
             raise `max_request_body` in the [server] section"
        ),
    )
}

/// Decodes a whole body. Memory stays below `limit` plus one block, whatever comes in.
///
/// # Errors
/// When the body is not what its coding says, or becomes larger than `limit`.
pub fn decode(body: &Bytes, codings: &[Coding], limit: usize) -> Result<Bytes, GatewayError> {
    let mut current = body.clone();
    for coding in codings.iter().rev() {
        current = decode_one(&current, *coding, limit)?;
    }
    if current.len() > limit {
        return Err(too_large(limit));
    }
    Ok(current)
}

fn decode_one(body: &[u8], coding: Coding, limit: usize) -> Result<Bytes, GatewayError> {
    let capped = LimitedBuffer {
        bytes: Vec::with_capacity(body.len().saturating_mul(4).min(limit)),
        limit,
        is_over: false,
    };
    let (result, capped) = match coding {
        Coding::Zstd => match zstd::stream::write::Decoder::new(capped) {
            Ok(mut decoder) => {
                // 128 MiB is the window that decoders must at most accept without being told; ours
                // is far smaller.
                let result = decoder
                    .window_log_max(27)
                    .and_then(|()| decoder.write_all(body))
                    .and_then(|()| decoder.flush());
                let is_whole = zstd_frames_are_whole(body);
                (
                    result.and(if is_whole {
                        Ok(())
                    } else {
                        Err(std::io::ErrorKind::UnexpectedEof.into())
                    }),
                    decoder.into_inner(),
                )
            }
            Err(error) => return Err(broken(coding, &error)),
        },
        Coding::Gzip => {
            let mut decoder = flate2::write::MultiGzDecoder::new(capped);
            let result = decoder.write_all(body).and_then(|()| decoder.try_finish());
            (result, std::mem::take(decoder.get_mut()))
        }
        Coding::Deflate if is_zlib(body) => {
            let mut decoder = flate2::write::ZlibDecoder::new(capped);
            let result = decoder.write_all(body).and_then(|()| decoder.try_finish());
            (result, std::mem::take(decoder.get_mut()))
        }
        // Some clients send the raw format under this name.
        Coding::Deflate => {
            let mut decoder = flate2::write::DeflateDecoder::new(capped);
            let result = decoder.write_all(body).and_then(|()| decoder.try_finish());
            (result, std::mem::take(decoder.get_mut()))
        }
        Coding::Brotli => {
            let mut decoder = brotli::DecompressorWriter::new(capped, 4096);
            let result = decoder.write_all(body).and_then(|()| decoder.close());
            (result, std::mem::take(decoder.get_mut()))
        }
    };
    if capped.is_over {
        return Err(too_large(limit));
    }
    result.map_err(|error| broken(coding, &error))?;
    Ok(Bytes::from(capped.bytes))
}

fn broken(coding: Coding, error: &std::io::Error) -> GatewayError {
    GatewayError::new(
        ErrorCode::InvalidRequest,
        format!("the request body is not valid {}: {error}", coding.as_str()),
    )
}

fn is_zlib(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => {
            first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
        }
        [..] => false,
    }
}

/// Walks the frames by their own sizes; the streaming decoder does not report a frame that lacks
/// its end.
fn zstd_frames_are_whole(mut body: &[u8]) -> bool {
    if body.is_empty() {
        return false;
    }
    while !body.is_empty() {
        match zstd::zstd_safe::find_frame_compressed_size(body) {
            Ok(size) if size > 0 && size <= body.len() => body = body.split_at(size).1,
            Ok(_) | Err(_) => return false,
        }
    }
    true
}

/// Collects bytes up to a limit, then refuses.
#[derive(Default)]
struct LimitedBuffer {
    bytes: Vec<u8>,
    limit: usize,
    is_over: bool,
}

impl Write for LimitedBuffer {
    fn write(&mut self, chunk: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + chunk.len() > self.limit {
            self.is_over = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(chunk);
        Ok(chunk.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn encode(coding: Coding, plain: &[u8]) -> Bytes {
        match coding {
            Coding::Zstd => zstd::encode_all(plain, 3).unwrap().into(),
            Coding::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap().into()
            }
            Coding::Deflate => {
                let mut encoder =
                    flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap().into()
            }
            Coding::Brotli => {
                let mut out = Vec::new();
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 3, 20);
                encoder.write_all(plain).unwrap();
                drop(encoder);
                out.into()
            }
        }
    }

    const ALL: [Coding; 4] = [Coding::Zstd, Coding::Gzip, Coding::Deflate, Coding::Brotli];

    #[test]
    fn every_coding_gives_the_plain_body_back() {
        let plain = br#"{"model":"gpt-5.5","input":"hello"}"#.repeat(500);
        for coding in ALL {
            let decoded = decode(&encode(coding, &plain), &[coding], LIMIT).unwrap();
            assert_eq!(decoded.as_ref(), plain.as_slice(), "{coding:?}");
        }
        let twice = encode(Coding::Gzip, &encode(Coding::Zstd, &plain));
        assert_eq!(
            decode(&twice, &[Coding::Zstd, Coding::Gzip], LIMIT)
                .unwrap()
                .as_ref(),
            plain.as_slice()
        );
    }

    #[test]
    fn a_bomb_is_refused() {
        let plain = vec![b' '; 8 * LIMIT];
        for coding in ALL {
            let error = decode(&encode(coding, &plain), &[coding], LIMIT).unwrap_err();
            assert_eq!(error.code, ErrorCode::BodyTooLarge, "{coding:?}");
        }
    }

    #[test]
    fn garbage_and_truncation_are_the_callers_fault() {
        let plain = br#"{"model":"gpt-5.5"}"#.repeat(500);
        for coding in ALL {
            let whole = encode(coding, &plain);
            let cut = whole.slice(..whole.len() / 2);
            // Some decoders give what they have; then the JSON is found to be cut.
            let is_seen =
                decode(&cut, &[coding], LIMIT).map_or(true, |got| got.len() < plain.len());
            assert!(is_seen, "{coding:?} cut");
            let garbage = Bytes::from_static(b"\xff\xfe\xfdnot compressed at all, really not");
            assert_eq!(
                decode(&garbage, &[coding], LIMIT).unwrap_err().code,
                ErrorCode::InvalidRequest,
                "{coding:?}"
            );
        }
    }

    #[test]
    fn unknown_and_nested_codings_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "compress".parse().unwrap());
        assert_eq!(
            codings(&headers).unwrap_err().code,
            ErrorCode::UnsupportedEncoding
        );
        headers.insert(
            header::CONTENT_ENCODING,
            "gzip, gzip, gzip".parse().unwrap(),
        );
        assert_eq!(
            codings(&headers).unwrap_err().code,
            ErrorCode::UnsupportedEncoding
        );
        headers.insert(header::CONTENT_ENCODING, "identity".parse().unwrap());
        assert_eq!(codings(&headers).unwrap(), []);
    }
}
