//! The service behind them all, in a process of its own.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    contestant::Contestant,
    message::{Expected, Message},
    process::{Process, plain},
    wire::Line,
};
use crate::shell::built;

pub(super) struct Upstream {
    /// Kept for its end.
    _process: Process,
    pub(super) address: SocketAddr,
}

/// Everyone's deployment.
pub(super) const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

impl Upstream {
    /// Starts one on this port, or on a free one.
    pub(super) fn start(port: Option<u16>, arguments: &str) -> anyhow::Result<Self> {
        let program = built("peer-upstream")?;
        let program = program.display();
        if let Some(port) = port {
            let listen = format!("127.0.0.1:{port}");
            let line = format!("{program} --listen {listen} {arguments}");
            let _process = Process::start(&mut plain(&line))?;
            let address = listen.parse()?;
            while std::net::TcpStream::connect(address).is_err() {
                super::contestant::pause(std::time::Duration::from_millis(1));
            }
            return Ok(Self { _process, address });
        }
        let command = format!("{program} --listen 127.0.0.1:{{port}} {arguments}");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let live = Contestant::command("upstream", &command).start(nowhere)?;
        Ok(Self { _process: live.process.context("a process")?, address: live.address })
    }

    async fn ask(&self, method: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut message = Message::direct("me", method, path, Expected::default());
        let mut line = Line::new(self.address);
        let answer = line.exchange(message.next()).await?;
        message.check(&answer)?;
        Ok(answer.body.to_vec())
    }

    /// So many runs that are under way, by id.
    pub(super) async fn runs(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut runs = Vec::new();
        for _ in 0..count {
            let path = format!("/prod/v1/deployments/{DEPLOYMENT}/inference");
            let submitted: Value = serde_json::from_slice(&self.ask("POST", &path).await?)?;
            runs.push(submitted["request_id"].as_str().context("no request id")?.to_owned());
        }
        Ok(runs)
    }

    /// The payloads that its list carries, as they are written there.
    pub(super) async fn payloads(&self) -> anyhow::Result<Arc<Vec<Vec<u8>>>> {
        #[derive(serde::Deserialize)]
        struct Listed {
            payload: Box<serde_json::value::RawValue>,
        }
        let list = self.ask("GET", "/prod/v2/deployments?includes=payload").await?;
        let list: Vec<Listed> = serde_json::from_slice(&list)?;
        Ok(Arc::new(list.iter().map(|listed| listed.payload.get().into()).collect()))
    }

    /// How often it was asked for this since its start.
    pub(super) async fn counted(&self, what: &str) -> anyhow::Result<f64> {
        let counters: Value = serde_json::from_slice(&self.ask("GET", "/counters").await?)?;
        counters[what].as_f64().with_context(|| format!("{what} are not counted"))
    }
}
