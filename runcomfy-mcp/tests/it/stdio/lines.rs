//! Lines that are no messages, too long, too many, or come when nobody listens.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{Raw, waiting};

const SOON: Duration = Duration::from_secs(60);

/// A message that is answered at once, to see that the server goes on.
fn ping(id: u32) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "ping"}).to_string()
}

impl Raw {
    async fn bytes(&mut self, bytes: &[u8]) {
        self.child.stdin.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    /// The most memory that it has held, in MiB.
    pub(super) fn peak_mib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_so_and_the_next_is_answered() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"get_deployment","arguments":{arguments}}}}}"#
        )
    };
    let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(100_000));
    let cases: [(&[u8], i32); 13] = [
        (b"not json", -32700),
        (b"{\"jsonrpc\":\"2.0\",", -32700),
        (b"\xff\xfe", -32700),
        (b"\0\0", -32700),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\"}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"Method\":\"ping\"}", -32600),
        (b"7", -32600),
        (long.as_bytes(), -32600),
        (call(r#"{"deployment_id":"a","deployment_id":"b"}"#).leak().as_bytes(), -32600),
    ];
    for (number, (line, code)) in cases.into_iter().enumerate() {
        raw.bytes(&[line, b"\n"].concat()).await;
        let answer = timeout(SOON, raw.read()).await.unwrap();
        let line = String::from_utf8_lossy(&line[..line.len().min(80)]);
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
        assert_eq!(answer.get("id"), None, "{line}");
        raw.send(&ping(number as u32)).await;
        assert_eq!(raw.read().await["id"], number, "{line}");
    }
}

#[tokio::test]
async fn a_revision_that_there_is_not_is_not_repeated_at_length() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026".repeat(1000),
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let call =
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {"_meta": meta}});
    raw.send(&call.to_string()).await;
    let answer = raw.read().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32022)), "{answer}");
    assert!(answer.to_string().len() < 600, "{answer}");
}

#[tokio::test]
async fn a_byte_order_mark_a_carriage_return_and_empty_lines_are_no_harm() {
    let mut raw = Raw::start(&["--emulator"]).await;
    raw.bytes(format!("\n\r\n  \n\u{feff}{}\r\n", ping(5)).as_bytes()).await;
    assert_eq!(timeout(SOON, raw.read()).await.unwrap()["id"], 5);
}

#[tokio::test]
async fn a_line_over_the_limit_is_told_so_and_takes_no_room() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let part = vec![b'x'; 1 << 20];
    for _ in 0..200 {
        raw.bytes(&part).await;
    }
    raw.bytes(b"\n").await;
    let answer = timeout(SOON, raw.read()).await.unwrap();
    assert_eq!(answer["error"]["code"], -32600);
    raw.send(&ping(1)).await;
    assert_eq!(raw.read().await["id"], 1);
    let peak = raw.peak_mib();
    assert!(peak < 64 * 2 + 60, "{peak} MiB"); // a growing buffer doubles
}

#[tokio::test]
async fn a_picture_of_more_than_sixteen_mebibytes_arrives() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let deployments = raw.call("list_deployments", json!({})).await;
    let id = deployments["deployments"][0]["id"].clone();
    let picture = format!("data:image/png;base64,{}", "A".repeat(20 << 20));
    let overrides = json!({"6": {"inputs": {"text": picture}}});
    let reply =
        raw.call("submit_request", json!({"deployment_id": id, "overrides": overrides})).await;
    assert_eq!(reply["ok"], true, "{reply}");
}

#[tokio::test]
async fn a_second_request_of_the_same_id_leaves_the_first_its_answer() {
    let mut raw = waiting().await;
    raw.send(&ping(2)).await; // the wait's own
    let refused = async {
        loop {
            let message = raw.read().await;
            if message.get("error").is_some() {
                return message;
            }
        }
    };
    let refused = timeout(SOON, refused).await.unwrap();
    assert_eq!((&refused["error"]["code"], refused.get("id")), (&json!(-32600), None));
    let (_, rest, _) = raw.end().await;
    assert!(super::interrupted(&rest), "{rest:?}");
}

