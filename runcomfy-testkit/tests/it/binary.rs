//! The program as it is shipped.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use runcomfy_testkit::{Emulator, FakeRunComfy};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-emulator"));
    command.env_clear().stderr(Stdio::piped());
    command
}

#[test]
fn it_says_where_it_is_and_ends_well_when_asked_to() {
    let mut running = program().args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(running.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("http://127.0.0.1:") && said.contains("curl "), "{said}");
    let asked = Command::new("kill").arg(running.id().to_string()).status().unwrap();
    assert!(asked.success());
    assert_eq!(running.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_port_in_use_is_one_line_and_exit_code_1() {
    let emulator = Emulator::start(FakeRunComfy::default()).await.unwrap();
    let taken = emulator.url().socket_addrs(|| None).unwrap()[0].to_string();
    let ended = program().args(["--listen", &taken]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&taken), "{said}");
}
