//! Tests of the state file with the program.

use std::{collections::HashSet, path::Path, time::Duration};

use runcomfy_testkit::Emulator;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::Url;

use crate::{
    http::{Reply, raw_at},
    program::Running,
};

const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

fn start(file: &Path, more: &[&str]) -> Running {
    let mut arguments = vec!["--state", file.to_str().unwrap()];
    arguments.extend(more);
    Running::start(&arguments)
}

async fn call(origin: &Url, token: &str, what: &str, body: &str) -> std::io::Result<Reply> {
    raw_at(origin, Some(&format!("Bearer {token}")), what, body).await
}

async fn submit(origin: &Url, token: &str, body: &Value) -> std::io::Result<String> {
    let path = format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference");
    let reply = call(origin, token, &path, &body.to_string()).await?;
    assert_eq!(reply.status, 200, "{}", reply.text());
    Ok(reply.json()["request_id"].as_str().unwrap().to_owned())
}

async fn ask(origin: &Url, token: &str, request: &str, action: &str) -> Value {
    let verb = if action == "cancel" { "POST" } else { "GET" };
    let path = format!("{verb} /prod/v1/deployments/{DEPLOYMENT}/requests/{request}/{action}");
    call(origin, token, &path, "").await.unwrap().json()
}

/// Polls until the request is over.
async fn finished(origin: &Url, token: &str, request: &str) -> Value {
    let over = async {
        loop {
            let status = ask(origin, token, request, "status").await;
            match status["status"].as_str() {
                Some("in_queue" | "in_progress") => tokio::task::yield_now().await,
                _ => return status,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), over).await.unwrap()
}

async fn balance(origin: &Url, token: &str) -> i64 {
    let reply = call(origin, token, "GET /prod/v2/balance", "").await.unwrap();
    reply.json()["balance_microdollars"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_it_loses_no_accepted_request_and_runs_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let times = ["--cold-start", "0.1", "--run-time", "0.05"];
    let running = start(&file, &times);

    // Submits from several accounts concurrently until it is killed.
    const ACCOUNTS: usize = 4;
    const BEFORE_IT_IS_KILLED: usize = 60;
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let mut submitting = JoinSet::new();
    for account in 0..ACCOUNTS {
        let (origin, told) = (running.url.clone(), told.clone());
        submitting.spawn(async move {
            let (token, mut sent) = (format!("account-{account}"), 0_u64);
            loop {
                sent += 1;
                let body = json!({"overrides": {"3": {"inputs": {"seed": sent}}}});
                match submit(&origin, &token, &body).await {
                    Ok(request) => told.send((account, request)).unwrap(),
                    Err(_) => return (account, sent),
                }
            }
        });
    }
    drop(told);
    let mut accepted: Vec<HashSet<String>> = vec![HashSet::new(); ACCOUNTS];
    let mut count = 0;
    let mut running = Some(running);
    while let Some((account, request)) = heard.recv().await {
        assert!(accepted[account].insert(request), "an id was given twice");
        count += 1;
        if count == BEFORE_IT_IS_KILLED {
            running.take().unwrap().kill();
        }
    }
    let sent = submitting.join_all().await;

    let running = start(&file, &times);
    for (account, sent) in sent {
        let token = format!("account-{account}");
        for request in &accepted[account] {
            let status = finished(&running.url, &token, request).await;
            assert_eq!(status["status"], "completed", "{request}: {status}");
        }
        // The accepted ones, and at most the one whose response was lost in the kill.
        let seen = runs_started(&running.url, &token).await;
        let accepted = accepted[account].len() as u64;
        assert!(seen == accepted || (seen == accepted + 1 && sent == seen), "{seen} of {accepted}");
        let new = submit(&running.url, &token, &json!({})).await.unwrap();
        assert!(finished(&running.url, &token, &new).await["status"] == "completed");
    }
}

/// How many runs the account has started in total.
async fn runs_started(origin: &Url, token: &str) -> u64 {
    let reply = call(origin, token, "GET /_emulator/account", "").await.unwrap();
    reply.json()["runs_started"].as_u64().unwrap()
}

#[tokio::test]
async fn what_was_made_changed_and_cancelled_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let running =
        start(&file, &["--cold-start", "0", "--run-time", "0", "--price", "AMPERE_48=3600"]);
    let origin = &running.url;
    let barn = json!({"overrides": {"6": {"inputs": {"text": "a red barn"}}}});
    let done = submit(origin, "me", &barn).await.unwrap();
    let result = ask(origin, "me", &done, "result").await;
    let create = json!({
        "name": "mine", "workflow_id": "5eed0000-0000-4000-8000-000000000006",
        "workflow_version": "v1", "hardware": ["TURING_16"], "min_instances": 0,
        "max_instances": 1, "queue_size": 1, "keep_warm_duration_in_seconds": 0,
    });
    let made = call(origin, "me", "POST /prod/v2/deployments", &create.to_string()).await.unwrap();
    let made = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/prod/v2/deployments/{made}");
    let update = json!({"name": "renamed", "is_enabled": false}).to_string();
    call(origin, "me", &format!("PATCH {path}"), &update).await.unwrap();
    let gone = "/prod/v2/deployments/a1b2c3d4-0000-4000-8000-000000000002";
    call(origin, "me", &format!("DELETE {gone}"), "").await.unwrap();
    let left = balance(origin, "me").await;
    assert!(left < 100_000_000, "the instance costs a dollar a second");
    running.kill();

    let running = start(&file, &["--cold-start", "3600"]);
    let origin = &running.url;
    assert!(balance(origin, "me").await <= left, "what was spent stays spent");
    assert_eq!(balance(origin, "somebody else").await, 100_000_000);
    let again = ask(origin, "me", &done, "result").await;
    for what in ["status", "created_at", "finished_at", "instance_id"] {
        assert_eq!(again[what], result[what], "{what}");
    }
    // Only the port differs.
    let picture = |result: &Value, origin: &Url| {
        let url = result["outputs"]["9"]["images"][0]["url"].as_str().unwrap().to_owned();
        url.strip_prefix(origin.as_str()).unwrap().to_owned()
    };
    let picture = picture(&again, origin);
    let reply = call(origin, "me", &format!("GET /{picture}"), "").await.unwrap();
    assert_eq!(reply.status, 200);
    let there = call(origin, "me", &format!("GET {path}"), "").await.unwrap().json();
    assert_eq!((&there["name"], &there["is_enabled"]), (&json!("renamed"), &json!(false)));
    assert_eq!(call(origin, "me", &format!("GET {gone}"), "").await.unwrap().status, 404);
    // Its cancellation takes effect when another emulator runs.
    let cancelled = submit(origin, "me", &json!({})).await.unwrap();
    assert_eq!(ask(origin, "me", &cancelled, "cancel").await["outcome"], "cancelled");
    running.kill();
    let running = start(&file, &[]);
    assert_eq!(finished(&running.url, "me", &cancelled).await["status"], "cancelled");
}

#[tokio::test]
async fn a_second_emulator_on_the_same_file_says_that_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let running = start(&file, &[]);
    let ended = crate::program::refused(&["--state", file.to_str().unwrap()]);
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains("in use"), "{said}");
    drop(running);
}

