//! What stands in place of a test, for cases that have none or not enough.

/// How a case stands without a test of its own, or beside it.
#[derive(Debug)]
pub(super) enum Standing {
    /// There is nothing here that it could happen to.
    NotApplicable(&'static str),
    /// Too long or too large for a test; a command shows it.
    ByHand(&'static str),
    /// Not shown, or not wholly.
    #[expect(dead_code, reason = "none is open just now")]
    Open(&'static str),
}

use Standing::{ByHand, NotApplicable};

/// By area and number.
pub(super) const REASONS: &[(char, u8, Standing)] = &[
    (
        'A',
        14,
        NotApplicable(
            "a graph together with overrides is passed on, as RunComfy takes it; the description advises one of them",
        ),
    ),
    // A test of the HTTP server's own crate, which knows nothing of these cases.
    (
        'P',
        9,
        ByHand("`a_response_that_the_peer_does_not_take_times_out` in `http-edge/src/socket.rs`"),
    ),
    ('R', 7, ByHand("`cargo xtask soak 30`; ten minutes without the number")),
    ('X', 9, NotApplicable("neither is read: nothing of a message's `_meta` goes to RunComfy")),
    (
        'W',
        11,
        NotApplicable(
            "nothing here fetches an address that the service names, but for outputs on request, without the token",
        ),
    ),
];
