//! Files: without the token, and never more of them than asked for.

use runcomfy_core::{HttpApi, Token, client::DownloadError};
use serde_json::json;

use crate::canned::{Canned, Reply, TOKEN, builder};

#[tokio::test]
async fn a_file_is_fetched_without_the_token() {
    let png = Reply::with(200, &["Content-Type: image/png"], b"\x89PNG");
    let files = Canned::start([png]).await;
    let api = Canned::start([]).await;
    let file = api.api().download(&format!("{}/a%20b?sig=x%2Fy", files.url()), 4).await.unwrap();
    assert_eq!(file.bytes, b"\x89PNG");
    assert_eq!(file.content_type.as_deref(), Some("image/png"));
    let seen = files.only();
    assert_eq!(seen.line(), "GET /a%20b?sig=x%2Fy");
    assert_eq!(seen.header("authorization"), None);
    assert!(seen.header("user-agent").is_some_and(|text| text.starts_with("runcomfy-core/")));
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn a_file_from_the_apis_own_origin_gets_no_token_either() {
    let any = Reply::json(200, &json!([]));
    let server = Canned::start([any.clone(), any]).await;
    let api = server.api();
    runcomfy_core::RunComfyApi::list_deployments(&api, &Default::default()).await.unwrap();
    api.download(&format!("{}/x", server.url()), 99).await.unwrap();
    assert_eq!(server.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_announced_or_not() {
    for reply in [
        Reply::with(200, &[], "12345"),
        Reply::Endless(b"HTTP/1.1 200 OK\r\n\r\nx".to_vec()),
        Reply::Endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx".to_vec()),
    ] {
        let server = Canned::start([reply]).await;
        let error = server.api().download(&server.url(), 4).await.unwrap_err();
        assert!(matches!(error, DownloadError::TooLarge { max_bytes: 4 }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_or_an_error_is_not_a_file() {
    let other = Canned::start([]).await;
    let location = format!("Location: {}", other.url());
    for status in [302, 307, 403, 404, 500] {
        let server = Canned::start([Reply::with(status, &[&location], "x")]).await;
        let error = server.api().download(&server.url(), 99).await.unwrap_err();
        let DownloadError::Status { status_code } = error else { panic!("{error:?}") };
        assert_eq!(status_code, status);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_file_that_breaks_off_or_stalls_is_not_taken_for_whole() {
    let file = Reply::with(200, &[], "12345");
    let check = async |reply: Reply| {
        let server = Canned::start([reply]).await;
        let error = server.api().download(&server.url(), 99).await.unwrap_err();
        server.only();
        error
    };
    assert!(matches!(check(file.cut_short()).await, DownloadError::Unavailable(_)));
    assert!(matches!(check(Reply::Reset).await, DownloadError::Unavailable(_)));
    assert!(matches!(check(Reply::Stall(Vec::new())).await, DownloadError::TimedOut));
    let started = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx".to_vec();
    assert!(matches!(check(Reply::Stall(started)).await, DownloadError::TimedOut));
}

#[tokio::test]
async fn only_safe_addresses_are_fetched_and_none_is_repeated() {
    let server = Canned::start([]).await;
    let check = async |api: &HttpApi, url: &str| {
        let error = api.download(url, 99).await.unwrap_err();
        assert!(matches!(error, DownloadError::InvalidUrl), "{url}");
        assert!(!format!("{error} {error:?}").contains("SECRET"));
    };
    let remote = builder("https://api.example").token(Token::new(TOKEN).unwrap()).build().unwrap();
    for url in
        ["", "x", "file:///etc/passwd?SECRET", "javascript:SECRET", "http://a.example/SECRET"]
    {
        check(&remote, url).await;
        check(&server.api(), url).await;
    }
    check(&remote, &server.url()).await;
    check(&server.api(), &format!("http://u:SECRET@{}", &server.url()[7..])).await;
    assert_eq!(server.connections(), 0);
}
