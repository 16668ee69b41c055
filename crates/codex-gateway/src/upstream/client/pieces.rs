//! A request body that is all here.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body in a few pieces whose total length is known: a splice costs no copy of the rest.
#[derive(Debug, Default, Clone)]
pub struct Pieces {
    pieces: std::collections::VecDeque<Bytes>,
    left: u64,
}

impl Pieces {
    /// Total length in bytes.
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<I: IntoIterator<Item = Bytes>> From<I> for Pieces {
    fn from(pieces: I) -> Self {
        let pieces: std::collections::VecDeque<Bytes> = pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, left }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.pieces.pop_front();
        if let Some(piece) = &next {
            self.left -= piece.len() as u64;
        }
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[test]
    fn pieces_know_their_length() {
        let pieces = Pieces::from([
            Bytes::from_static(b"ab"),
            Bytes::new(),
            Bytes::from_static(b"c"),
        ]);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces.size_hint().exact(), Some(3));
        assert!(Pieces::default().is_empty());
    }
}
