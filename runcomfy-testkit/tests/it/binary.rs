//! Tests of the program's startup errors and of its end.

use std::fs;

use runcomfy_testkit::{Emulator, FakeRunComfy};

use crate::program::{Running, program, refused};

/// Checks for a failure with one line that contains these words.
#[track_caller]
fn one_line(ended: &std::process::Output, words: &[&str]) {
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

#[cfg(unix)]
#[test]
fn it_says_where_it_is_and_ends_well_when_asked_to() {
    let running = Running::start(&[]);
    assert!(running.said.contains("curl "), "{}", running.said);
    assert_eq!(running.stop(), Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_one_line_that_names_it() {
    let emulator = Emulator::start(FakeRunComfy::default()).await.unwrap();
    let taken = emulator.url().socket_addrs(|| None).unwrap()[0].to_string();
    one_line(&program().args(["--listen", &taken]).output().unwrap(), &[&taken]);
}

#[test]
fn a_folder_with_a_workflow_in_the_editors_format_is_one_line_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ui.json"), r#"{"nodes":[],"links":[],"version":0.4}"#).unwrap();
    let ended = refused(&["--deployments", folder.path().to_str().unwrap()]);
    one_line(&ended, &["ui.json", "Export (API)"]);
}

#[test]
fn a_folder_that_is_not_there_is_one_line_that_names_it() {
    one_line(&refused(&["--deployments", "/nowhere/at/all"]), &["/nowhere/at/all"]);
}

#[test]
fn a_state_that_can_not_be_read_is_one_line_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "somebody's notes").unwrap();
    one_line(&refused(&["--state", file.to_str().unwrap()]), &["notes.txt"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's notes");
}
