//! A connection without a socket, for bytes that somebody made up.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    HttpOptions,
    connection::{self, Ends, Peer},
    router,
    site::Site,
};
use crate::RunComfyMcp;

/// Times for a head, a body, an idle connection and a short run, and then some. Not a connection's age, which
/// ends whatever else does not.
const ENOUGH: Duration = Duration::from_secs(30 * 60);

/// All that the server says to these bytes, until one of the two hangs up: the peer after an even number of
/// bytes, otherwise the server, whose time it is to keep.
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
        if bytes.len().is_multiple_of(2) {
            drop(write.shutdown().await);
        }
    };
    let listen = async { drop(read.read_to_end(&mut said).await) };
    let serving = connection::serve(far, peer, Site::from(app), times, ends);
    let ended = timeout(ENOUGH, async { tokio::join!(serving, ask, listen) }).await;
    assert!(ended.is_ok(), "the connection has no end");
    said
}
