//! Time and size limits of connections, with their defaults.

use std::time::Duration;

/// How long connections may take, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionSettings {
    /// Open connections at once. One more is closed as soon as it is accepted.
    pub most: usize,
    /// From a request's first byte to the end of its headers; on a new connection, from the accept on.
    pub header: Duration,
    /// From the end of the headers to the end of the body.
    pub body: Duration,
    /// The slowest allowed body in bytes a second, once [`body_grace`](Self::body_grace) is over.
    pub body_bytes_per_second: u32,
    /// How long a body may be slower than that.
    pub body_grace: Duration,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// A connection of this age is closed after its next response.
    pub age: Duration,
    /// How long a write may wait for the peer to take some of it.
    pub write: Duration,
    /// Bytes of request bodies that may be in memory at once, over all connections.
    pub body_bytes_in_flight: usize,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            most: 4096,
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            body_bytes_per_second: 4 * 1024,
            body_grace: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            age: Duration::from_secs(60 * 60),
            write: Duration::from_secs(30),
            body_bytes_in_flight: 128 * 1024 * 1024,
        }
    }
}
