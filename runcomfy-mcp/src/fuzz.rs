//! What must hold for any bytes at all, as [`runcomfy_core::internals::fuzz`] has it, and the list of all targets. Time
//! stands still but for those who wait, so that nothing takes long and nothing is left to chance.

mod store;
mod texts_of_others;

use std::{sync::Arc, time::Duration};

use rmcp::model::JsonObject;
use runcomfy_core::internals::fuzz::{
    MAX_ERROR_BYTES, assert_brief, repeated_token, retry_after_header, safe_id_and_path,
    upstream_reply,
};
use runcomfy_testkit::FakeRunComfy;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Settings,
    pipeline::{auth::AuthMode, progress::Progress},
    result::{Format, ToolError},
    server::RunComfyMcp,
    tools::TOOLS,
    transport::{http::fuzz as http, stdio},
};

/// As over any transport that puts in what is left out.
const FORMAT: Format =
    Format { limit: 10 * 1024, links: true, puts_in: true, whole_workflows: true };

/// One thing that is said of any bytes: returns, or panics.
pub type Target = fn(&[u8]);

/// Those there are, by name. Samples to begin with lie in `fuzz/seeds` under the same names.
pub const TARGETS: [(&str, Target); 10] = [
    ("http_request", http_request),
    ("idempotency_store", store::sequence),
    ("jsonrpc_line", jsonrpc_line),
    ("redact", redact),
    ("retry_after", retry_after_header),
    ("safe_id_and_path", safe_id_and_path),
    ("sanitize_text", texts_of_others::clean),
    ("tool_args", tool_args),
    ("upstream_reply", reply),
    ("webhook_url", texts_of_others::webhook),
];

/// Runs the target with this name.
///
/// # Panics
/// Where what it says of any bytes is not true of these, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = target else { panic!("no target {name}") };
    target(bytes);
}

/// Longer than any wait may take.
const STUCK: Duration = Duration::from_secs(24 * 60 * 60);

/// A server on RunComfy in memory, with one deployment that answers soon.
fn server() -> RunComfyMcp {
    let fake = FakeRunComfy::builder().empty().deployment("d1").cold_start(Duration::ZERO);
    let fake = fake.run_time(Duration::from_secs(3)).build();
    RunComfyMcp::new(AuthMode::One(Arc::new(fake)), Settings::default())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    };
    let done = runtime.block_on(async { tokio::time::timeout(STUCK, work).await });
    done.unwrap_or_else(|_| panic!("no end in {STUCK:?}"))
}

/// Every text in a value: what came in escaped may go out as it is.
fn texts(value: &Value, into: &mut Vec<u8>) {
    let add = |text: &str, into: &mut Vec<u8>| {
        into.extend_from_slice(text.as_bytes());
        into.push(0xff); // in no text
    };
    match value {
        Value::String(text) => add(text, into),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            add(key, into);
            texts(value, into);
        }),
        _ => {}
    }
}

/// What came, and what it says once it is read.
fn heard(input: &[u8]) -> Vec<u8> {
    let mut all = input.to_vec();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = serde_json::from_slice(line) {
            all.push(0xff);
            texts(&value, &mut all);
        }
    }
    all
}

/// A letter that says which tool, and its arguments.
fn tool_args(bytes: &[u8]) {
    let Some((letter, json)) = bytes.split_first() else { return };
    let Ok(arguments) = serde_json::from_slice::<JsonObject>(json) else { return };
    let entry = &TOOLS[usize::from(letter.wrapping_sub(b'a')) % TOOLS.len()];
    let outcome =
        block_on(async { server().call_direct(entry, arguments, Progress::Silent).await });
    if let Err(fault) = outcome {
        assert_ne!(fault.kind(), "internal", "{}: {fault:?}", entry.name());
        refusal(fault, &heard(json));
    }
}

/// What a model reads of an error is short, and little of it is the caller's.
fn refusal(fault: ToolError, heard: &[u8]) {
    let shown = serde_json::to_value(fault.render(FORMAT).result);
    let Ok(shown) = shown else { panic!("not to be written as JSON") };
    tool_error(&shown, heard);
}

