//! A proxy on the loopback: HTTP or SOCKS, one that lets through or one that does not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader, copy_bidirectional,
    },
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// What it does with a connection.
#[derive(Clone)]
pub(crate) enum Manner {
    /// It connects whoever has this `Proxy-Authorization`, if one is wanted, and answers all others 407.
    Http { wants: Option<&'static str> },
    /// It reads, answers with these bytes, and closes.
    Says(&'static [u8]),
    /// It reads, and says nothing.
    Silent,
    /// It connects whoever has this user name and password, if one is wanted.
    Socks5 { wants: Option<(&'static str, &'static str)> },
    /// It answers everybody's wish to be connected with this.
    Socks5Replies(u8),
    /// SOCKS 4 and 4a: it answers with this, of which 90 means that it connects.
    Socks4Replies(u8),
}

/// The proxy. Whatever it is asked for, it connects to one place. It ends when it is dropped.
pub(crate) struct ProxyServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProxyServer {
    pub(crate) async fn start(manner: Manner, target: SocketAddr) -> Self {
        Self::over(manner, target, None).await
    }

    /// The same, spoken to by TLS.
    pub(crate) async fn over(manner: Manner, target: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        crate::watched::watch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let shared = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (manner, tls, asked) = (manner.clone(), tls.clone(), Arc::clone(&shared));
                all.spawn(async move {
                    match tls {
                        None => serve(stream, manner, target, &asked).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, manner, target, &asked).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, asked, task }
    }

    /// Its address with this in front: a scheme, and user name and password where there are some.
    pub(crate) fn url(&self, start: &str) -> String {
        format!("{start}{}", self.address)
    }

    /// What it was asked to connect to, in turn; for those that do no more than answer, that they were.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    manner: Manner,
    target: SocketAddr,
    asked: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let ask = |what: String| asked.lock().unwrap().push(what);
    match manner {
        Manner::Http { wants } => http(&mut stream, wants, target, ask).await,
        Manner::Says(answer) => {
            stream.fill_buf().await.ok()?;
            ask("anything".to_owned());
            stream.write_all(answer).await.ok()?;
            stream.shutdown().await.ok()?;
            // Until the client goes: a close with bytes unread would be a reset.
            while stream.read(&mut [0; 512]).await.is_ok_and(|count| count > 0) {}
            Some(())
        }
        Manner::Silent => std::future::pending().await,
        Manner::Socks5 { wants } => {
            socks5_login(&mut stream, wants).await?;
            ask(socks5_wish(&mut stream).await?);
            socks5_reply(&mut stream, 0).await?;
            join(&mut stream, target, &[]).await
        }
        Manner::Socks5Replies(code) => {
            socks5_login(&mut stream, None).await?;
            ask(socks5_wish(&mut stream).await?);
            socks5_reply(&mut stream, code).await
        }
        Manner::Socks4Replies(code) => {
            ask(socks4_wish(&mut stream).await?);
            stream.write_all(&[0, code, 0, 0, 0, 0, 0, 0]).await.ok()?;
            if code == 90 { join(&mut stream, target, &[]).await } else { Some(()) }
        }
    }
}

/// Passes on what comes from both sides, after these first bytes.
async fn join<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: SocketAddr,
    first: &[u8],
) -> Option<()> {
    let mut there = TcpStream::connect(target).await.ok()?;
    there.write_all(first).await.ok()?;
    copy_bidirectional(stream, &mut there).await.ok()?;
    Some(())
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    wants: Option<&str>,
    target: SocketAddr,
    ask: impl Fn(String),
) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await.ok().filter(|count| *count > 0)?;
    }
    let (line, headers) = head.split_once("\r\n")?;
    let given = headers.lines().find_map(|header| {
        let (name, value) = header.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    let line = line.trim_end_matches(" HTTP/1.1");
    ask(line.to_owned());
    if wants.is_some() && given != wants {
        let refusal = "HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).await.ok();
    }
    if line.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await.ok()?;
        return join(stream, target, &[]).await;
    }
    join(stream, target, head.as_bytes()).await
}

async fn socks5_login<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    wants: Option<(&str, &str)>,
) -> Option<()> {
    let (5, count) = (stream.read_u8().await.ok()?, stream.read_u8().await.ok()?) else {
        return None;
    };
    let offered = bytes(stream, count.into()).await?;
    let method = if wants.is_some() { 2 } else { 0 };
    if !offered.contains(&method) {
        stream.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    stream.write_all(&[5, method]).await.ok()?;
    let Some((user, password)) = wants else { return Some(()) };
    stream.read_u8().await.ok()?;
    let given = (counted(stream).await?, counted(stream).await?);
    let fits = given == (user.to_owned(), password.to_owned());
    stream.write_all(&[1, u8::from(!fits)]).await.ok()?;
    fits.then_some(())
}

async fn socks5_wish<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let head = bytes(stream, 4).await?;
    let host = match head[3] {
        1 => bytes(stream, 4).await?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        3 => counted(stream).await?,
        other => panic!("an address of type {other}"),
    };
    Some(format!("{host}:{}", stream.read_u16().await.ok()?))
}

async fn socks5_reply<S: AsyncWrite + Unpin>(stream: &mut S, code: u8) -> Option<()> {
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()
}

async fn socks4_wish<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let [4, 1] = bytes(stream, 2).await?[..] else { return None };
    let port = stream.read_u16().await.ok()?;
    let address = bytes(stream, 4).await?;
    zero_ended(stream).await?;
    let host = match address[..] {
        [0, 0, 0, _] => zero_ended(stream).await?,
        _ => address.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
    };
    Some(format!("{host}:{port}"))
}

async fn bytes<S: AsyncRead + Unpin>(stream: &mut S, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn counted<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let count = stream.read_u8().await.ok()?;
    String::from_utf8(bytes(stream, count.into()).await?).ok()
}

async fn zero_ended<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut bytes = Vec::new();
    stream.read_until(0, &mut bytes).await.ok()?;
    bytes.pop()?;
    String::from_utf8(bytes).ok()
}
