//! The bytes of a request's head as they come, before the HTTP library reads them its own way.

/// Follows one request from its first byte. The library takes a bare line feed for the end of a line, and
/// a request that comes right behind another for the next one; a proxy in front may have seen neither so.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Bytes of the line so far, its end aside.
    line: usize,
    /// Whether a line with something in it has ended: before that, empty lines don't count.
    started: bool,
    after_carriage_return: bool,
    bare_line_feed: bool,
    ended: bool,
    /// Bytes that came after the head.
    beyond: u64,
}

impl Head {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.ended {
                self.beyond += (bytes.len() - at) as u64;
                return;
            }
            let after_carriage_return = std::mem::replace(&mut self.after_carriage_return, false);
            match byte {
                b'\r' => self.after_carriage_return = true,
                b'\n' => {
                    self.bare_line_feed |= !after_carriage_return;
                    self.ended = self.started && self.line == 0;
                    self.started |= self.line > 0;
                    self.line = 0;
                }
                _ => self.line += 1,
            }
        }
    }

    /// Whether each line of it ended as HTTP has it, and all of it was seen.
    pub(super) fn is_sound(&self) -> bool {
        self.ended && !self.bare_line_feed
    }

    /// How many bytes came after it.
    pub(super) fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], sound: bool, beyond: u64) {
        let mut head = Head::default();
        head.feed(bytes);
        assert_eq!((head.is_sound(), head.beyond), (sound, beyond), "{:?}", bytes.escape_ascii());
    }

    #[test]
    fn a_head_is_sound_where_each_line_ends_as_http_has_it() {
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, 0);
        check(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n{}", true, 2);
        check(b"GET / HTTP/1.1\nHost: x\r\n\r\n", false, 0);
        check(b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\nabc", false, 3);
        check(b"GET / HTTP/1.1\r\nHost: x\n\nabc", false, 3);
        check(b"GET / HTTP/1.1\r\nHost: x\r\n", false, 0);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_which_pieces_it_comes(bytes in "[ab\r\n]{0,40}", cut in 0_usize..40) {
            let cut = cut.min(bytes.len());
            let (mut whole, mut pieces) = (Head::default(), Head::default());
            whole.feed(bytes.as_bytes());
            pieces.feed(&bytes.as_bytes()[..cut]);
            pieces.feed(&bytes.as_bytes()[cut..]);
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        }
    }
}
