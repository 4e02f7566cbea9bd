//! A gateway that closes each connection after its answer, although it lets the client believe otherwise.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One before the service; it lives as long as the runtime.
pub(crate) async fn closing_each_connection(service: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_one(stream, service));
        }
    });
    address
}

/// Passes one call on and its answer back, then closes.
async fn pass_one(mut client: TcpStream, service: SocketAddr) -> Option<()> {
    let mut call = Vec::new();
    let (head, length) = loop {
        if client.read_buf(&mut call).await.ok()? == 0 {
            return None;
        }
        let Some(ends) = call.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(call[..ends].to_vec()).ok()?;
        let lower = head.to_ascii_lowercase();
        let body = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let body: usize = body.map_or(Some(0), |number| number.parse().ok())?;
        let whole = ends + 4 + body;
        while call.len() < whole {
            if client.read_buf(&mut call).await.ok()? == 0 {
                return None;
            }
        }
        break (head, ends);
    };
    let mut stream = TcpStream::connect(service).await.ok()?;
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(b"\r\nConnection: close").await.ok()?;
    stream.write_all(&call[length..]).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8(answer).ok()?.replacen("connection: close\r\n", "", 1);
    client.write_all(answer.as_bytes()).await.ok()
}
