//! A connection without a socket, for the fuzz target of HTTP bytes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use runcomfy_http_edge::{PeerAddr, Service, ShutdownSignals, serve_connection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::HttpServer;
use crate::server::RunComfyMcp;

/// More than the timeouts of headers, body, idle connection and a short run together, but less than a connection's
/// age, which would hide a connection that nothing else ends.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// All that the server sends in response to these bytes, until one side disconnects: the client after an even
/// number of bytes, otherwise the server by a timeout.
pub(crate) async fn converse(server: RunComfyMcp, bytes: &[u8]) -> Vec<u8> {
    let settings = server.settings().connections.clone();
    let service = Service::from(HttpServer::new(server).into_router());
    let peer = PeerAddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (mut read, mut write) = tokio::io::split(near);
    let mut received = Vec::new();
    let send = async {
        // The server may close the connection before it has read everything.
        drop(write.write_all(bytes).await);
        if bytes.len().is_multiple_of(2) {
            drop(write.shutdown().await);
        }
    };
    let receive = async { drop(read.read_to_end(&mut received).await) };
    let serving = serve_connection(far, peer, service, settings, ShutdownSignals::default());
    let ended = timeout(TIMEOUT, async { tokio::join!(serving, send, receive) }).await;
    assert!(ended.is_ok(), "the connection does not end");
    received
}