#[tokio::test]
async fn the_only_account_is_there_again_whatever_its_number() {
    for seed in ["0", "1", "18446744073709551615"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let arguments = ["--seed", seed, "--cold-start", "0", "--run-time", "0"];
        let running = start(&file, &arguments);
        let request = submit(&running.url, "me", &json!({})).await.unwrap();
        running.kill();
        let running = start(&file, &arguments);
        assert_eq!(ask(&running.url, "you", &request, "status").await["status"], "completed");
        running.kill();
        start(&file, &arguments);
    }
}

#[tokio::test]
async fn a_dropped_emulator_sends_no_webhooks_and_releases_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state");
    let emulator = Emulator::builder().state(&file).start().await.unwrap();
    let path =
        format!("POST /prod/v1/deployments/{DEPLOYMENT}/inference?webhook=http://127.0.0.1:9/");
    assert_eq!(call(emulator.url(), "me", &path, "{}").await.unwrap().status, 200);
    drop(emulator);
    let free = async {
        while Emulator::builder().state(&file).start().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn what_comfyui_made_is_kept_as_private_as_the_state() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let comfyui = ["--comfyui", "http://127.0.0.1:9"];
    drop(start(&folder.path().join("state"), &comfyui));
    for name in ["state", "state.outputs"] {
        let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }

    // A missing folder may be a mistake, so none is created.
    let missing = folder.path().join("missing/state");
    let ended =
        crate::program::refused(&["--state", missing.to_str().unwrap(), comfyui[0], comfyui[1]]);
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success() && said.lines().count() == 1, "{said}");
    assert!(!folder.path().join("missing").exists());
}
