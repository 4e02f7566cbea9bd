//! `stdio`.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{SIGNALS, SOON, Slow, Terminal, ended, read_until, rest, signal};

const STDIO: &str = r#"exec "$PROGRAM" stdio"#;

/// A submit of the newest revision, which needs no handshake before it.
fn submit() -> String {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": "d"},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }});
    format!("{call}\n")
}

/// A session in which a submit has taken effect and is not answered yet.
async fn half_way(slow: &Slow, command: &mut Command) -> (Child, ChildStdin) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(submit().as_bytes()).await.unwrap();
    slow.accepted().await;
    (child, stdin)
}

fn id(answer: &str) -> Value {
    let answer: Value = serde_json::from_str(answer.trim()).unwrap();
    answer["result"]["structuredContent"]["request_id"].clone()
}

#[tokio::test]
async fn told_to_end_it_answers_a_submit_and_the_log_has_its_id() {
    for (name, _) in SIGNALS {
        let slow = Slow::start().await;
        let (child, _stdin) = half_way(&slow, &mut slow.shell(STDIO)).await;
        signal(&child, name).await;
        let (status, stdout, said) = ended(child).await;
        assert_eq!(status.code(), Some(0), "{name}: {said}");
        assert_eq!(id(&stdout), slow.id_in(&said, "submitted request").await.as_str());
    }
}

#[tokio::test]
async fn a_submit_is_answered_long_after_the_end_of_input() {
    // For longer than the five seconds that MCP's library gives it.
    let slow = Slow::start_with(350).await;
    let (child, stdin) = half_way(&slow, &mut slow.shell(STDIO)).await;
    let closed = tokio::time::Instant::now();
    drop(stdin);
    let (status, stdout, said) = ended(child).await;
    assert!(closed.elapsed().as_secs() >= 5, "too quick to show anything");
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(id(&stdout), slow.id_in(&said, "submitted request").await.as_str());
}

#[tokio::test]
async fn a_client_that_reads_no_more_ends_it_and_the_log_has_the_id() {
    let slow = Slow::start().await;
    let (mut child, _stdin) =
        half_way(&slow, &mut slow.shell(&format!("{STDIO} --log error"))).await;
    drop(child.stdout.take());
    let (status, _, said) = ended(child).await;
    assert_eq!(status.code(), Some(74), "{said}");
    slow.id_in(&said, "request_id").await;
}

#[tokio::test]
async fn a_full_disk_ends_it_and_the_log_has_the_id() {
    let limited = format!("ulimit -f 0; {STDIO} > \"$HOME/file\"");
    for line in [&format!("{STDIO} > /dev/full"), &limited] {
        let slow = Slow::start().await;
        let (child, _stdin) = half_way(&slow, &mut slow.shell(line)).await;
        let (status, _, said) = ended(child).await;
        assert_eq!(status.code(), Some(74), "{line}: {said}");
        slow.id_in(&said, "request_id").await;
    }
}

#[tokio::test]
async fn a_terminal_that_has_hung_up_ends_it_and_the_log_has_the_id() {
    let (slow, terminal) = (Slow::start().await, Terminal::open());
    let mut command = slow.shell(STDIO);
    command.stdout(terminal.end());
    let (child, _stdin) = half_way(&slow, &mut command).await;
    drop((command, terminal));
    let (status, _, said) = ended(child).await;
    assert_eq!(status.code(), Some(74), "{said}");
    slow.id_in(&said, "request_id").await;
}

#[tokio::test]
async fn a_client_that_is_gone_with_all_its_pipes_finds_the_id_in_a_file() {
    let slow = Slow::start().await;
    let (mut child, stdin) = half_way(&slow, &mut slow.shell(STDIO)).await;
    drop((stdin, child.stdout.take(), child.stderr.take()));
    assert_eq!(ended(child).await.0.code(), Some(74));
    slow.id_in(&slow.left(), "request_id").await;
}

