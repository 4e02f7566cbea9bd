//! `serve`: answers go over HTTP, and the log has what becomes of paid calls.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStderr},
};

use super::{SIGNALS, Slow, ended, read_until, rest, signal};
use crate::over_http::{post_head, read_all};

const SERVE: &str =
    r#"unset RUNCOMFY_API_KEY; exec "$PROGRAM" serve --listen 127.0.0.1:0 --linger 0"#;

struct Serving {
    child: Child,
    address: String,
    said: BufReader<ChildStderr>,
}

impl Serving {
    async fn start(slow: &Slow, line: &str) -> Self {
        let mut child = slow.shell(line).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let line = read_until(&mut said, "http://").await;
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, address, said }
    }

    /// A submit whose answer is still to come.
    async fn submit(&self) -> TcpStream {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "submit_request", "arguments": {"deployment_id": "d"},
        }})
        .to_string();
        let head =
            format!("Authorization: Bearer CANARY-tok\r\nContent-Length: {}\r\n", call.len());
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all((post_head(&head) + &call).as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test]
async fn told_to_end_it_answers_a_submit_and_the_log_has_its_id() {
    for (name, _) in SIGNALS {
        let slow = Slow::start().await;
        let serving = Serving::start(&slow, SERVE).await;
        let mut stream = serving.submit().await;
        slow.accepted().await;
        signal(&serving.child, name).await;
        let answer = read_all(&mut stream).await;
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let said = rest(serving.said).await;
        let id = slow.id_in(&said, "submitted request").await;
        assert_eq!(answer["result"]["structuredContent"]["request_id"], id.as_str(), "{said}");
        assert_eq!(ended(serving.child).await.0.code(), Some(0), "{name}: {said}");
    }
}

#[tokio::test]
async fn an_answer_that_did_not_reach_its_caller_is_in_the_log_whatever_its_level() {
    let slow = Slow::start().await;
    let mut serving = Serving::start(&slow, &format!("{SERVE} --log warn")).await;
    let stream = serving.submit().await;
    slow.accepted().await;
    drop(stream);
    let said = read_until(&mut serving.said, "did not reach its caller").await;
    slow.id_in(&said, "request_id").await;
    signal(&serving.child, "-TERM").await;
    // Callers hang up: that is nothing which the end of the server has to do with.
    assert_eq!(ended(serving.child).await.0.code(), Some(0));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_named_and_the_status_says_so() {
    let slow = Slow::start_silent().await;
    let serving = Serving::start(&slow, &format!("{SERVE} --drain 1")).await;
    let _stream = serving.submit().await;
    slow.accepted().await;
    signal(&serving.child, "-TERM").await;
    let said = rest(serving.said).await;
    let line = said.lines().find(|line| line.contains("gave up on a call under way")).unwrap();
    assert!(line.contains("submit_request") && line.contains("deployment_id d"), "{line}");
    assert_eq!(ended(serving.child).await.0.code(), Some(74), "{said}");
}

#[tokio::test]
async fn told_twice_it_names_what_is_under_way_and_ends_at_once() {
    for (name, number) in SIGNALS {
        let slow = Slow::start_silent().await;
        let mut serving = Serving::start(&slow, SERVE).await;
        let _stream = serving.submit().await;
        slow.accepted().await;
        signal(&serving.child, "-TERM").await;
        read_until(&mut serving.said, "SIGTERM").await;
        signal(&serving.child, name).await;
        let said = rest(serving.said).await;
        assert!(said.contains("gave up on a call under way: submit_request"), "{said}");
        assert_eq!(ended(serving.child).await.0.code(), Some(128 + number), "{name}");
    }
}

#[tokio::test]
async fn a_hangup_that_was_ignored_from_the_start_does_not_end_it() {
    let slow = Slow::start_with(1).await;
    let serving = Serving::start(&slow, &format!("trap '' HUP; {SERVE}")).await;
    signal(&serving.child, "-HUP").await;
    let mut stream = serving.submit().await;
    let answer = crate::over_http::read_one(&mut stream).await;
    assert!(answer.contains("request_id"), "{answer}");
    signal(&serving.child, "-TERM").await;
    assert_eq!(ended(serving.child).await.0.code(), Some(0));
}
