//! How each command ends while a paid call is under way: whatever happens, the run's id is to be found.

mod call;
mod demo;
mod serve;
mod stdio;

use std::{
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use runcomfy_core::{DeploymentId, HttpApi, RequestId, RunComfyApi, Token, error::Operation};
use runcomfy_testkit::{Emulator, FakeRunComfy, Fault, FaultKind, FaultRule};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

use crate::program::signal;

const SOON: Duration = Duration::from_secs(60);

/// A service on which a submit takes effect at once, and whose answer comes in pieces, one each so many
/// milliseconds; and where the program may leave files.
struct Slow {
    emulator: Emulator,
    home: TempDir,
}

impl Slow {
    async fn start() -> Self {
        Self::start_with(100).await
    }

    async fn start_with(every_ms: u64) -> Self {
        let emulator = Emulator::builder().account(account()).start().await.unwrap();
        let trickle = Fault::new(FaultKind::Trickle).with("bytes", 20).unwrap();
        let trickle =
            trickle.with("every_ms", every_ms).unwrap().with("effect", "applied").unwrap();
        emulator.inject(FaultRule::new(trickle).operation(Operation::SubmitRequest).times(1));
        Self { emulator, home: tempfile::tempdir().unwrap() }
    }

    /// A service that answers no submit, though it takes effect.
    async fn start_silent() -> Self {
        let emulator = Emulator::builder().account(account()).start().await.unwrap();
        let stall = Fault::new(FaultKind::Stall).with("effect", "applied").unwrap();
        emulator.inject(FaultRule::new(stall).operation(Operation::SubmitRequest));
        Self { emulator, home: tempfile::tempdir().unwrap() }
    }

    /// A line of shell, in which `$PROGRAM` acts on it.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).env_clear().kill_on_drop(true);
        command
            .env("PROGRAM", env!("CARGO_BIN_EXE_runcomfy-mcp"))
            .env("RUNCOMFY_API_KEY", "CANARY-tok")
            .env("RUNCOMFY_SERVERLESS_BASE_URL", self.emulator.url().as_str())
            .env("HOME", self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Returns once a submit has taken effect.
    async fn accepted(&self) {
        let accepted = async {
            while self.emulator.counters().totals.submits.accepted == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, accepted).await.unwrap();
    }

    /// The id that a text tells after this word, which must be that of a run that there is.
    async fn id_in(&self, text: &str, word: &str) -> String {
        let after = text.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in: {text}"));
        let id = after.trim_start_matches([' ', '"', ':', '=']);
        let id = id.split(['"', ',', ' ', '\n', '}']).next().unwrap().to_owned();
        let api = HttpApi::builder()
            .base_url(self.emulator.url().as_str())
            .token(Token::new("CANARY-tok").unwrap())
            .build()
            .unwrap();
        let deployment = DeploymentId::new("d").unwrap();
        let request = RequestId::new(&id).unwrap_or_else(|_| panic!("no id in: {text}"));
        let status = api.get_request_status(&deployment, &request).await;
        assert!(status.is_ok(), "{id} is no run's: {text}");
        id
    }

    /// The file that the program has left.
    fn left(&self) -> String {
        let folder = self.home.path().join(".local/state/runcomfy-mcp");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = files[0].path();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "others can read it");
        std::fs::read_to_string(file).unwrap()
    }

    fn has_left_nothing(&self) -> bool {
        !self.home.path().join(".local").exists()
    }
}

fn account() -> runcomfy_testkit::FakeBuilder {
    FakeRunComfy::builder().deployment("d").cold_start(SOON).run_time(SOON)
}

/// Waits for its end, and gives what is left on its streams.
async fn ended(child: Child) -> (ExitStatus, String, String) {
    let output = timeout(SOON, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

/// All that comes up to a line that has this in it.
async fn read_until(stream: &mut (impl AsyncBufRead + Unpin), word: &str) -> String {
    let mut all = String::new();
    let wait = async {
        while !all.lines().last().is_some_and(|line| line.contains(word)) {
            assert!(stream.read_line(&mut all).await.unwrap() > 0, "no {word} in: {all}");
        }
    };
    timeout(SOON, wait).await.unwrap();
    all
}

/// All that is still to come.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut rest = String::new();
    timeout(SOON, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    rest
}

/// A terminal that hangs up when it is dropped: what is written to it from then on fails.
struct Terminal {
    _controller: std::os::fd::OwnedFd,
    path: String,
}

impl Terminal {
    fn open() -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        Self { _controller: controller, path }
    }

    fn end(&self) -> Stdio {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(Path::new(&self.path))
            .unwrap()
            .into()
    }
}

/// The signals that ask for an end, and their numbers.
const SIGNALS: [(&str, i32); 3] = [("-HUP", 1), ("-INT", 2), ("-TERM", 15)];

fn died_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}
