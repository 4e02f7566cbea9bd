//! H-1 to H-21 and H-25 to H-31: headers, tokens, names, pages.

use serde_json::{Value, json};

use crate::over_http::{Server, list};

const TOKEN: &str = "Authorization: Bearer CANARY-tok";

#[tokio::test]
async fn without_a_token_of_the_right_kind_nothing_is_listed_or_called() {
    let server = Server::start().await;
    let call = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "list_deployments"}});
    for headers in [&[][..], &["Authorization: Basic dXNlcg=="], &["Authorization: Token tok"]] {
        for message in [&list(), &call] {
            let answer = server.post(headers, message).await;
            assert_eq!(answer.status, 401, "{headers:?}");
            assert!(answer.head.contains("www-authenticate: bearer realm=\"runcomfy\"\r\n"));
        }
    }
    // A token in the address, where every log on the way would keep it, is none.
    let line = "POST /mcp?access_token=tok&token=tok HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json";
    assert_eq!(server.send(line, &list().to_string()).await.status, 401);
    assert_eq!(server.emulator.counters().totals.calls, 0);
}

#[tokio::test]
async fn exactly_one_well_formed_token_is_taken() {
    let server = Server::start().await;
    let long = |bytes: usize| format!("Authorization: Bearer {}", "x".repeat(bytes));
    for (headers, status) in [
        (vec!["Authorization: Bearer a", "Authorization: Bearer a"], 400),
        (vec!["Authorization: Bearer a", "Authorization: Bearer b"], 400),
        (vec!["authorization: bearer tok"], 200),
        (vec!["AUTHORIZATION: BEARER  tok"], 200),
        (vec!["Authorization: Bearer"], 400),
        (vec!["Authorization: Bearer a b"], 400),
        (vec!["Authorization: Bearer a,b c"], 400),
        (vec!["Authorization: Bearer a\tb"], 400),
        (vec!["Authorization: Bearer a\0b"], 400),
        (vec!["Authorization: Bearer a\x7fb"], 400),
    ] {
        let answer = server.post(&headers, &list()).await;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    let bounds = Server::start().await;
    for (header, status) in [
        ("Authorization: Bearer é".to_owned(), 400),
        (long(4096), 200),
        (long(4097), 400),
        (long(1 << 20), 431),
    ] {
        let answer = bounds.raw(request(&header)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

/// A request with one more header, after which the connection ends.
fn request(header: &str) -> String {
    let body = list().to_string();
    let length = body.len();
    crate::over_http::post_head(&format!(
        "{header}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    )) + &body
}

#[tokio::test]
async fn what_a_caller_says_of_itself_is_not_believed() {
    let server = Server::start().await;
    for header in [
        "X-RunComfy-User-Token: tok",
        "X-MCP-Secret: tok",
        "X-Forwarded-Authorization: Bearer CANARY-tok",
    ] {
        assert_eq!(server.post(&[header], &list()).await.status, 401, "{header}");
    }
    let echo = async |sent: &str| {
        let answer = server.post(&[TOKEN, &format!("X-Request-Id: {sent}")], &list()).await;
        let told = answer.head.split("x-request-id: ").nth(1).unwrap();
        told.lines().next().unwrap().to_owned()
    };
    assert_eq!(echo("abc-1_2.3").await, "abc-1_2.3");
    for odd in ["a b", "<script>", &"x".repeat(10_000)] {
        let told = echo(odd).await;
        assert!(told.len() == 16 && told.bytes().all(|b| b.is_ascii_hexdigit()), "{told}");
    }
}

#[tokio::test]
async fn the_server_is_reached_by_its_own_names_only() {
    let server = Server::start().await;
    let body = list().to_string();
    let fields = format!(
        "{TOKEN}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (line, hosts, status) in [
        ("POST /mcp HTTP/1.1", "Host: 127.0.0.1\r\n", 200),
        ("POST /mcp HTTP/1.1", "Host: LOCALHOST:8000\r\n", 200),
        ("POST /mcp HTTP/1.1", "Host: [::1]:8000\r\n", 200),
        ("POST /mcp HTTP/1.1", "Host: evil.com\r\n", 403),
        ("POST /mcp HTTP/1.1", "Host: 127.0.0.1.evil.com\r\n", 403),
        ("POST /mcp HTTP/1.1", "Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n", 400),
        ("POST /mcp HTTP/1.1", "Host: 127.0.0.1\r\nHost: evil.com\r\n", 400),
        ("POST /mcp HTTP/1.1", "Host: 127.0.0.1, evil.com\r\n", 400),
        ("POST /mcp HTTP/1.1", "", 400),
        ("POST /mcp HTTP/1.0", "Host: 127.0.0.1\r\n", 400),
        ("POST http://evil.com/mcp HTTP/1.1", "Host: 127.0.0.1\r\n", 403),
        ("POST http://127.0.0.1/mcp HTTP/1.1", "Host: 127.0.0.1\r\n", 200),
    ] {
        let answer = server.raw(format!("{line}\r\n{hosts}{fields}")).await;
        let told = answer.split(' ').nth(1).unwrap();
        assert_eq!(told, status.to_string(), "{line} {hosts:?}: {answer}");
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_http_1_0_is_told_what_to_set_and_its_probes_are_answered() {
    let server = Server::start().await;
    let body = list().to_string();
    // As nginx has it where nothing is set.
    let request = format!(
        "POST /mcp HTTP/1.0\r\nHost: 127.0.0.1:8000\r\nConnection: close\r\n{TOKEN}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = server.raw(request).await;
    let (head, told) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.split(' ').nth(1), Some("400"), "{head}");
    let told: Value = serde_json::from_str(told).unwrap();
    assert!(told["error"].as_str().unwrap().contains("proxy_http_version 1.1;"), "{told}");
    for probe in ["/healthz", "/readyz"] {
        let request =
            format!("GET {probe} HTTP/1.0\r\nHost: mcp-1:8000\r\nConnection: close\r\n\r\n");
        let answer = server.raw(request).await;
        assert_eq!(answer.split(' ').nth(1), Some("200"), "{probe}: {answer}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not_call() {
    let server = Server::start().await;
    let call = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "list_deployments", "arguments": {}}});
    for origin in [
        "https://evil.example",
        "null",
        "garbage",
        "",
        "http://localhost.evil.example:1",
        "http://localhost:",
        "http://localhost:80x",
    ] {
        let answer = server.post(&[TOKEN, &format!("Origin: {origin}")], &call).await;
        assert_eq!(answer.status, 403, "{origin:?}");
    }
    let twice = server
        .post(&[TOKEN, "Origin: http://localhost:1", "Origin: https://evil.example"], &call)
        .await;
    assert_eq!(twice.status, 403);
    assert_eq!(server.emulator.counters().totals.calls, 0);
    let own = server.post(&[TOKEN, "Origin: http://localhost:3000"], &call).await;
    assert_eq!(own.status, 200);
    assert!(own.head.contains("access-control-allow-origin: http://localhost:3000"));
    assert_eq!(server.post(&[TOKEN], &call).await.status, 200);
}

#[tokio::test]
async fn a_browser_may_ask_first_if_its_page_may_call() {
    let server = Server::start().await;
    let ask = async |origin: &str| {
        let head = format!(
            "OPTIONS /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization"
        );
        server.send(&head, "").await
    };
    let foreign = ask("https://evil.example").await;
    assert_eq!(foreign.status, 403);
    assert!(!foreign.head.contains("access-control-allow-origin"), "{}", foreign.head);
    let own = ask("http://localhost:3000").await;
    assert_eq!(own.status, 200);
    assert!(own.head.contains("access-control-allow-origin: http://localhost:3000\r\n"));
    assert!(own.head.contains("vary: origin"), "{}", own.head);
}

#[tokio::test]
async fn headers_and_message_must_agree_on_what_is_asked() {
    let server = Server::start().await;
    let modern = |version: &str| {
        let mut message = list();
        message["params"] = json!({"_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }});
        message
    };
    let check = async |headers: &str, message: &Value, code: i64| {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{TOKEN}{headers}"
        );
        let answer = server.send(&head, &message.to_string()).await;
        assert_eq!(answer.status, if code == 0 { 200 } else { 400 }, "{headers}: {}", answer.body);
        let told = answer.message();
        assert_eq!(told["error"]["code"].as_i64().unwrap_or(0), code, "{headers}: {told}");
        told
    };
    let version = "\r\nMCP-Protocol-Version: 2026-07-28";
    check(&format!("{version}\r\nMcp-Method: tools/list"), &modern("2026-07-28"), 0).await;
    check(version, &modern("2026-07-28"), -32020).await;
    check(&format!("{version}\r\nMcp-Method: tools/call"), &modern("2026-07-28"), -32020).await;
    let twice = format!("{version}\r\nMcp-Method: tools/list\r\nMcp-Method: tools/list");
    check(&twice, &modern("2026-07-28"), -32020).await;
    let long = format!("{version}\r\nMcp-Method: {}", "tools/list".repeat(500));
    let told = check(&long, &modern("2026-07-28"), -32020).await.to_string();
    assert!(told.len() < 300, "{told}");
    let versions = format!("{version}{version}\r\nMcp-Method: tools/list");
    check(&versions, &modern("2026-07-28"), -32020).await;
    let other = "\r\nMCP-Protocol-Version: 2025-11-25\r\nMcp-Method: tools/list";
    check(other, &modern("2026-07-28"), -32020).await;
    let unknown = "\r\nMCP-Protocol-Version: 2099-01-01\r\nMcp-Method: tools/list";
    let told = check(unknown, &modern("2099-01-01"), -32022).await;
    assert!(told["error"]["data"]["supported"].as_array().is_some_and(|all| !all.is_empty()));
}

#[tokio::test]
async fn only_json_as_it_is_comes_in_and_goes_out() {
    let server = Server::start().await;
    let check = async |headers: &str, status: u16| {
        let head = format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n{TOKEN}{headers}");
        let answer = server.send(&head, &list().to_string()).await;
        assert_eq!(answer.status, status, "{headers}: {}", answer.body);
    };
    let accept = "\r\nAccept: application/json, text/event-stream";
    check(&format!("{accept}\r\nContent-Type: text/plain"), 415).await;
    check(&format!("{accept}\r\nContent-Type: multipart/form-data; boundary=x"), 415).await;
    check(accept, 415).await;
    check("\r\nAccept: text/html\r\nContent-Type: application/json", 406).await;
    let json = format!("{accept}\r\nContent-Type: application/json; charset=utf-8");
    check(&format!("{json}\r\nContent-Encoding: gzip"), 415).await;
    check(&json, 200).await;
}

#[tokio::test]
async fn there_is_one_path_and_none_that_looks_like_it() {
    let server = Server::start().await;
    for path in ["/mcp/", "//mcp", "/MCP", "/mcp/../mcp", "/%6dcp", "/"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{TOKEN}");
        let answer = server.send(&head, "{}").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.head.contains("location:"));
    }
}
