//! P-7, P-8, P-10, R-2, R-3: peers that are slow, silent or too many.

use std::time::Duration;

use runcomfy_mcp::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::over_http::{Server, listing, post_head, read_all, read_one, settings};

/// Settings with every time out of the way but for the ones a test sets.
fn patient() -> Settings {
    let mut settings = settings();
    let hour = Duration::from_secs(3600);
    let times = &mut settings.connections;
    (times.header, times.idle, times.write) = (hour, hour, hour);
    (times.body, times.body_grace, times.age) = (hour, hour, hour);
    settings
}

/// Long enough for any machine, and far below an hour.
const SOON: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

/// What comes until the server closes, which must be soon.
async fn closed(stream: &mut TcpStream) -> String {
    timeout(SOON, read_all(stream)).await.unwrap()
}

#[tokio::test]
async fn heads_that_never_end_are_closed_and_hold_up_nobody() {
    let mut settings = patient();
    settings.connections.header = SHORT;
    let server = Server::start_with(settings).await;
    let mut slow = Vec::new();
    for n in 0..300 {
        slow.push(server.open(if n % 2 == 0 { "" } else { "POST /mcp HT" }).await);
    }
    let started = Instant::now();
    let mut good = server.open(&listing("CANARY-tok")).await;
    assert!(timeout(SOON, read_one(&mut good)).await.unwrap().starts_with("HTTP/1.1 200"));
    for stream in &mut slow {
        assert_eq!(closed(stream).await, "");
    }
    assert!(started.elapsed() < SOON);
    // A byte now and then buys no time.
    let mut dribbler = server.open("").await;
    let dribble = async {
        let mut every = tokio::time::interval(SHORT / 10);
        while dribbler.write_all(b"P").await.is_ok() {
            every.tick().await;
        }
    };
    timeout(SOON, dribble).await.expect("the server closes it");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_told_so_and_closed() {
    let mut settings = patient();
    settings.connections.body_grace = SHORT;
    let server = Server::start_with(settings).await;
    let head = post_head("Authorization: Bearer CANARY-tok\r\nContent-Length: 99\r\n");
    let mut stream = server.open(&(head + "{")).await;
    assert!(closed(&mut stream).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_used_one_is_not() {
    let mut settings = patient();
    settings.connections.idle = SHORT;
    let server = Server::start_with(settings).await;
    let mut stream = server.open("").await;
    for _ in 0..3 {
        stream.write_all(listing("CANARY-tok").as_bytes()).await.unwrap();
        assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
    let idle = Instant::now();
    assert_eq!(closed(&mut stream).await, "");
    assert!(idle.elapsed() >= SHORT / 2, "it was closed at once");
}

#[tokio::test]
async fn an_old_connection_ends_with_an_answer_and_not_within_one() {
    let mut settings = patient();
    settings.connections.age = SHORT;
    let server = Server::start_with(settings).await;
    let mut stream = server.open(&listing("CANARY-tok")).await;
    let answer = closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('}'), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_most_are_closed_at_once() {
    let mut settings = patient();
    settings.connections.most = 20;
    let server = Server::start_with(settings).await;
    let mut inside = Vec::new();
    for _ in 0..20 {
        let mut stream = server.open(&listing("CANARY-tok")).await;
        assert!(read_one(&mut stream).await.starts_with("HTTP/1.1 200"));
        inside.push(stream);
    }
    for _ in 0..50 {
        let mut stream = server.open("").await;
        assert_eq!(closed(&mut stream).await, "");
    }
    // Those inside go on, and who leaves makes room.
    let mut first = inside.remove(0);
    first.write_all(listing("CANARY-tok").as_bytes()).await.unwrap();
    assert!(read_one(&mut first).await.starts_with("HTTP/1.1 200"));
    first.shutdown().await.unwrap();
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0, "it has let go");
    let mut next = server.open(&listing("CANARY-tok")).await;
    assert!(timeout(SOON, read_one(&mut next)).await.unwrap().starts_with("HTTP/1.1 200"));
}
