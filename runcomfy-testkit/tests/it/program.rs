//! `Running`: the program as a child process of one test.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use url::Url;

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runcomfy-emulator"));
    command.env_clear().stderr(Stdio::piped());
    command
}

/// Runs the program, which fails to start.
pub(crate) fn refused(arguments: &[&str]) -> Output {
    program().args(["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap()
}

/// A running program on a free port. Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) url: Url,
    pub(crate) said: String,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::of(program().args(arguments))
    }

    /// The program without any certificates.
    pub(crate) fn start_without_certificates(arguments: &[&str]) -> Self {
        let nowhere = "/nowhere/at/all";
        Self::of(
            program().args(arguments).env("SSL_CERT_FILE", nowhere).env("SSL_CERT_DIR", nowhere),
        )
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.args(["--listen", "127.0.0.1:0"]).spawn().unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        let url = said.split_whitespace().find(|word| word.starts_with("http://"));
        let url = Url::parse(url.unwrap_or_else(|| panic!("no address in {said:?}"))).unwrap();
        Self { child, url, said, stderr }
    }

    /// The next line of its output. Blocks until there is one.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Kills it without notice.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a termination signal and returns the exit status.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> Option<i32> {
        // The shell does it: not every machine has a program `kill`.
        let line = format!("kill {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
