//! Peers who hold on to connections.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Runtime,
    time::sleep,
};

use super::{
    Figure, Pair,
    speed::{Pace, asks},
    token,
};
use crate::measure;
use crate::peer::{Peer, listing};

/// Good callers beside five hundred who send their headers drop by drop.
pub(super) fn slow(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    const SLOW: usize = 500;
    const GOOD: usize = 50;
    const FOR: Duration = Duration::from_secs(15);
    let pair = Pair::start(&[], &[])?;
    let address = pair.server.address;
    let alone = runtime.block_on(good(address, GOOD, Duration::from_secs(5)))?;
    let (longest, pace) = runtime.block_on(async {
        let slow: Vec<_> = (0..SLOW).map(|_| tokio::spawn(dribble(address))).collect();
        let pace = good(address, GOOD, FOR).await?;
        let mut longest = Duration::ZERO;
        for slow in slow {
            longest = longest.max(slow.await??);
        }
        anyhow::Ok((longest, pace))
    })?;
    Ok(vec![Figure {
        what: format!("{SLOW} peers with headers drop by drop, {GOOD} good callers"),
        hold: "all gone ≤ 12 s, p99 of the good ≤ 250 ms",
        measured: format!(
            "the last gone after {:.1} s; p99 {:.1} ms, without them {:.1} ms",
            longest.as_secs_f64(),
            pace.ms(99),
            alone.ms(99)
        ),
        held: longest <= Duration::from_secs(12) && pace.ms(99) <= 250.0,
    }])
}

/// Three times as many connections as there may be where anyone may come.
pub(super) fn idle(runtime: &Runtime) -> anyhow::Result<Vec<Figure>> {
    // Each has two ends, one of them here: within what a process may open.
    const ASKED: usize = 3_000;
    const ROOM: usize = 1_024;
    let pair = Pair::start(&[], &["--limits", "hosted"])?;
    let address = pair.server.address;
    let (open, served, again) = runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..ASKED {
            if let Ok(stream) = TcpStream::connect(address).await {
                streams.push(stream);
            }
        }
        sleep(Duration::from_secs(1)).await;
        // Whoever was turned away reads an end at once.
        let mut open = 0;
        for stream in &streams {
            let mut byte = [0];
            let ended = matches!(stream.try_read(&mut byte), Ok(0))
                || matches!(stream.try_read(&mut byte), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock);
            open += usize::from(!ended);
        }
        let served = pair.server.used().descriptors.unwrap_or_default();
        drop(streams);
        sleep(Duration::from_secs(1)).await;
        let again = Peer::new(address, token(0)).ask(&listing()).await.is_ok();
        anyhow::Ok((open, served, again))
    })?;
    let peak = pair.server.used().peak_mib.unwrap_or_default();
    Ok(vec![Figure {
        what: format!("{ASKED} idle connections"),
        hold: "1,024 stay, the others are closed, service after they have gone",
        measured: format!(
            "{open} open, {served} descriptors, {peak:.0} MiB; served after: {again}"
        ),
        held: open <= ROOM && served <= ROOM + 64 && again,
    }])
}

/// Callers who list the tools, twenty times a second each.
async fn good(address: SocketAddr, callers: usize, over: Duration) -> anyhow::Result<Pace> {
    let begun = measure::now();
    let calls = (0..callers).map(|number| {
        tokio::spawn(async move {
            let (mut took, begun) = (Vec::new(), measure::now());
            while begun.elapsed() < over {
                // A connection each time: those are what is scarce.
                let peer = Peer::new(address, token(number));
                took.extend(asks(peer, listing(), Duration::ZERO).await?);
                sleep(Duration::from_millis(50)).await;
            }
            anyhow::Ok(took)
        })
    });
    let mut took = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        took.extend(call.await??);
    }
    Ok(Pace::new(took, begun.elapsed()))
}

/// A header that grows by a byte now and then. How long the server let it.
async fn dribble(address: SocketAddr) -> anyhow::Result<Duration> {
    let begun = measure::now();
    let mut stream = TcpStream::connect(address).await?;
    let (mut reads, mut writes) = stream.split();
    let _ = writes.write_all(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ").await;
    let drops = async {
        while writes.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = reads.read_to_end(&mut answer) => {}
        () = drops => {}
        () = sleep(Duration::from_secs(30)) => {}
    }
    Ok(begun.elapsed())
}
