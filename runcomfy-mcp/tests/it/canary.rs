//! X-1: secrets in every place where callers put them, everything logged, everything going wrong; none of
//! them comes out of the shipped binary, by whatever way.

use std::{process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use futures_util::future::join_all;
use runcomfy_core::error::Operation;
use runcomfy_testkit::{Emulator, FakeRunComfy, Fault, FaultKind, FaultRule};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
};

use crate::{
    over_http::{post_head, read_all},
    program::signal,
};

const TOKEN: &str = "rc_CANARYtoken-0123456789abcdef";
const KEY: &str = "comfyui-CANARYkey-0123456789abcdef";
const HOOK: &str = "CANARYhook-0123456789abcdef";
const DATA: &str = "Q0FOQVJZZGF0YS0wMTIzNDU2Nzg5YWJjZGVm"; // of a picture
const SECRETS: [&str; 4] = [TOKEN, KEY, HOOK, DATA];

/// Every way in which `output` shows a secret.
fn leaks(output: &str) -> Vec<String> {
    let mut leaks = Vec::new();
    for secret in SECRETS {
        let hex = |upper: bool, before: &str| {
            let digits = |b: u8| if upper { format!("{b:02X}") } else { format!("{b:02x}") };
            secret.bytes().map(|b| format!("{before}{}", digits(b))).collect::<String>()
        };
        let mut forms =
            vec![secret[..12].to_owned(), hex(false, ""), hex(true, ""), hex(true, "%")];
        // Wherever in a longer text it stands: the characters that depend on it alone.
        for before in 0..3 {
            let all = STANDARD_NO_PAD.encode([&b"   "[..before], secret.as_bytes()].concat());
            forms.push(all[4..all.len() - 4].to_owned());
        }
        // With what stands around, for whoever has to find the hole.
        leaks.extend(forms.into_iter().filter_map(|form| {
            let at = output.find(&form)?;
            let around =
                output.as_bytes().get(at.saturating_sub(150)..(at + 150).min(output.len()));
            Some(String::from_utf8_lossy(around.unwrap_or_default()).into_owned())
        }));
    }
    leaks
}

#[test]
fn a_leak_in_any_form_is_seen() {
    for shown in [
        format!("Bearer {TOKEN}"),
        format!("Bearer {}…", &TOKEN[..15]),
        STANDARD_NO_PAD.encode(format!("user:{KEY}")),
        HOOK.bytes().map(|b| format!("%{b:02X}")).collect(),
        TOKEN.bytes().map(|b| format!("{b:02x}")).collect(),
        format!("data:image/png;base64,{DATA}"),
    ] {
        assert!(!leaks(&shown).is_empty(), "{shown}");
    }
    assert_eq!(leaks("a canary, rc_0123456789"), [""; 0]);
}

/// The program, with everything logged, and all that it says.
struct Watched {
    child: Child,
    said: JoinHandle<String>,
}

