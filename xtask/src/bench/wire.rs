//! One connection to a server, by hand: on few cores the driver must not cost more than what it drives.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longer than any answer takes that is not a fault.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Line {
    address: SocketAddr,
    stream: Option<TcpStream>,
    /// What has come of the answer.
    came: Vec<u8>,
    /// A body that came in chunks, put together.
    joined: Vec<u8>,
}

pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunks,
}

impl Line {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, came: Vec::new(), joined: Vec::new() }
    }

    /// Sends a whole request and reads the answer to its end.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer<'_>> {
        let head = match self.stream.take() {
            Some(stream) => match self.over(stream, request).await {
                // Some servers close what lay idle while others were served: that is no wrong answer.
                Err(_) if self.came.is_empty() => self.over(self.connect().await?, request).await?,
                seen => seen?,
            },
            None => self.over(self.connect().await?, request).await?,
        };
        let body = match head.length {
            Length::Bytes(bytes) => &self.came[head.ends..head.ends + bytes],
            Length::Chunks => &self.joined,
        };
        Ok(Answer { status: head.status, body })
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn over(&mut self, mut stream: TcpStream, request: &[u8]) -> anyhow::Result<Head> {
        self.came.clear();
        let whole = async {
            stream.write_all(request).await?;
            read(&mut stream, &mut self.came, &mut self.joined).await
        };
        let head = tokio::time::timeout(PATIENCE, whole).await.context("no answer")??;
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok(head)
    }
}

struct Head {
    ends: usize,
    status: u16,
    length: Length,
    closes: bool,
}

async fn read(
    stream: &mut TcpStream,
    came: &mut Vec<u8>,
    joined: &mut Vec<u8>,
) -> anyhow::Result<Head> {
    let head = loop {
        if let Some(ends) = memmem::find(came, b"\r\n\r\n") {
            break head(&came[..ends], ends + 4)?;
        }
        more(stream, came, 16 * 1024).await?;
    };
    match head.length {
        Length::Bytes(bytes) => {
            while came.len() < head.ends + bytes {
                let missing = head.ends + bytes - came.len();
                more(stream, came, missing).await?;
            }
        }
        Length::Chunks => {
            joined.clear();
            let mut at = head.ends;
            loop {
                let Some(line) = memmem::find(&came[at..], b"\r\n") else {
                    more(stream, came, 16 * 1024).await?;
                    continue;
                };
                let size = std::str::from_utf8(&came[at..at + line])?;
                let size = usize::from_str_radix(size, 16).context("a chunk's size")?;
                let begins = at + line + 2;
                while came.len() < begins + size + 2 {
                    let missing = begins + size + 2 - came.len();
                    more(stream, came, missing).await?;
                }
                joined.extend_from_slice(&came[begins..begins + size]);
                at = begins + size + 2;
                if size == 0 {
                    break;
                }
            }
        }
    }
    Ok(head)
}

async fn more(stream: &mut TcpStream, came: &mut Vec<u8>, room: usize) -> anyhow::Result<()> {
    came.reserve(room);
    if stream.read_buf(came).await? == 0 {
        bail!("the connection ended before the answer did");
    }
    Ok(())
}

fn head(text: &[u8], ends: usize) -> anyhow::Result<Head> {
    let text = std::str::from_utf8(text)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let (mut length, mut closes) = (Length::Bytes(0), false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Length::Bytes(value.parse().context("a length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Head { ends, status: status.context("no status")?, length, closes })
}