#[tokio::test]
async fn a_call_that_its_client_has_cancelled_is_no_fault_and_the_log_has_its_id() {
    let slow = Slow::start().await;
    let (child, mut stdin) = half_way(&slow, &mut slow.shell(&format!("{STDIO} --log warn"))).await;
    let cancelled =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    stdin.write_all(format!("{cancelled}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let (status, stdout, said) = ended(child).await;
    assert_eq!((status.code(), stdout.as_str()), (Some(0), ""), "{said}");
    slow.id_in(&said, "request_id").await;
}

#[tokio::test]
async fn told_twice_it_names_what_is_under_way_and_ends_at_once() {
    for (name, number) in SIGNALS {
        let slow = Slow::start_silent().await;
        let (mut child, _stdin) = half_way(&slow, &mut slow.shell(STDIO)).await;
        let mut said = BufReader::new(child.stderr.take().unwrap());
        signal(&child, "-HUP").await;
        read_until(&mut said, "SIGHUP").await;
        signal(&child, name).await;
        let said = rest(said).await;
        assert!(said.contains("gave up on a call under way: submit_request"), "{said}");
        assert_eq!(ended(child).await.0.code(), Some(128 + number), "{name}");
    }
}

#[tokio::test]
async fn told_twice_with_nobody_at_its_log_it_leaves_what_is_under_way_in_a_file() {
    let slow = Slow::start_silent().await;
    let (mut child, _stdin) = half_way(&slow, &mut slow.shell(STDIO)).await;
    let mut said = BufReader::new(child.stderr.take().unwrap());
    signal(&child, "-TERM").await;
    read_until(&mut said, "SIGTERM").await;
    drop(said);
    signal(&child, "-TERM").await;
    assert_eq!(ended(child).await.0.code(), Some(128 + 15));
    let left: Value = serde_json::from_str(&slow.left()).unwrap();
    assert_eq!(left[0]["tool"], "submit_request", "{left}");
    assert_eq!((&left[0]["deployment_id"], &left[0]["outcome"]), (&json!("d"), &json!("unknown")));
}

#[tokio::test]
async fn a_hangup_that_was_ignored_from_the_start_changes_nothing() {
    let slow = Slow::start().await;
    let line = format!("trap '' HUP; {STDIO}");
    let (mut child, stdin) = half_way(&slow, &mut slow.shell(&line)).await;
    signal(&child, "-HUP").await;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answer = timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
    drop(stdin);
    let (status, _, said) = ended(child).await;
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("SIGHUP"), "{said}");
    assert_eq!(id(&answer), slow.id_in(&said, "submitted request").await.as_str());
}

#[tokio::test]
async fn a_client_that_takes_no_answers_does_not_hold_up_the_end() {
    let slow = Slow::start().await;
    let mut child = slow.shell(STDIO).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let list = submit().replace("tools/call", "tools/list");
    let flood = async {
        for id in 0..100 {
            let list = list.replace("\"id\":1,", &format!("\"id\":{id},"));
            stdin.write_all(list.as_bytes()).await.unwrap();
        }
    };
    flood.await;
    // What the pipe has room for is out; the rest waits.
    let mut first = [0];
    let stdout = child.stdout.as_mut().unwrap();
    timeout(SOON, tokio::io::AsyncReadExt::read_exact(stdout, &mut first)).await.unwrap().unwrap();
    signal(&child, "-TERM").await;
    let status = timeout(SOON, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_parent_that_has_gone_ends_it_whoever_holds_the_pipe() {
    let slow = Slow::start().await;
    // The shell is the client, and this test the other child of it that holds the pipe.
    let line = "exec 3<&0; \"$PROGRAM\" stdio <&3 & wait";
    let mut command = slow.shell(line);
    let (mut child, stdin) = half_way(&slow, &mut command).await;
    let (stdout, said) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    child.kill().await.unwrap();
    // A paid call is finished first.
    let (stdout, said) = tokio::join!(rest(stdout), rest(said));
    assert_eq!(id(&stdout), slow.id_in(&said, "submitted request").await.as_str());
    assert!(said.contains("the process that started this one has gone"), "{said}");
    drop(stdin);
}

#[tokio::test]
async fn started_without_a_client_it_says_why_it_ends() {
    let slow = Slow::start().await;
    for line in
        [STDIO.to_owned(), format!("{STDIO} <&-"), r#"printf '\n \n' | "$PROGRAM""#.to_owned()]
    {
        let (status, stdout, said) = ended(slow.shell(&line).spawn().unwrap()).await;
        assert_eq!((status.code(), stdout.as_str()), (Some(0), ""), "{line}: {said}");
        assert!(
            said.contains("stdin was closed before") && said.contains("--help"),
            "{line}: {said}"
        );
    }
    // One that has been talked to says nothing of the kind.
    let line = r#"printf '{"jsonrpc":"2.0","id":1,"method":"ping"}\n' | "$PROGRAM""#;
    let (status, stdout, said) = ended(slow.shell(line).spawn().unwrap()).await;
    assert_eq!(status.code(), Some(0));
    assert!(stdout.contains("\"id\":1") && !said.contains("stdin was closed"), "{said}");
}
