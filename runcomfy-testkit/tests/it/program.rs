//! The program as it is shipped, started for one test and ended with it.

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

/// What it says and how it ends where it can't start.
pub(crate) fn refused(arguments: &[&str]) -> Output {
    program().args(["--listen", "127.0.0.1:0"]).args(arguments).output().unwrap()
}

/// One that runs, on a port of its own. Killed when dropped.
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

    /// The same on a machine that knows of no authority.
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

    /// The next line that it says. Blocks until there is one.
    pub(crate) fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// Without a word of warning, as a crash or `kill -9` ends it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and tells how it did.
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
        // Ended already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
