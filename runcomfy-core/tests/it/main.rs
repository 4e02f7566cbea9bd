//! What the crate does as a whole: over a real socket, and waiting on a mock.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

#[cfg(feature = "http")]
mod canned;
#[cfg(feature = "http")]
mod downloads;
#[cfg(feature = "http")]
mod endpoints;
#[cfg(feature = "http")]
mod faults;
mod just_submitted;
#[cfg(feature = "http")]
mod keep_alive;
mod learning;
mod many_waits;
#[cfg(feature = "http")]
mod odd_answers;
#[cfg(feature = "http")]
mod proxies;
#[cfg(feature = "http")]
mod proxies_tls;
#[cfg(feature = "http")]
mod proxy_server;
#[cfg(feature = "http")]
mod refusals;
mod runs;
#[cfg(feature = "http")]
mod settled;
mod shared_waits;
mod slow_looks;
#[cfg(feature = "http")]
mod storms;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "http")]
mod tokens;
#[cfg(feature = "http")]
mod updates;
mod wait;
#[cfg(feature = "http")]
mod watched;
