//! A connection without a socket, for bytes that somebody made up.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::{
    HttpOptions,
    connection::{self, Ends, Peer},
    router,
};
use crate::RunComfyMcp;

/// All that the server says to these bytes, until one of the two hangs up.
pub(crate) async fn converse(server: RunComfyMcp, bytes: &[u8]) -> Vec<u8> {
    let (streams, times) = (CancellationToken::new(), server.settings().connections.clone());
    let app = router(server, &HttpOptions::default(), &streams);
    let ends = Ends { softly: CancellationToken::new(), hard: CancellationToken::new() };
    let peer = Peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let (near, far) = tokio::io::duplex(16 * 1024);
    let (mut read, mut write) = tokio::io::split(near);
    let mut said = Vec::new();
    let ask = async {
        // The server may have heard enough before the end.
        drop(write.write_all(bytes).await);
        drop(write.shutdown().await);
    };
    let listen = async { drop(read.read_to_end(&mut said).await) };
    tokio::join!(connection::serve(far, peer, app, times, ends), ask, listen);
    said
}
