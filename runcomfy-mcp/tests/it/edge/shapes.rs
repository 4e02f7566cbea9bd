//! H-22 to H-24 and H-32: requests that two readers could read in two ways, and those that are too much.

use crate::over_http::{Server, list, listing, post_head};

const TOKEN: &str = "Authorization: Bearer CANARY-tok\r\n";

/// Checks the one answer to these bytes, after which the connection must be closed.
async fn check(server: &Server, bytes: &str, status: u16) {
    let answer = server.raw(bytes).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes:?}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{bytes:?}: {answer}");
}

#[tokio::test]
async fn a_length_beside_chunks_ends_the_connection() {
    let server = Server::start().await;
    let body = list().to_string();
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // What one reader takes for the next request, another takes for the body of this one.
    let hidden = listing("CANARY-tok");
    for framing in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let request = post_head(&format!("{TOKEN}{framing}"));
        check(&server, &format!("{request}{chunks}{hidden}"), 200).await;
    }
}

#[tokio::test]
async fn framing_that_is_not_http_is_refused_and_ends_the_connection() {
    let server = Server::start().await;
    let next = listing("CANARY-tok");
    for head in [
        post_head(&format!("{TOKEN}Content-Length: 2\r\nContent-Length: 3\r\n")),
        post_head(&format!("{TOKEN}Content-Length: +2\r\n")),
        post_head(&format!("{TOKEN}X-Folded: a\r\n b\r\nContent-Length: 2\r\n")),
        post_head(&format!("{TOKEN}Content-Length : 2\r\n")),
        post_head(&format!("{TOKEN}Transfer-Encoding: xchunked\r\n")),
        post_head(&format!("{TOKEN}Transfer-Encoding: chunked, gzip\r\n")),
        post_head(&format!("{TOKEN}X-Bare: a\nContent-Length: 2\r\n")),
        post_head(&format!("{TOKEN}Content-Length: 2\r\n")).replace("\r\n", "\n"),
    ] {
        check(&server, &format!("{head}{{}}{next}"), 400).await;
    }
    for chunks in ["zz\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "2\r\n{}x\r\n0\r\n\r\n"] {
        let head = post_head(&format!("{TOKEN}Transfer-Encoding: chunked\r\n"));
        check(&server, &format!("{head}{chunks}{next}"), 400).await;
    }
}

#[tokio::test]
async fn a_request_right_behind_another_is_not_taken_for_a_good_one() {
    let server = Server::start().await;
    let two = listing("CANARY-tok") + &listing("CANARY-tok");
    let answers = server.raw(&two).await;
    let statuses: Vec<_> =
        answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "400"], "{answers}");
}

#[tokio::test]
async fn too_many_headers_or_too_large_ones_are_refused() {
    let server = Server::start().await;
    let many: String = (0..200).map(|n| format!("X-{n}: a\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "a".repeat(64 * 1024));
    for headers in [many, large] {
        check(&server, &post_head(&format!("{TOKEN}{headers}")), 431).await;
    }
}

#[tokio::test]
async fn the_newer_http_is_not_spoken() {
    let server = Server::start().await;
    let answer = server.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(!answer.starts_with("HTTP/1.1 2") && !answer.contains('\0'), "{answer:?}");
}