/// The same of a result as it is sent. The ids that the call was about are in the data beside the text.
fn tool_error(result: &Value, heard: &[u8]) {
    let text = |pointer: &str| result.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let sentence = text("/content/0/text");
    assert!(!sentence.is_empty() && !text("/structuredContent/kind").is_empty(), "{result}");
    assert_brief(sentence, heard);
    let all = result.to_string();
    assert!(all.len() <= 16 * 1024, "{} bytes of error", all.len());
}

/// An error in JSON-RPC's own form.
fn rpc_error(error: &Value, heard: &[u8]) {
    let mut said = Vec::new();
    texts(error, &mut said);
    said.split(|byte| *byte == 0xff)
        .for_each(|text| assert_brief(&String::from_utf8_lossy(text), heard));
    assert!(said.len() <= MAX_ERROR_BYTES, "{error}");
}

/// Lines to a server that has been greeted: each answer is one message, and the next question is answered.
fn jsonrpc_line(bytes: &[u8]) {
    const GREETING: &str = concat!(
        r#"{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-06-18","#,
        r#""capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        "\n",
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "\n",
    );
    const LAST: &str = "\n{\"jsonrpc\":\"2.0\",\"id\":\"the last one\",\"method\":\"ping\"}\n";
    let said = block_on(async {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(far);
        let (read, mut write) = tokio::io::split(near);
        let all = [GREETING.as_bytes(), bytes, LAST.as_bytes()].concat();
        let answered = CancellationToken::new();
        let ask = async {
            drop(write.write_all(&all).await);
            answered.cancelled().await;
            // Now waits are cut short, and what is still to be said is said.
            drop(write.shutdown().await);
        };
        let listen = async {
            let (mut lines, mut said) = (BufReader::new(read).lines(), Vec::new());
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(message) = serde_json::from_str::<Value>(&line) else {
                    panic!("not JSON: {line}");
                };
                if message["id"] == "the last one" {
                    answered.cancel();
                }
                said.push(message);
            }
            // A server that hangs up before would leave `ask` without an end.
            assert!(answered.is_cancelled(), "the server hung up");
            said
        };
        let served = stdio::serve_pipes(
            server(),
            Box::new(input),
            Box::new(output),
            [CancellationToken::new(), CancellationToken::new()],
        );
        let (served, (), said) = tokio::join!(served, ask, listen);
        assert!(served.is_ok(), "{served:?}");
        said
    });
    let heard = heard(bytes);
    for message in said {
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        assert_ne!(message["error"]["code"], -32603, "{message}");
        if let Some(error) = message.get("error") {
            rpc_error(error, &heard);
        }
        if message["result"]["isError"] == true {
            assert_ne!(message["result"]["structuredContent"]["kind"], "internal", "{message}");
            tool_error(&message["result"], &heard);
        }
    }
}

/// A connection's bytes, first to last: what goes back is HTTP, and a refusal is short.
fn http_request(bytes: &[u8]) {
    let said = block_on(http::converse(server(), bytes));
    if said.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&said);
    assert!(text.starts_with("HTTP/1."), "{text:.80}");
    let Some((head, rest)) = text.split_once("\r\n\r\n") else { panic!("no head: {text:.80}") };
    let status: Option<u16> = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status.filter(|status| (100..600).contains(status)) else {
        panic!("no status: {head}")
    };
    assert_ne!(status, 500, "{text}");
    assert_brief(head, bytes);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().parse::<usize>().ok()?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let body = rest.get(..length.unwrap_or(rest.len())).unwrap_or(rest);
    match serde_json::from_str::<Value>(body) {
        // A question's own id is part of its answer.
        Ok(message) if message.get("error").is_some() => {
            rpc_error(&message["error"], &heard(bytes))
        }
        _ if status >= 400 => assert_brief(body, bytes),
        _ => {}
    }
}

/// What RunComfy answers, and what a model is told where that is an error.
fn reply(bytes: &[u8]) {
    let Some(error) = upstream_reply(bytes) else { return };
    // RunComfy's own words may be repeated: they are not the caller's.
    refusal(error.into(), &[]);
}

/// What a service answers that repeats the caller's token, and what is told of that: not the token.
fn redact(bytes: &[u8]) {
    let Some((error, telling)) = repeated_token(bytes) else { return };
    let fault = ToolError::from(error);
    let own = format!("{fault:?}");
    let all = format!("{own} {:?}", serde_json::to_string(&fault.render(FORMAT).result));
    assert!(!all.contains(telling), "repeats the token: {all}");
}
