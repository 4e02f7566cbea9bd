//! What the crate does as a whole: waiting on a mock.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

mod wait;
