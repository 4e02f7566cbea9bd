//! Tests of an emulator that is killed during a run.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use super::*;

/// The variable with the state file and the server for the process to kill. This test is both that process
/// and the one that kills it.
const STATE: &str = "STATE_OF_THE_EMULATOR_THAT_IS_KILLED";
const SERVER: &str = "SERVER_OF_THE_EMULATOR_THAT_IS_KILLED";
const THIS_TEST: &str =
    "emulator::pool::tests::killed::a_kill_loses_no_run_and_no_other_runs_twice";

#[tokio::test]
async fn a_kill_loses_no_run_and_no_other_runs_twice() {
    if let Some(state) = std::env::var_os(STATE) {
        return serve_until_killed(Path::new(&state)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let server = held("invert", "executed");
    server.add("invert");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST, "--nocapture", "--test-threads=1"])
        .env(STATE, &state)
        .env(SERVER, server.url().as_str())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test runner writes on the same line before.
    let url = lines.find_map(|line| Some(line.unwrap().split_once("at: ")?.1.to_owned()));
    let http = outgoing::direct_client(PATIENCE).unwrap();
    let caller = Caller { origin: url.unwrap().parse().unwrap(), token: "me", http };
    let running = caller.submit("invert").await;
    let waiting = caller.submit("invert").await;
    server.called("(held)", 1).await;
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());

    let emulator = emulator_on(&state, &[&server]).await;
    server.called("(connected)", 2).await;
    server.release();
    for request in [&running, &waiting] {
        let request = Asked { caller: Caller::of(&emulator), ..request.clone() };
        let result = request.succeeds().await;
        let url = result["outputs"]["3"]["images"][0]["url"].as_str().unwrap();
        let file = request.caller.call(&format!("GET {url}"), None).await;
        assert_eq!(file.bytes, Recording::load("invert").views[0].bytes);
    }
    assert_eq!(taken(&server), [running.mark, waiting.mark]);
}

async fn serve_until_killed(state: &Path) {
    let server = std::env::var(SERVER).unwrap().parse().unwrap();
    let emulator = Emulator::builder().state(state).comfyui(server).start().await.unwrap();
    writeln!(std::io::stdout(), "at: {}", emulator.url()).unwrap();
    std::future::pending().await
}
