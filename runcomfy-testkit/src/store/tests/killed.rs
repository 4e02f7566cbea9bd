//! A process that is killed while it writes has lost no acknowledged record.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use super::*;

/// The variable with the log for the process to kill. This test is both that process and the one that kills
/// it.
const LOG: &str = "LOG_OF_THE_PROCESS_THAT_IS_KILLED";
const THIS_TEST: &str = "store::tests::killed::nothing_acknowledged_is_lost_or_doubled_by_a_kill";

#[test]
fn nothing_acknowledged_is_lost_or_doubled_by_a_kill() {
    if let Some(path) = std::env::var_os(LOG) {
        return write_until_killed(Path::new(&path));
    }
    let (_directory, path) = place();
    let mut begun = 0;
    for round in 0..4 {
        let acknowledged = acknowledged_by_one_that_is_killed(&path, 50 + 70 * round);
        let (_store, records) = reopen(&path);
        let expected: Vec<Record> = (0..records.len() as u64).map(|n| record(1, n)).collect();
        assert_eq!(records, expected, "none is missing, doubled or out of order");
        assert!(acknowledged.iter().all(|number| (begun..expected.len() as u64).contains(number)));
        begun = expected.len() as u64;
    }
}

/// The numbers that were acknowledged, at least this many, until the process was killed.
fn acknowledged_by_one_that_is_killed(path: &Path, at_least: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST, "--nocapture", "--test-threads=1"])
        .env(LOG, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(number) = line.strip_prefix("on disk: ") else { continue };
        acknowledged.push(number.parse().unwrap());
        if acknowledged.len() == at_least {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success() && acknowledged.len() >= at_least, "{status} {acknowledged:?}");
    acknowledged
}

/// Eight tasks append numbers and print each acknowledged one.
fn write_until_killed(path: &Path) {
    let (store, records) = reopen(path);
    let next = Arc::new(std::sync::Mutex::new(records.len() as u64));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, next) = (store.clone(), next.clone());
            writers.spawn(async move {
                loop {
                    let (number, pending) = {
                        let mut next = next.lock().unwrap();
                        let number = *next;
                        *next += 1;
                        (number, store.append(record(1, number)))
                    };
                    pending.await.unwrap();
                    writeln!(io::stdout(), "on disk: {number}").unwrap();
                }
            });
        }
        writers.join_all().await
    });
}
