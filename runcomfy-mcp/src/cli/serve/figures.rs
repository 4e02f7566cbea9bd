//! Where figures for Prometheus are shown.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use clap::Args;
use runcomfy_core::HttpApi;
use tokio::net::TcpListener;

use super::super::logging;
use crate::telemetry::Exposition;

#[derive(Args, Debug)]
#[command(next_help_heading = "Metrics")]
pub(super) struct Figures {
    /// Show figures for Prometheus at this address, under /metrics; they name no caller, but show how busy
    /// the server is
    #[arg(long, value_name = "ADDRESS:PORT", env = "RUNCOMFY_MCP_METRICS")]
    metrics: Option<SocketAddr>,

    /// Let that address be one that other machines reach, as in a container
    #[arg(long, requires = "metrics")]
    metrics_beyond_loopback: bool,
}

impl Figures {
    /// Listens, where that is wanted.
    pub(super) async fn listen(&self, api: HttpApi) -> anyhow::Result<Option<Exposition>> {
        let Some(address) = self.metrics else { return Ok(None) };
        if !address.ip().is_loopback() && !self.metrics_beyond_loopback {
            bail!(
                "--metrics {address} can be reached from other machines: name a loopback address, or add \
                 --metrics-beyond-loopback where only Prometheus gets there"
            );
        }
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("--metrics: could not listen on {address}"))?;
        let exposition = Exposition::new(listener).context("--metrics")?;
        let tokens = "Retries that all callers can still afford; none for long: RunComfy is down";
        Ok(Some(
            exposition
                .gauge("retry_quota_tokens", tokens, move || api.retry_tokens().into())
                .counter("log_dropped", "Log lines that nobody read in time", logging::dropped),
        ))
    }
}
