//! Framing check: reads a request's header section byte by byte, before the HTTP library parses it.

/// Follows one request from its first byte. Hyper accepts a bare line feed as a line end, and parses bytes behind
/// a request as the next one. A proxy in front may read both differently, which allows request smuggling.
#[derive(Debug, Default)]
pub(crate) struct FramingCheck {
    /// Bytes in the current line, without its line end.
    line: usize,
    /// Whether a line that is not empty has ended. Empty lines before the request line are ignored.
    started: bool,
    after_carriage_return: bool,
    bare_line_feed: bool,
    ended: bool,
    /// Bytes received after the header section.
    body_bytes: u64,
}

impl FramingCheck {
    /// Reads the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.ended {
                self.body_bytes += (bytes.len() - at) as u64;
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

    /// Whether the whole header section was seen, and each of its lines ended with CR LF.
    pub(crate) fn is_valid(&self) -> bool {
        self.ended && !self.bare_line_feed
    }

    /// Bytes received after the header section.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], valid: bool, body_bytes: u64) {
        let mut framing = FramingCheck::default();
        framing.feed(bytes);
        assert_eq!(
            (framing.is_valid(), framing.body_bytes()),
            (valid, body_bytes),
            "{:?}",
            bytes.escape_ascii()
        );
    }

    #[test]
    fn a_header_section_is_valid_if_each_line_ends_with_cr_lf() {
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true, 0);
        check(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n{}", true, 2);
        check(b"GET / HTTP/1.1\nHost: x\r\n\r\n", false, 0);
        check(b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\nabc", false, 3);
        check(b"GET / HTTP/1.1\r\nHost: x\n\nabc", false, 3);
        check(b"GET / HTTP/1.1\r\nHost: x\r\n", false, 0);
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_how_bytes_are_split(bytes in "[ab\r\n]{0,40}", cut in 0_usize..40) {
            let cut = cut.min(bytes.len());
            let (mut whole, mut pieces) = (FramingCheck::default(), FramingCheck::default());
            whole.feed(bytes.as_bytes());
            pieces.feed(&bytes.as_bytes()[..cut]);
            pieces.feed(&bytes.as_bytes()[cut..]);
            prop_assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
        }
    }
}
