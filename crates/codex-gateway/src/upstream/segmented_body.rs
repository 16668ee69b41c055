//! A request body of which all is in memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body in a few segments whose total length is known: a splice costs no copy of the rest.
#[derive(Debug, Default, Clone)]
pub struct SegmentedBody {
    segments: VecDeque<Bytes>,
    bytes_left: u64,
}

impl SegmentedBody {
    /// Total length in bytes.
    pub fn len(&self) -> u64 {
        self.bytes_left
    }

    /// Whether nothing is to be sent.
    pub fn is_empty(&self) -> bool {
        self.bytes_left == 0
    }
}

impl<I: IntoIterator<Item = Bytes>> From<I> for SegmentedBody {
    fn from(segments: I) -> Self {
        let segments: VecDeque<Bytes> = segments
            .into_iter()
            .filter(|segment| !segment.is_empty())
            .collect();
        let bytes_left = segments.iter().map(|segment| segment.len() as u64).sum();
        Self {
            segments,
            bytes_left,
        }
    }
}

impl http_body::Body for SegmentedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.segments.pop_front();
        if let Some(segment) = &next {
            self.bytes_left -= segment.len() as u64;
        }
        Poll::Ready(next.map(|segment| Ok(Frame::data(segment))))
    }

    fn is_end_stream(&self) -> bool {
        self.segments.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    #[test]
    fn a_body_knows_its_length() {
        let body = SegmentedBody::from([
            Bytes::from_static(b"ab"),
            Bytes::new(),
            Bytes::from_static(b"c"),
        ]);
        assert_eq!(body.len(), 3);
        assert_eq!(body.size_hint().exact(), Some(3));
        assert!(SegmentedBody::default().is_empty());
    }
}
