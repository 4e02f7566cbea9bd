//! `runcomfy-mcp serve`

mod bounds;
mod figures;
mod idempotency;
mod state_keys;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;

use super::{
    backend::{Backend, settings},
    credentials, farewell,
    options::Options,
    terminal::note,
};
use crate::{
    pipeline::auth::AuthMode,
    server::RunComfyMcp,
    telemetry::Metrics,
    transport::http::{HttpOptions, HttpServer},
};

/// Serve MCP over Streamable HTTP at /mcp, with /healthz and /readyz.
///
/// Each caller sends their own RunComfy token as `Authorization: Bearer …`; calls act with that token
/// and with no other.
#[derive(Args, Debug)]
#[command(after_help = state_keys::HELP)]
pub(super) struct Serve {
    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "RUNCOMFY_MCP_LISTEN",
        default_value = "127.0.0.1:8000"
    )]
    listen: String,

    /// A name by which clients reach this server, besides this machine's own; repeat for more
    #[arg(
        long = "allowed-host",
        value_name = "HOST",
        env = "RUNCOMFY_MCP_ALLOWED_HOSTS",
        value_delimiter = ','
    )]
    #[arg(value_parser = host)]
    allowed_hosts: Vec<String>,

    /// A web page's origin that may call, besides pages on this machine; repeat for more
    #[arg(
        long = "allowed-origin",
        value_name = "ORIGIN",
        env = "RUNCOMFY_MCP_ALLOWED_ORIGINS",
        value_delimiter = ','
    )]
    #[arg(value_parser = origin)]
    allowed_origins: Vec<String>,

    /// Everyone who reaches the server acts with the token from the environment; loopback only
    #[arg(long)]
    single_user: bool,

    #[command(flatten)]
    bounds: bounds::LimitArgs,

    #[command(flatten)]
    replay: idempotency::IdempotencyArgs,

    #[command(flatten)]
    figures: figures::Figures,
}

impl Serve {
    pub(super) async fn run(self, options: &Options) -> anyhow::Result<u8> {
        let listen = tokio::net::lookup_host(&self.listen)
            .await
            .with_context(|| format!("{:?} is no ADDRESS:PORT", self.listen))?
            .next()
            .with_context(|| format!("{:?} leads to no address", self.listen))?;
        let metrics = Arc::new(Metrics::new());
        let backend = if self.single_user {
            Backend::single(options, Some(&metrics)).await?
        } else {
            Backend::shared(options, &metrics).await?
        };
        let callers = if self.single_user {
            if !listen.ip().is_loopback() {
                bail!(
                    "--single-user spends one account's money for whoever connects: it listens on loopback only, not on {}",
                    self.listen
                );
            }
            if backend.source.is_none() && backend.emulator_url().is_none() {
                bail!("--single-user needs a token: set RUNCOMFY_API_KEY");
            }
            if let Some(source) = backend.source.as_ref().filter(|_| backend.not_filled_in) {
                bail!(
                    "--single-user needs a token: the one from {source} looks like a placeholder that was not filled in"
                );
            }
            backend.one()
        } else {
            if let Some(name) = credentials::in_environment()
                && backend.emulator_url().is_none()
            {
                bail!(
                    "{name} is set, but each caller brings a token of their own and this one would never be used: \
                     unset it, or serve with --single-user"
                );
            }
            backend.each()?
        };
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("could not listen on {}", self.listen))?;
        let address = listener.local_addr().context("could not learn the address")?;
        let exposition = self.figures.listen(backend.api.clone()).await?;
        let mut http = HttpOptions::default();
        let named = self.allowed_hosts.clone();
        http.allowed_hosts.extend(self.allowed_hosts);
        http.allowed_origins.extend(self.allowed_origins);
        let mut settings = settings(options);
        let many = matches!(callers, AuthMode::Each { .. });
        self.bounds.apply(&mut settings, callers.need_token());
        make_room(settings.connections.most);
        if state_keys::is_shared() && !self.replay.is_shared() {
            tracing::warn!(
                "servers that share sealing keys and no --replay-store: a user's yes counts once at each of them"
            );
        }
        let server = RunComfyMcp::new(callers, settings).with_metrics(metrics);
        let server = state_keys::apply(self.replay.apply(server, many).await?)?;
        let stop = farewell::stop(&server).token().clone();
        let own = reachable(address);
        note(&format!("runcomfy-mcp serves MCP at http://{own}/mcp (health: /healthz, /readyz)"));
        if address.ip().is_unspecified() {
            note(&match named.as_slice() {
                [] => "It listens on all addresses of this machine, but answers to its loopback names only: \
                       --allowed-host NAME for each other name or address by which clients come."
                    .to_owned(),
                named => format!("It also answers to {}.", named.join(", ")),
            });
        }
        note(&match (backend.emulator_url(), self.single_user) {
            (Some(url), _) => {
                format!("Behind it: the built-in emulator at {url}; no token is needed.")
            }
            (None, true) => {
                "Everyone who connects acts with the token from this machine.".to_owned()
            }
            (None, false) => {
                "Each client sends its own token: Authorization: Bearer <RunComfy API token>."
                    .to_owned()
            }
        });
        if let Some(exposition) = &exposition {
            note(&format!("Figures for Prometheus: http://{}/metrics", exposition.address()));
        }
        let serving = HttpServer::new(server.clone()).options(http).exposition(exposition);
        serving.shutdown(stop).serve(listener).await;
        Ok(farewell::code(&server))
    }
}