fn start(arguments: &[&str], base: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"));
    command.env_clear().env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full").kill_on_drop(true);
    command.args(["--base-url", base, "--log", "trace"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !arguments.contains(&"serve") {
        command.env("RUNCOMFY_API_KEY", TOKEN);
    }
    command.spawn().unwrap()
}

/// What callers ask, right and wrong, with secrets wherever they may stand.
fn questions(id: &str) -> Vec<Value> {
    let picture = format!("data:image/png;base64,{DATA}");
    let hook = format!("https://hooks.example.com/run?sig={HOOK}");
    let submit = json!({
        "deployment_id": id,
        "overrides": {"6": {"inputs": {"text": KEY, "image": picture}}},
        "extra_data": {"api_key_comfy_org": KEY},
        "webhook_url": hook,
    });
    let with = |key: &str, value: Value| {
        let mut submit = submit.clone();
        submit[key] = value;
        submit
    };
    let run = json!({"deployment_id": id, "request_id": "r1"});
    let create = json!({"name": "n", "workflow_id": "w1", "workflow_version": "v1"});
    let mut calls = vec![
        ("list_deployments", json!({})),
        ("get_deployment", json!({"deployment_id": id, "include_payload": true})),
        ("submit_request", submit.clone()),
        ("submit_request", with("wait_for_completion", json!(true))),
        ("submit_request", with("idempotency_key", json!(HOOK))),
        ("get_request_status", run.clone()),
        ("get_request_result", run.clone()),
        ("cancel_request", run),
        ("create_deployment", create),
        ("update_deployment", json!({"deployment_id": id, "queue_size": 3})),
        (
            "call_instance_proxy",
            json!({"deployment_id": id, "instance_id": "i1", "comfy_backend_path": "api/free", "request_body": {"key": KEY}}),
        ),
    ];
    for wrong in SECRETS.map(|secret| json!(format!("{secret} "))).into_iter().chain([
        json!([TOKEN, KEY]),
        json!({KEY: HOOK}),
        json!(hook.clone() + "#x"),
        json!("http://".to_owned() + HOOK),
        json!({"6": {"inputs": picture, KEY: TOKEN}}),
    ]) {
        for key in [
            "deployment_id",
            "overrides",
            "extra_data",
            "webhook_url",
            "timeout_seconds",
            "no_such",
        ] {
            calls.push(("submit_request", with(key, wrong.clone())));
        }
        for tool in ["get_deployment", "delete_deployment", "get_request_status"] {
            calls.push((tool, json!({"deployment_id": wrong, "request_id": wrong})));
        }
        let proxy = json!({"deployment_id": id, "instance_id": wrong, "comfy_backend_path": wrong});
        calls.push(("call_instance_proxy", proxy));
        calls.push(("create_deployment", json!({"name": wrong, "hardware": wrong})));
    }
    calls.push(("delete_deployment", json!({"deployment_id": id, "confirm": true})));
    let mut messages: Vec<_> = calls
        .into_iter()
        .map(|(tool, arguments)| json!({"method": "tools/call", "params": {"name": tool, "arguments": arguments}}))
        .collect();
    // The name of a method is told, in part: nobody's secret is one.
    messages.push(json!({"method": "no/such", "params": {KEY: TOKEN}}));
    messages.push(json!({"method": "tools/call", "params": {"name": KEY, "arguments": {}}}));
    messages.push(
        json!({"method": "tools/call", "params": {"name": "list_deployments", "arguments": TOKEN}}),
    );
    for (number, message) in messages.iter_mut().enumerate() {
        message["jsonrpc"] = json!("2.0");
        message["id"] = json!(number + 1);
    }
    messages
}

async fn emulator() -> Emulator {
    let account = FakeRunComfy::builder().cold_start(Duration::ZERO).run_time(Duration::ZERO);
    Emulator::builder().account(account).start().await.unwrap()
}

/// The emulator's first deployment, which every account has.
const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

#[tokio::test]
async fn no_secret_comes_out_over_stdio() {
    let emulator = emulator().await;
    let mut child = start(&[], emulator.url().as_str());
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut stderr = child.stderr.take().unwrap();
    let said = tokio::spawn(async move {
        let mut said = String::new();
        stderr.read_to_string(&mut said).await.map(|_| said).unwrap()
    });
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": KEY, "version": TOKEN},
    }});
    let mut input =
        format!("{hello}\n{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}}\n");
    let questions = questions(DEPLOYMENT);
    for question in &questions {
        input.push_str(&format!("{question}\n"));
    }
    input.push_str(&format!("{{\"broken\":\"{TOKEN}\n[\"{KEY}\"]\n{{\"method\":\"{HOOK}\"}}\n"));
    let write = async {
        stdin.write_all(input.as_bytes()).await.unwrap();
        stdin
    };
    let read = async {
        let (mut out, mut answered) = (String::new(), 0);
        while answered <= questions.len() {
            let line = lines.next_line().await.unwrap().unwrap();
            answered += usize::from(serde_json::from_str::<Value>(&line).unwrap()["id"].is_u64());
            out.push_str(&line);
            out.push('\n');
        }
        out
    };
    let (stdin, mut out) = tokio::join!(write, read);
    drop(stdin);
    while let Some(line) = lines.next_line().await.unwrap() {
        out.push_str(&line);
    }
    assert!(child.wait().await.unwrap().success());
    let said = said.await.unwrap();
    assert!(said.lines().count() > questions.len() / 2, "{said}");
    assert_eq!(leaks(&out), [""; 0], "stdout");
    assert_eq!(leaks(&said), [""; 0], "the log");
}

impl Watched {
    /// Serves, and gives where.
    async fn serve(base: &str, figures: &str, format: &str) -> (Self, String) {
        let arguments = [
            "--log-format",
            format,
            "--webhook-host",
            "hooks.example.com",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--metrics",
            figures,
            "--linger",
            "0",
            "--calls-per-second",
            "0",
            "--paid-calls-per-second",
            "0",
            "--refusals-per-minute",
            "0",
        ];
        let mut child = start(&arguments, base);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        while !first.contains("http://") {
            assert!(stderr.read_line(&mut first).await.unwrap() > 0, "{first}");
        }
        let address = first.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        let said = tokio::spawn(async move {
            stderr.read_to_string(&mut first).await.unwrap();
            first
        });
        (Self { child, said }, address)
    }
}

