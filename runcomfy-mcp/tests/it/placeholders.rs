//! A text that stands where a token should is told as such before any call, by every way, and nobody is
//! advised to make a new token, which would revoke the one in use.

use std::process::{Output, Stdio};

use rmcp::{ServiceExt as _, model::CallToolRequestParams};
use runcomfy_core::HttpApi;
use runcomfy_testkit::Emulator;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::over_http::{Server, list, settings};

const PLACEHOLDERS: [&str; 8] = [
    "${RUNCOMFY_API_KEY}",
    "${input:runcomfy}",
    "$RUNCOMFY_API_KEY",
    "%RUNCOMFY_API_KEY%",
    "<token>",
    "<your token>",
    "YOUR_API_KEY",
    "\"${RUNCOMFY_API_KEY}\"",
];

/// An address for documentation: whoever connects there fails otherwise, and late.
const ELSEWHERE: [&str; 2] = ["--base-url", "https://192.0.2.1"];

fn program(arguments: &[&str], token: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"));
    command.args(arguments).args(ELSEWHERE).env_clear().env("RUNCOMFY_API_KEY", token);
    command.kill_on_drop(true);
    command
}

async fn run(arguments: &[&str], token: &str) -> Output {
    program(arguments, token).output().await.unwrap()
}

#[track_caller]
fn check(told: &Value) {
    assert_eq!(
        (&told["kind"], &told["outcome"], &told["retryable"]),
        (&json!("unauthenticated"), &json!("not_sent"), &json!(false)),
        "{told}"
    );
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("placeholder") && message.contains("RUNCOMFY_API_KEY"), "{message}");
    assert!(no_advice_to_make_one(told["hint"].as_str().unwrap()), "{told}");
}

fn no_advice_to_make_one(text: &str) -> bool {
    let text = text.to_lowercase();
    !text.contains("make a new") && !text.contains("make one") && !text.contains("web app")
}

#[tokio::test]
async fn a_call_from_the_shell_with_a_placeholder_is_not_sent() {
    for token in PLACEHOLDERS {
        let output = run(&["call", "list_deployments"], token).await;
        assert_eq!(output.status.code(), Some(77), "{output:?}");
        check(&serde_json::from_slice(&output.stdout).unwrap());
    }
}

#[tokio::test]
async fn the_doctor_names_a_placeholder_and_where_it_stands() {
    for token in PLACEHOLDERS {
        let output = run(&["doctor"], token).await;
        assert_eq!(output.status.code(), Some(77), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("placeholder") && said.contains("RUNCOMFY_API_KEY"), "{said}");
        assert!(no_advice_to_make_one(&said), "{said}");
    }
}

#[tokio::test]
async fn over_stdio_tools_are_listed_and_each_call_names_the_placeholder() {
    let mut command = program(&[], PLACEHOLDERS[0]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let pipes = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
    let client = ().serve(pipes).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), 10);
    for _ in 0..2 {
        let call = CallToolRequestParams::new("list_deployments");
        let told = client.call_tool(call).await.unwrap();
        check(&told.structured_content.unwrap());
    }
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_single_users_server_does_not_start_with_a_placeholder() {
    let output = run(&["serve", "--single-user", "--listen", "127.0.0.1:0"], "<token>").await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("placeholder") && said.contains("RUNCOMFY_API_KEY"), "{said}");
}

#[tokio::test]
async fn an_emulator_takes_any_text_as_a_token() {
    let emulator = Emulator::builder().start().await.unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"))
        .args(["call", "list_deployments", "--base-url", emulator.url().as_str()])
        .env_clear()
        .env("RUNCOMFY_API_KEY", "YOUR_API_KEY")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let server = Server::start().await;
    let told = server.call("${RUNCOMFY_API_KEY}", "list_deployments", json!({})).await;
    assert_eq!(told["ok"], true, "{told}");
}

#[tokio::test]
async fn over_http_a_placeholder_is_turned_away_as_no_token_is() {
    let emulator = Emulator::builder().start().await.unwrap();
    let api = HttpApi::builder().base_url("https://api.invalid").system_proxy(false);
    let server = Server::serve(emulator, api, settings()).await;
    for (number, token) in PLACEHOLDERS.iter().cycle().take(12).enumerate() {
        let answer = server.post(&[&format!("Authorization: Bearer {token}")], &list()).await;
        if number < 10 {
            assert_eq!(answer.status, 401, "{token}: {}", answer.body);
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(answer.body.contains("placeholder"), "{}", answer.body);
            assert!(no_advice_to_make_one(&answer.body), "{}", answer.body);
        } else {
            // As it is with tokens that are missing.
            assert_eq!(answer.status, 429, "{}", answer.body);
        }
    }
}
