//! Tests of accepted host names and of URLs in responses.

use std::io;

use runcomfy_testkit::Emulator;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use super::{quick, serve};

#[tokio::test]
async fn a_name_that_was_made_to_lead_here_gets_nothing() {
    let emulator = serve(quick()).await;
    for path in ["/", "/_emulator/overview", "/prod/v2/deployments", "/healthz"] {
        let address = emulator.url().socket_addrs(|| None).unwrap()[0];
        let mut socket = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer me\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_public_url_begins_addresses_whether_or_not_it_ends_in_a_slash() {
    let url = Url::parse("https://emulator.example/below").unwrap();
    let emulator = Emulator::builder().fake(quick()).public_url(url).start().await.unwrap();
    assert_eq!(emulator.url().as_str(), "https://emulator.example/below/");
}

#[tokio::test]
async fn a_public_url_that_can_begin_no_address_is_refused() {
    for url in ["mailto:x@example.com", "http://a:b@example.com/", "http://example.com/?q=1"] {
        let url = Url::parse(url).unwrap();
        let refused = Emulator::builder().fake(quick()).public_url(url.clone()).start().await;
        let kind = refused.err().map(|error| error.kind());
        assert_eq!(kind, Some(io::ErrorKind::InvalidInput), "{url}");
    }
}
