//! Tests of faults on the program's command line.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

use runcomfy_testkit::{FaultKind, Scenario};

use super::written;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-emulator"));
    command.env_clear().args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

fn output(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

#[test]
fn an_unknown_scenario_is_one_line_that_lists_those_there_are() {
    let ended = output(&["--scenario", "flaky", "--scenario", "flakey"]);
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(1), 0));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("\"flakey\"") && said.contains("flaky, rate-limited"), "{said}");
}

#[test]
fn the_lists_name_everything_once() {
    let scenarios = output(&["--list-scenarios"]);
    let listed = String::from_utf8(scenarios.stdout).unwrap();
    let first = |line: &str| line.split(' ').next().unwrap().to_owned();
    let names: Vec<_> = listed.lines().map(first).collect();
    assert_eq!(names, Scenario::all().map(Scenario::name).collect::<Vec<_>>());
    let listed = String::from_utf8(output(&["--list-faults"]).stdout).unwrap();
    let named = listed.lines().filter(|line| !line.starts_with(' '));
    let names: Vec<_> = named.map(|line| line.split('(').next().unwrap()).collect();
    assert_eq!(names, FaultKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    // A listed line is valid input.
    let usual = listed.lines().find(|line| line.starts_with("trickle")).unwrap();
    assert_eq!(usual, "trickle(bytes=1,every_ms=200,of=body,effect=applied)");
}

#[test]
fn a_scenario_is_at_work_from_the_first_call_on() {
    let mut running = program(&["--scenario", "outage"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(running.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(written("GET /prod/v2/deployments", "", "").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
