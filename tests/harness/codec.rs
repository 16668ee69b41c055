//! The body encodings Codex and others use, both ways. Bounded, since the tests themselves send
//! bombs.

use std::io::{self, Read, Write};

/// More than any test sends; a decoder that would yield more stops with an error.
const LIMIT: u64 = 512 * 1024 * 1024;

/// Decodes a body as its `content-encoding` says (a comma-separated list is undone from the right).
pub fn decode(encodings: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = body.to_vec();
    for encoding in encodings
        .rsplit(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        bytes = match encoding.to_ascii_lowercase().as_str() {
            "identity" => bytes,
            "gzip" | "x-gzip" => read_all(flate2::read::MultiGzDecoder::new(bytes.as_slice()))?,
            // HTTP's "deflate" is the zlib format.
            "deflate" => read_all(flate2::read::ZlibDecoder::new(bytes.as_slice()))?,
            "br" => read_all(brotli::Decompressor::new(bytes.as_slice(), 4096))?,
            "zstd" => read_all(zstd::stream::read::Decoder::new(bytes.as_slice())?)?,
            other => return Err(io::Error::other(format!("unknown encoding `{other}`"))),
        };
    }
    Ok(bytes)
}

/// Encodes a body in one encoding.
pub fn encode(encoding: &str, body: &[u8]) -> io::Result<Vec<u8>> {
    match encoding {
        "identity" => Ok(body.to_vec()),
        "gzip" => {
            let mut writer =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            writer.write_all(body)?;
            writer.finish()
        }
        "deflate" => {
            let mut writer =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
            writer.write_all(body)?;
            writer.finish()
        }
        "br" => {
            let mut out = Vec::new();
            brotli::BrotliCompress(
                &mut io::Cursor::new(body),
                &mut out,
                &brotli::enc::BrotliEncoderParams::default(),
            )?;
            Ok(out)
        }
        "zstd" => zstd::stream::encode_all(body, 3),
        other => Err(io::Error::other(format!("unknown encoding `{other}`"))),
    }
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(LIMIT + 1).read_to_end(&mut out)?;
    if out.len() as u64 > LIMIT {
        return Err(io::Error::other(
            "the decoded body is over the harness's limit",
        ));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_comes_back_as_it_went() {
        for encoding in ["identity", "gzip", "deflate", "br", "zstd"] {
            let packed = encode(encoding, b"{\"model\":\"gpt-5.5\"}").unwrap();
            assert_eq!(
                decode(encoding, &packed).unwrap(),
                b"{\"model\":\"gpt-5.5\"}",
                "{encoding}"
            );
        }
        assert!(decode("zstd", b"not zstd").is_err());
        assert!(decode("rot13", b"x").is_err());
    }

    #[test]
    fn a_list_of_encodings_is_undone_from_the_right() {
        let packed = encode("zstd", &encode("gzip", b"x").unwrap()).unwrap();
        assert_eq!(decode("gzip, zstd", &packed).unwrap(), b"x");
    }
}
