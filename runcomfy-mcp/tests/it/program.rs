//! The shipped binary.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
};

/// Sends a signal by its name, as in `-TERM`. The shell does it: not every machine has a program `kill`.
pub(crate) async fn signal(child: &Child, name: &str) {
    let line = format!("kill {name} {}", child.id().unwrap());
    assert!(Command::new("sh").args(["-c", &line]).status().await.unwrap().success());
}

/// The shipped binary serving over HTTP, on an emulator of its own.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) said: BufReader<ChildStderr>,
}

impl Program {
    /// Starts it by a line of shell, which may set limits and redirect.
    pub(crate) async fn start(shell: &str) -> Self {
        let binary = env!("CARGO_BIN_EXE_runcomfy-mcp");
        let mut command = Command::new("sh");
        command.env_clear().env("PROGRAM", binary).kill_on_drop(true);
        command
            .args(["-c", shell])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert!(said.read_line(&mut line).await.unwrap() > 0, "it ended early");
        }
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { child, address, said }
    }

    pub(crate) async fn open(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    pub(crate) async fn signal(&self, name: &str) {
        signal(&self.child, name).await;
    }

    /// Ends it and gives all that it has said since it began to serve.
    pub(crate) async fn end(mut self) -> String {
        self.signal("-TERM").await;
        let mut said = String::new();
        self.said.read_to_string(&mut said).await.unwrap();
        assert_eq!(self.child.wait().await.unwrap().code(), Some(0));
        said
    }

    /// A figure from the system's account of the process.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) const SERVE: &str = "exec $PROGRAM serve --emulator --listen 127.0.0.1:0";