/// Asks once, as the holder of a token, and gives the answer, head and body.
async fn ask(address: &str, token: &str, headers: &str, body: &str) -> String {
    let head = format!(
        "Authorization: Bearer {token}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((post_head(&head) + body).as_bytes()).await.unwrap();
    read_all(&mut stream).await
}

/// The faults that there are, but for those that take long.
fn faults() -> Vec<FaultKind> {
    let slow = [
        FaultKind::EndlessBody,
        FaultKind::GzipBomb,
        FaultKind::InformationalFlood,
        FaultKind::Stall,
        FaultKind::Trickle,
    ];
    FaultKind::ALL.iter().copied().filter(|kind| !slow.contains(kind)).collect()
}

/// A service that repeats what it was sent, where the fault has words at all.
fn repeating(kind: FaultKind, operation: Operation) -> Fault {
    let mut told = format!("bad token {TOKEN} ");
    if operation == Operation::SubmitRequest {
        told.push_str(&format!("key {KEY} sig={HOOK}"));
    }
    let fault = Fault::new(kind);
    fault.clone().with("message", told.as_str()).unwrap_or(fault)
}

#[tokio::test]
async fn no_secret_comes_out_over_http_whatever_goes_wrong() {
    let emulator = emulator().await;
    let figures = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let figures = figures.to_string();
    for format in ["text", "json"] {
        let (mut program, address) =
            Watched::serve(emulator.url().as_str(), &figures, format).await;
        let mut out = String::new();
        for question in questions(DEPLOYMENT) {
            out.push_str(&ask(&address, TOKEN, "", &question.to_string()).await);
        }
        // Headers and messages that are not right.
        let listing = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        for (token, headers, body) in [
            (TOKEN, format!("Mcp-Session-Id: {KEY}\r\n"), listing),
            (TOKEN, format!("X-Request-Id: {KEY}!\r\n"), listing),
            (TOKEN, format!("Authorization: Bearer {TOKEN}\r\n"), listing),
            (&format!("{TOKEN} {KEY}"), String::new(), listing),
            (TOKEN, format!("Origin: https://{HOOK}.example\r\n"), listing),
            (TOKEN, format!("Mcp-Session-Id: {TOKEN}\r\nLast-Event-ID: {KEY}\r\n"), listing),
            (TOKEN, String::new(), &format!("{{\"broken\":\"{KEY}")),
            (TOKEN, String::new(), &format!("[\"{KEY}\"]")),
        ] {
            out.push_str(&ask(&address, token, &headers, body).await);
        }
        // Whatever the service does: a token of its own for each, as a refused one is not asked for again.
        let faults = faults();
        assert!(faults.len() > 25);
        let mut calls = Vec::new();
        for (number, kind) in faults.iter().enumerate() {
            let token = format!("{TOKEN}-{number}");
            for operation in [
                Operation::ListDeployments,
                Operation::SubmitRequest,
                Operation::UpdateDeployment,
                Operation::GetRequestStatus,
            ] {
                let fault = repeating(*kind, operation);
                let rule = FaultRule::new(fault).operation(operation).token(&token);
                emulator.inject(rule.times(1));
            }
            let questions = questions(DEPLOYMENT);
            let address = &address;
            calls.push(async move {
                let mut out = String::new();
                for place in [0, 2, 5, 9] {
                    out.push_str(&ask(address, &token, "", &questions[place].to_string()).await);
                }
                out
            });
        }
        out.extend(join_all(calls).await);
        emulator.clear_faults();
        let mut page = TcpStream::connect(&figures).await.unwrap();
        let get = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        page.write_all(get.as_bytes()).await.unwrap();
        let page = read_all(&mut page).await;
        assert!(page.contains("runcomfy_mcp_calls_total"), "{page}");
        signal(&program.child, "-TERM").await;
        assert!(program.child.wait().await.unwrap().success());
        let said = program.said.await.unwrap();
        assert!(said.contains("submit_request") && said.lines().count() > 100, "{said}");
        assert_eq!(leaks(&out), [""; 0], "answers");
        assert_eq!(leaks(&page), [""; 0], "figures");
        assert_eq!(leaks(&said), [""; 0], "the log, {format}");
    }
}