/// An address at which a client on this machine finds the server: one that stands for all is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let loopback = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(loopback, address.port())
}

/// Has the system let the process open as many files as it may have connections, each with one to RunComfy
/// at the most.
fn make_room(connections: usize) {
    const BESIDE: usize = 128;
    let wanted = (2 * connections + BESIDE) as u64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(room) if room >= wanted => {}
        Ok(room) => {
            tracing::warn!(
                room,
                "the system allows fewer open files than {connections} connections need"
            );
        }
        Err(error) => tracing::warn!(%error, "could not ask for more open files"),
    }
}

/// The name of a host, without a wildcard: the server must know by which names it is reached.
fn host(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && !text.contains(['*', '/', ' ']);
    if fits { Ok(text.to_owned()) } else { Err("name a host, such as mcp.example.com".to_owned()) }
}

/// The origin of a web page or of a desktop app's, such as `tauri://localhost`; only the port may be a
/// wildcard. A slash at its end, as people copy it from a browser, is left out.
fn origin(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').filter(|rest| !rest.ends_with('/')).unwrap_or(text);
    let fits = text.split_once("://").is_some_and(|(scheme, rest)| {
        let starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let mut rest_of_scheme = scheme.bytes();
        let plain = rest_of_scheme.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        // A page that was opened as a file has no host.
        let named = scheme == "file" && rest.is_empty()
            || host(rest.strip_suffix(":*").unwrap_or(rest)).is_ok() && !rest.contains('@');
        starts && plain && named
    });
    if fits {
        Ok(text.to_owned())
    } else {
        Err("name an origin, such as https://app.example.com or tauri://localhost".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_announced_as_one_that_can_be_reached() {
        for (bound, own) in [
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:8000", "[::1]:8000"),
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("192.168.0.5:80", "192.168.0.5:80"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), own.parse().unwrap());
        }
    }

    #[test]
    fn origins_of_web_pages_and_of_desktop_apps_can_be_allowed() {
        for text in [
            "https://app.example.com",
            "http://localhost:*",
            "https://app.example.com:8443",
            "app://localhost",
            "app://obsidian.md",
            "tauri://localhost",
            "vscode-file://vscode-app",
            "file://",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
        }
        assert_eq!(origin("https://claude.ai/").as_deref(), Ok("https://claude.ai"));
        assert_eq!(origin("tauri://localhost/").as_deref(), Ok("tauri://localhost"));
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://*.example.com",
            "https://app.example.com/path",
            "https://user@app.example.com",
            "https://a b",
            "://x",
            "1a://x",
            "a_b://x",
            "file:///",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
