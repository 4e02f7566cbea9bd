//! The servers that are measured, and how each is started.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::process::{Process, plain};
use crate::{measure, shell::built};

/// Ours.
pub(super) const OURS: &str = "ours";
/// The service itself, called without anything between.
pub(super) const DIRECT: &str = "direct";
pub(super) const BARE: &str = "bare";
pub(super) const HOP: &str = "hop";

/// One that is measured.
pub(super) struct Contestant {
    pub(super) name: String,
    http: Http,
    /// The command that serves over stdin and stdout, if there is one.
    stdio: Option<String>,
    /// The file that is shipped, where it is one.
    pub(super) binary: Option<PathBuf>,
}

enum Http {
    /// A command, with `{port}` and `{upstream}` to be filled in.
    Command(String),
    /// It runs already, and stays.
    Runs(SocketAddr),
}

/// One that listens.
pub(super) struct Live {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// Nothing where somebody else has started it.
    pub(super) process: Option<Process>,
}

impl Contestant {
    /// Ours, and the two that are built along.
    pub(super) fn own() -> anyhow::Result<Vec<Self>> {
        let (ours, bare, hop) = (built("runcomfy-mcp")?, built("peer-bare")?, built("peer-hop")?);
        let shown = |file: &PathBuf| file.display().to_string();
        let (server, base) = (shown(&ours), "--base-url {upstream}");
        Ok(vec![
            Self {
                name: OURS.into(),
                http: Http::Command(format!("{server} {base} serve --listen 127.0.0.1:{{port}}")),
                stdio: Some(format!("{server} {base}")),
                binary: Some(ours),
            },
            Self::command(HOP, &started(&hop)).with_binary(hop),
            Self {
                stdio: Some(format!("{} --stdio --upstream {{upstream}}", bare.display())),
                ..Self::command(BARE, &started(&bare)).with_binary(bare)
            },
        ])
    }

    pub(super) fn command(name: &str, command: &str) -> Self {
        let http = Http::Command(command.to_owned());
        Self { name: name.to_owned(), http, stdio: None, binary: None }
    }

    /// One that runs at `http://HOST:PORT/mcp`.
    pub(super) fn at(name: &str, url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("a peer's URL is http")?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, "mcp"));
        ensure!(path == "mcp", "a peer serves at /mcp, not at /{path}");
        let address = address.parse().with_context(|| format!("{address}: no address and port"))?;
        Ok(Self { name: name.to_owned(), http: Http::Runs(address), stdio: None, binary: None })
    }

    pub(super) fn with_stdio(self, command: &str) -> Self {
        Self { stdio: Some(command.to_owned()), ..self }
    }

    fn with_binary(self, binary: PathBuf) -> Self {
        Self { binary: Some(binary), ..self }
    }

    /// Starts it, and waits until it takes connections.
    pub(super) fn start(&self, upstream: SocketAddr) -> anyhow::Result<Live> {
        let command = match &self.http {
            Http::Command(command) => command,
            Http::Runs(address) => {
                return Ok(Live { name: self.name.clone(), address: *address, process: None });
            }
        };
        let port = free_port()?;
        let mut command = filled(&command.replace("{port}", &port.to_string()), upstream);
        let mut process = Process::start(&mut command)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = measure::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.child.try_wait()?;
            ensure!(ended.is_none(), "{} ended at once: {command:?}", self.name);
            ensure!(begun.elapsed() < Duration::from_secs(60), "{} does not listen", self.name);
            pause(Duration::from_micros(100));
        }
        Ok(Live { name: self.name.clone(), address, process: Some(process) })
    }

    /// Whether its start can be measured.
    pub(super) fn is_started(&self) -> bool {
        matches!(self.http, Http::Command(_))
    }

    /// What serves over stdin and stdout.
    pub(super) fn stdio(&self, upstream: SocketAddr) -> Option<Command> {
        let mut command = filled(self.stdio.as_deref()?, upstream);
        command.env("RUNCOMFY_API_KEY", "me");
        Some(command)
    }
}

fn started(program: &std::path::Path) -> String {
    format!("{} --listen 127.0.0.1:{{port}} --upstream {{upstream}}", program.display())
}

fn filled(command: &str, upstream: SocketAddr) -> Command {
    plain(&command.replace("{upstream}", &format!("http://{upstream}")))
}

/// One that nobody listens on. Whoever is to listen there has to be told before it starts.
fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "another process: there is no event to await")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}