#[tokio::test]
async fn to_cancel_what_there_is_not_does_nothing() {
    let mut raw = Raw::start(&["--emulator"]).await;
    for id in [json!(99), json!("x"), Value::Null] {
        let told = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        raw.send(&told.to_string()).await;
    }
    raw.send(&ping(1)).await;
    assert_eq!(timeout(SOON, raw.read()).await.unwrap()["id"], 1);
}

#[tokio::test]
async fn half_a_line_at_the_end_is_nothing() {
    let mut raw = Raw::start(&["--emulator"]).await;
    raw.bytes(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}").await;
    let (code, rest, _) = timeout(SOON, raw.end()).await.unwrap();
    assert_eq!((code, rest.len()), (Some(0), 0), "{rest:?}");
}

#[tokio::test]
async fn when_nobody_reads_any_more_it_ends() {
    let Raw { mut child, lines } = Raw::start(&["--emulator"]).await;
    drop(lines);
    let stdin = child.stdin.as_mut().unwrap();
    for id in 0..50 {
        // It may have gone before the last of them.
        let _ = stdin.write_all(format!("{}\n", ping(id)).as_bytes()).await;
    }
    let status = timeout(SOON, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn ten_thousand_calls_in_a_burst_are_all_answered() {
    const CALLS: usize = 10_000;
    let mut raw = Raw::start(&["--emulator", "--log", "error"]).await;
    let mut stdin = raw.child.stdin.take().unwrap();
    let burst = tokio::spawn(async move {
        for id in 0..CALLS {
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "get_deployment", "arguments": {}}});
            stdin.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        }
        stdin
    });
    let mut answered = std::collections::BTreeSet::new();
    let all = async {
        while answered.len() < CALLS {
            answered.insert(raw.read().await["id"].as_u64());
        }
    };
    timeout(SOON, all).await.unwrap();
    // Without it the program ends, and has no memory to look at.
    let _stdin = burst.await.unwrap();
    let peak = raw.peak_mib();
    assert!(peak < 150, "{peak} MiB");
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_fill_the_memory() {
    let mut raw = Raw::start(&["--emulator"]).await;
    let mut stdin = raw.child.stdin.take().unwrap();
    let list = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list"});
    let flood = async {
        for id in 1..100_000 {
            let mut list = list.clone();
            list["id"] = id.into();
            stdin.write_all(format!("{list}\n").as_bytes()).await.unwrap();
        }
    };
    // It takes no more at some time: that is what is wanted.
    assert!(timeout(Duration::from_secs(5), flood).await.is_err());
    let peak = raw.peak_mib();
    assert!(peak < 250, "{peak} MiB");
}

/// The list of tools as it stands on the wire, without what is around it.
fn tools(line: &str) -> &str {
    let begin = line.find(r#""tools":["#).unwrap();
    &line[begin..=line.rfind(']').unwrap()]
}

#[tokio::test]
async fn the_list_of_tools_is_the_same_to_the_byte_for_every_revision_and_over_http() {
    let server = crate::over_http::Server::start().await;
    let token = ["Authorization: Bearer alice"];
    let over_http = server.post(&token, &crate::over_http::list()).await.body;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut raw = Raw::start_as(&["--emulator"], revision).await;
        raw.send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).await;
        let line = raw.lines.next_line().await.unwrap().unwrap();
        assert!(tools(&line) == tools(&over_http), "{revision}");
    }
    // The newest shakes no hands.
    let mut raw = Raw::start(&["--emulator"]).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let list =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    raw.send(&list.to_string()).await;
    let line = raw.lines.next_line().await.unwrap().unwrap();
    assert!(line.contains("cacheScope"), "not taken as of the newest revision");
    assert!(tools(&line) == tools(&over_http));
}
