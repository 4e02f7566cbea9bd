//! The shipped binary over stdio: is it wired up?

mod lines;
mod signals;

use std::process::Stdio;

use rmcp::{ServiceExt, model::CallToolRequestParams};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

/// The binary with nothing from this machine's environment.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"));
    command.args(arguments).env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Longer than any answer takes that comes.
const SOON: std::time::Duration = std::time::Duration::from_secs(60);

/// A session with the binary by hand, line by line.
pub(crate) struct Raw {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Raw {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_as(arguments, "2025-06-18").await
    }

    /// Before any handshake.
    pub(crate) async fn open(arguments: &[&str]) -> Self {
        Self::of(program(arguments).spawn().unwrap())
    }

    /// A session with this process.
    pub(crate) fn of(mut child: Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The same as a client of this revision.
    async fn start_as(arguments: &[&str], revision: &str) -> Self {
        let mut raw = Self::open(arguments).await;
        raw.hello(revision).await;
        raw
    }

    async fn hello(&mut self, revision: &str) {
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        }});
        self.send(&hello.to_string()).await;
        let hello = self.read().await;
        assert_eq!(hello["result"]["serverInfo"]["name"], "runcomfy-mcp");
        assert_eq!(hello["result"]["protocolVersion"], revision);
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }

    pub(crate) async fn send(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    pub(crate) async fn read(&mut self) -> Value {
        let line = tokio::time::timeout(SOON, self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
    }

    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        self.send(&call.to_string()).await;
        self.read().await["result"]["structuredContent"].clone()
    }

    /// Closes the pipe; gives the exit code and what else came on stdout and stderr.
    pub(crate) async fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        (self.child.wait().await.unwrap().code(), rest, said)
    }
}

#[tokio::test]
async fn a_client_of_the_binary_lists_and_calls_tools_and_closing_the_pipe_ends_it() {
    let mut child = program(&["--emulator"]).spawn().unwrap();
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = ().serve(pipes).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), 10);
    let listed = client.call_tool(CallToolRequestParams::new("list_deployments")).await.unwrap();
    let names: Vec<_> = listed.structured_content.unwrap()["deployments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|deployment| deployment["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"text-to-image".to_owned()), "{names:?}");
    client.cancel().await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn without_a_key_the_server_starts_and_a_call_says_how_to_set_one() {
    let mut raw = Raw::start(&[]).await;
    let data = raw.call("list_deployments", json!({})).await;
    assert_eq!((&data["kind"], &data["outcome"]), (&json!("unauthenticated"), &json!("not_sent")));
    let hint = data["hint"].as_str().unwrap();
    assert!(hint.contains("RUNCOMFY_API_KEY") && hint.contains("--emulator"), "{hint}");
    assert_eq!(raw.end().await.0, Some(0));
}

#[tokio::test]
async fn nothing_but_protocol_reaches_stdout_even_when_everything_is_logged() {
    let mut raw = Raw::start(&["--emulator", "--log", "trace"]).await;
    for line in ["not json", "[1,2]", "{\"jsonrpc\":\"2.0\"}", ""] {
        raw.send(line).await;
    }
    raw.send(r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#).await;
    loop {
        let message = raw.read().await;
        assert_eq!(message["jsonrpc"], "2.0");
        if message["id"] == 7 {
            assert_eq!(message["result"]["tools"].as_array().unwrap().len(), 10);
            break;
        }
    }
    let (code, rest, said) = raw.end().await;
    assert_eq!(code, Some(0));
    assert!(rest.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{rest:?}");
    assert!(!said.is_empty());
}

#[tokio::test]
async fn a_secret_in_the_arguments_is_in_no_log_line() {
    let mut raw = Raw::start(&["--emulator", "--log", "trace"]).await;
    let deployments = raw.call("list_deployments", json!({})).await;
    let id = deployments["deployments"][0]["id"].clone();
    let arguments = json!({"deployment_id": id, "extra_data": {"api_key_comfy_org": "comfyui-CANARY"}, "webhook_url": "https://example.com/?sig=CANARY"});
    let submitted = raw.call("submit_request", arguments).await;
    assert_eq!(submitted["ok"], true, "{submitted}");
    let (_, _, said) = raw.end().await;
    assert!(said.contains("submit_request") && !said.contains("CANARY"), "{said}");
}

#[tokio::test]
async fn calls_that_are_piped_in_are_answered_before_the_end() {
    let mut raw = Raw::start(&["--emulator"]).await;
    raw.send(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_deployments","arguments":{}}}"#).await;
    let (code, rest, _) = raw.end().await;
    assert_eq!(code, Some(0));
    assert!(rest.iter().any(|line| line.contains("text-to-image")), "{rest:?}");
}

/// Submits a run and waits for it; gives the session once the wait is under way.
async fn waiting() -> Raw {
    let mut raw = Raw::start(&["--emulator"]).await;
    let deployments = raw.call("list_deployments", json!({})).await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": deployments["deployments"][0]["id"], "wait_for_completion": true},
        "_meta": {"progressToken": "p"},
    }});
    raw.send(&call.to_string()).await;
    // Submitting, submitted, and what the first look saw.
    while raw.read().await["params"]["progress"] != 2.0 {}
    raw
}

/// The answer to the wait among what came last.
fn interrupted(lines: &[String]) -> bool {
    let answers = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    answers.filter(|answer| answer["id"] == 2).any(|answer| {
        let data = &answer["result"]["structuredContent"];
        data["interrupted"] == true && data["request_id"].is_string()
    })
}

#[tokio::test]
async fn a_client_that_closes_the_pipe_during_a_wait_can_still_read_the_id() {
    let waiting = waiting().await;
    let closed = tokio::time::Instant::now();
    let (code, rest, _) = waiting.end().await;
    assert_eq!(code, Some(0));
    assert!(interrupted(&rest), "{rest:?}");
    // The run alone would take another six.
    assert!(closed.elapsed() < std::time::Duration::from_secs(4), "the wait held the process");
}

#[cfg(unix)]
#[tokio::test]
async fn a_request_to_end_during_a_wait_is_answered_with_the_id() {
    let mut raw = waiting().await;
    crate::program::signal(&raw.child, "-TERM").await;
    let mut rest = Vec::new();
    while let Some(line) = raw.lines.next_line().await.unwrap() {
        rest.push(line);
    }
    assert!(interrupted(&rest), "{rest:?}");
    assert_eq!(raw.child.wait().await.unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_request_to_end_ends_it_cleanly() {
    let mut raw = Raw::start(&["--emulator"]).await;
    crate::program::signal(&raw.child, "-TERM").await;
    assert_eq!(raw.lines.next_line().await.unwrap(), None);
    assert_eq!(raw.child.wait().await.unwrap().code(), Some(0));
}
