//! The buffer that a response body is read into.

use bytes::Bytes;
use memmap2::MmapMut;

/// Where the pieces of a buffer are put together.
pub(super) trait Buffer {
    /// With room for so many bytes, as far as that can be known.
    fn with_room(bytes: usize) -> Self;

    fn len(&self) -> usize;

    fn push(&mut self, piece: &[u8]);
}

impl Buffer for Vec<u8> {
    fn with_room(bytes: usize) -> Self {
        Self::with_capacity(bytes)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

/// A buffer that is passed on, whole or in parts.
///
/// A large one has pages of its own, which go back to the system with it. The heap would keep them: glibc's takes
/// ever larger pieces from its arenas, once pieces of such a size were given back, and those seldom shrink.
pub(super) enum ResponseBuffer {
    Small(Vec<u8>),
    Large(Pages),
}

/// Pages, the first bytes of which are in use.
pub(super) struct Pages {
    pages: MmapMut,
    used: usize,
}

/// Below that, pages of its own cost more than they give back.
const LARGE: usize = 256 * 1024;

impl ResponseBuffer {
    /// Cuts off what is beyond this length.
    pub(super) fn truncate(&mut self, length: usize) {
        match self {
            Self::Small(bytes) => bytes.truncate(length),
            Self::Large(pages) => pages.used = pages.used.min(length),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Small(bytes) => bytes,
            Self::Large(pages) => pages.as_ref(),
        }
    }

    /// Pages with room for so many bytes, where the system has them.
    fn pages(room: usize) -> Option<Pages> {
        (room >= LARGE).then(|| MmapMut::map_anon(room).ok())?.map(|pages| Pages { pages, used: 0 })
    }
}

impl Buffer for ResponseBuffer {
    fn with_room(bytes: usize) -> Self {
        Self::pages(bytes).map_or_else(|| Self::Small(Vec::with_capacity(bytes)), Self::Large)
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn push(&mut self, piece: &[u8]) {
        let length = self.len() + piece.len();
        let room = match self {
            Self::Small(_) => LARGE - 1,
            Self::Large(pages) => pages.pages.len(),
        };
        if length > room
            && let Some(pages) = Self::pages(length.saturating_mul(2))
        {
            let mut larger = Self::Large(pages);
            larger.put(self.bytes());
            *self = larger;
        }
        self.put(piece);
    }
}

impl ResponseBuffer {
    /// Where there is room for it, or in the heap.
    fn put(&mut self, piece: &[u8]) {
        if let Self::Large(Pages { pages, used }) = self {
            if let Some(room) = pages.get_mut(*used..*used + piece.len()) {
                room.copy_from_slice(piece);
                *used += piece.len();
                return;
            }
            *self = Self::Small(self.bytes().to_vec());
        }
        if let Self::Small(bytes) = self {
            bytes.extend_from_slice(piece);
        }
    }
}

impl From<ResponseBuffer> for Bytes {
    fn from(buffer: ResponseBuffer) -> Self {
        match buffer {
            ResponseBuffer::Small(bytes) => bytes.into(),
            ResponseBuffer::Large(pages) => Self::from_owner(pages),
        }
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.pages[..self.used]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of pieces of these lengths, gathered where so much was announced.
    fn gathered(announced: usize, lengths: &[usize]) -> (bool, Bytes) {
        let mut buffer = ResponseBuffer::with_room(announced);
        for (number, length) in (0_u8..).zip(lengths) {
            buffer.push(&vec![number; *length]);
        }
        assert_eq!(buffer.len(), lengths.iter().sum::<usize>());
        (matches!(buffer, ResponseBuffer::Large(_)), buffer.into())
    }

    #[test]
    fn pieces_come_out_as_they_were_put_in() {
        for (announced, lengths, large) in [
            (0, &[][..], false),
            (10, &[3, 7], false),
            (0, &[100_000, 100_000], false),
            (LARGE, &[LARGE - 1, 1], true),
            (0, &[200_000, 200_000, 0, 3_000_000, 1], true),
            (LARGE, &[LARGE, 1], true),
        ] {
            let expected: Vec<u8> =
                (0_u8..).zip(lengths).flat_map(|(number, length)| vec![number; *length]).collect();
            let found = gathered(announced, lengths);
            assert_eq!(found, (large, Bytes::from(expected)), "{announced} {lengths:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_gone() {
        let mut buffer = ResponseBuffer::with_room(LARGE);
        buffer.push(b"abc");
        for (length, left) in [(5, "abc"), (2, "ab")] {
            buffer.truncate(length);
            assert_eq!(buffer.bytes(), left.as_bytes());
        }
    }

    #[test]
    fn what_the_system_has_no_pages_for_goes_to_the_heap() {
        let pages = MmapMut::map_anon(4).unwrap();
        let mut buffer = ResponseBuffer::Large(Pages { pages, used: 0 });
        buffer.put(b"abcd");
        buffer.put(b"e");
        assert!(matches!(buffer, ResponseBuffer::Small(_)));
        assert_eq!(buffer.bytes(), b"abcde");
    }
}
