//! `call`.

use std::process::Stdio;

use runcomfy_core::error::Operation;
use runcomfy_testkit::{Fault, FaultKind, FaultRule};
use serde_json::Value;
use tokio::io::BufReader;

use super::{SIGNALS, Slow, Terminal, died_of, ended, read_until, rest, signal};

/// `exec`, so that signals reach the program.
const SUBMIT: &str = r#"exec "$PROGRAM" call submit_request '{"deployment_id":"d"}'"#;

#[tokio::test]
async fn told_to_end_a_submit_is_finished_and_its_id_is_on_both_streams() {
    for (name, number) in SIGNALS {
        let slow = Slow::start().await;
        let child = slow.shell(SUBMIT).spawn().unwrap();
        slow.accepted().await;
        signal(&child, name).await;
        let (status, stdout, stderr) = ended(child).await;
        // A shell's loop would go on to the next paid call after a mere exit code.
        assert_eq!(died_of(status), Some(number), "{name}: {stderr}");
        let answer: Value = serde_json::from_str(&stdout).unwrap();
        let id = slow.id_in(&stderr, "request_id").await;
        assert_eq!(answer["request_id"], id.as_str(), "{name}: {stderr}");
        assert!(slow.has_left_nothing());
    }
}

#[tokio::test]
async fn told_twice_it_ends_at_once_and_says_what_is_under_way() {
    for (name, number) in SIGNALS {
        let slow = Slow::start_silent().await;
        let mut child = slow.shell(SUBMIT).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        slow.accepted().await;
        signal(&child, "-TERM").await;
        read_until(&mut said, "SIGTERM").await;
        signal(&child, name).await;
        let (status, stdout, _) = ended(child).await;
        assert_eq!((died_of(status), stdout.as_str()), (Some(number), ""));
        let said = rest(said).await;
        assert!(said.contains("submit_request") && said.contains("outcome unknown"), "{said}");
        assert!(said.contains("deployment_id d"), "{said}");
    }
}

#[tokio::test]
async fn where_the_answer_can_not_be_written_the_id_is_on_stderr_and_the_status_says_so() {
    let limited = format!("ulimit -f 0; {SUBMIT} > \"$HOME/file\"");
    for line in [&format!("{SUBMIT} > /dev/full"), &limited] {
        let slow = Slow::start_with(1).await;
        let (status, _, stderr) = ended(slow.shell(line).spawn().unwrap()).await;
        assert_eq!(status.code(), Some(74), "{line}: {stderr}");
        slow.id_in(&stderr, "request_id").await;
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_leaves_the_id_on_stderr() {
    let slow = Slow::start().await;
    let mut child = slow.shell(SUBMIT).spawn().unwrap();
    slow.accepted().await;
    drop(child.stdout.take());
    let (status, _, stderr) = ended(child).await;
    assert_eq!(status.code(), Some(74), "{stderr}");
    slow.id_in(&stderr, "request_id").await;
}

#[tokio::test]
async fn an_answer_that_is_thrown_away_leaves_the_id_on_stderr() {
    // Rust's runtime opens the null device in place of what is closed: no difference can be told.
    for line in [format!("{SUBMIT} > /dev/null"), format!("{SUBMIT} >&-")] {
        let slow = Slow::start_with(1).await;
        let (status, _, stderr) = ended(slow.shell(&line).spawn().unwrap()).await;
        assert_eq!(status.code(), Some(0), "{line}: {stderr}");
        slow.id_in(&stderr, "request_id").await;
    }
}

#[tokio::test]
async fn a_terminal_that_has_hung_up_leaves_the_answer_in_a_file() {
    let (slow, terminal) = (Slow::start().await, Terminal::open());
    let mut command = slow.shell(SUBMIT);
    command.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end());
    let child = command.spawn().unwrap();
    drop(command); // it holds an end
    slow.accepted().await;
    drop(terminal);
    signal(&child, "-HUP").await;
    let (status, ..) = ended(child).await;
    assert_eq!(died_of(status), Some(1));
    slow.id_in(&slow.left(), "request_id").await;
}

#[tokio::test]
async fn where_no_stream_takes_anything_the_answer_is_in_a_file_and_the_status_says_so() {
    for line in [
        format!("{SUBMIT} > /dev/full 2> /dev/full"),
        format!("{SUBMIT} > /dev/full 2>&-"),
        format!("{SUBMIT} --log trace > /dev/full 2> /dev/full"),
    ] {
        let slow = Slow::start_with(1).await;
        let (status, ..) = ended(slow.shell(&line).spawn().unwrap()).await;
        // A closed stderr is the null device, and takes all.
        if line.ends_with("2>&-") {
            assert_eq!(status.code(), Some(74), "{line}");
            continue;
        }
        assert_eq!(status.code(), Some(74), "{line}");
        slow.id_in(&slow.left(), "request_id").await;
    }
    let slow = Slow::start().await;
    let mut child = slow.shell(SUBMIT).spawn().unwrap();
    slow.accepted().await;
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(ended(child).await.0.code(), Some(74));
    slow.id_in(&slow.left(), "request_id").await;
}

#[tokio::test]
async fn a_hangup_that_was_ignored_from_the_start_changes_nothing() {
    let slow = Slow::start().await;
    let child = slow.shell(&format!("trap '' HUP; {SUBMIT}")).spawn().unwrap();
    slow.accepted().await;
    signal(&child, "-HUP").await;
    let (status, stdout, stderr) = ended(child).await;
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    slow.id_in(&stdout, "request_id").await;
}

#[tokio::test]
async fn told_to_end_during_a_wait_it_answers_with_the_run_as_it_is() {
    let slow = Slow::start_with(1).await;
    let line =
        r#"exec "$PROGRAM" call submit_request '{"deployment_id":"d","wait_for_completion":true}'"#;
    let mut child = slow.shell(line).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut said, "submitted request").await;
    signal(&child, "-INT").await;
    let (status, stdout, _) = ended(child).await;
    assert_eq!(died_of(status), Some(2));
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["interrupted"], true, "{answer}");
    slow.id_in(&rest(said).await, "request_id").await;
}

#[tokio::test]
async fn what_only_reads_is_broken_off() {
    let slow = Slow::start().await;
    let stall = Fault::new(FaultKind::Stall);
    slow.emulator.inject(FaultRule::new(stall).operation(Operation::ListDeployments));
    let child = slow.shell("exec \"$PROGRAM\" call list_deployments").spawn().unwrap();
    let called = async {
        while slow.emulator.counters().totals.calls == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::SOON, called).await.unwrap();
    signal(&child, "-INT").await;
    let (status, stdout, stderr) = ended(child).await;
    assert_eq!((died_of(status), stdout.as_str(), stderr.as_str()), (Some(2), "", ""));
}

#[tokio::test]
async fn a_full_disk_is_told_of_by_every_command_and_a_reader_that_has_enough_by_none() {
    let slow = Slow::start().await;
    for command in [
        "tools",
        "tools --json",
        "errors",
        "doctor",
        "--help",
        "call list_deployments",
        "call --help",
    ] {
        let line = format!("exec \"$PROGRAM\" {command}");
        let (status, _, stderr) =
            ended(slow.shell(&format!("{line} > /dev/full")).spawn().unwrap()).await;
        assert_eq!(status.code(), Some(74), "{command}: {stderr}");
        let mut child = slow.shell(&line).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (status, _, stderr) = ended(child).await;
        let expected = if command == "call list_deployments" { 74 } else { 0 };
        assert_eq!((status.code(), stderr.as_str()), (Some(expected), ""), "{command}");
    }
}
