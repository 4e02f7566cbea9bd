//! Several servers and one Redis: a real one, which each test starts for itself.

use std::{process::Stdio, sync::Arc, time::Duration};

use runcomfy_mcp::{
    AuthMode, RunComfyMcp, Settings,
    replay::{RedisStore, ReplayStore},
};
use runcomfy_testkit::FakeRunComfy;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{fake, submit};
use crate::{
    harness::{Session, connect_server},
    needs::found,
    program::signal,
};

/// A server at a socket in a folder of its own. Nothing is written to disk.
struct Redis {
    child: Child,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Nothing where Redis is not installed: the test is skipped.
    async fn start() -> Option<Self> {
        if !found("idempotency keys that servers share in Redis", &["redis-server"]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock");
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while !lines.next_line().await.unwrap().unwrap().contains("ready to accept connections")
            {
            }
        };
        tokio::time::timeout(Duration::from_secs(10), ready).await.unwrap();
        Some(Self { child, folder })
    }

    fn url(&self) -> String {
        format!("redis+unix://{}/redis.sock", self.folder.path().display())
    }

    async fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).await.unwrap()
    }
}

/// A server of several, on the same account.
async fn server(api: &FakeRunComfy, store: impl ReplayStore + 'static) -> Session {
    let server = RunComfyMcp::new(AuthMode::One(Arc::new(api.clone())), Settings::default());
    connect_server(server.with_replay_store(Arc::new(store), &[7; 32])).await
}

#[tokio::test]
async fn what_one_server_has_done_another_answers() {
    let Some(redis) = Redis::start().await else { return };
    let api = fake().build();
    let one = server(&api, redis.store().await).await;
    let first = one.data("submit_request", submit(Some("k"), "a cat")).await;
    drop(one);
    let two = server(&api, redis.store().await).await;
    let second = two.data("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!((&second["request_id"], &second["replayed"]), (&first["request_id"], &json!(true)));
    let fault = two.fault("submit_request", submit(Some("k"), "a dog")).await;
    assert_eq!(fault["kind"], "conflict");
    assert_eq!(api.runs_started(), 1);
}

#[tokio::test]
async fn of_many_servers_at_once_one_makes_the_run() {
    let Some(redis) = Redis::start().await else { return };
    let api = fake().build();
    let mut servers = Vec::new();
    for _ in 0..8 {
        servers.push(server(&api, redis.store().await).await);
    }
    let calls = servers.iter().map(|one| one.data("submit_request", submit(Some("k"), "a cat")));
    let replies = futures_util::future::join_all(calls).await;
    assert_eq!(api.runs_started(), 1);
    assert!(replies.iter().all(|reply| reply["request_id"] == replies[0]["request_id"]));
    assert_eq!(replies.iter().filter(|reply| reply.get("replayed").is_none()).count(), 1);
}

#[tokio::test]
async fn when_redis_is_gone_a_keyed_call_is_not_sent() {
    let Some(mut redis) = Redis::start().await else { return };
    let api = fake().build();
    let session = server(&api, redis.store().await).await;
    session.data("submit_request", submit(Some("k"), "a cat")).await;
    redis.child.kill().await.unwrap();
    let fault = session.fault("submit_request", submit(Some("k"), "a cat")).await;
    assert_eq!(
        (&fault["kind"], &fault["outcome"]),
        (&json!("replay_unavailable"), &json!("not_sent"))
    );
    assert_eq!(api.runs_started(), 1);
}

#[tokio::test]
async fn a_redis_that_says_nothing_is_not_waited_for() {
    let Some(redis) = Redis::start().await else { return };
    let api = fake().build();
    let session = server(&api, redis.store().await).await;
    signal(&redis.child, "-STOP").await;
    let call = session.fault("submit_request", submit(Some("k"), "a cat"));
    let fault = tokio::time::timeout(Duration::from_secs(10), call).await.unwrap();
    assert_eq!(fault["kind"], "replay_unavailable");
    assert_eq!(api.runs_started(), 0);
}

#[tokio::test]
async fn the_shipped_program_shares_its_keys_and_wants_a_secret() {
    let Some(redis) = Redis::start().await else { return };
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-mcp"));
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--emulator",
            "--replay-store",
            &redis.url(),
        ]);
        command.env_clear().stderr(Stdio::piped()).kill_on_drop(true);
        command
    };
    let output = program().output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");

    let mut child = program().env("RUNCOMFY_MCP_REPLAY_SECRET", "s".repeat(32)).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = said.next_line().await.unwrap().unwrap();
        if let Some((_, rest)) = line.split_once("MCP at http://") {
            break rest.split('/').next().unwrap().to_owned();
        }
    };
    let call = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {
        "name": "submit_request",
        "arguments": {"deployment_id": "a1b2c3d4-0000-4000-8000-000000000001", "idempotency_key": "k"},
    }});
    let body = call.to_string();
    let head = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = crate::over_http::post_head(&head) + &body;
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let answer = crate::over_http::read_all(&mut stream).await;
    assert!(answer.contains("request_id"), "{answer}");
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
}
