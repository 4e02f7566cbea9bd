//! MCP over Streamable HTTP at `/mcp`: stateless, each call with its caller's own token.

mod accept;
mod answer;
mod complete;
mod connection;
mod direct;
mod door;
mod endpoint;
mod events;
mod figures;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod head;
mod health;
mod inbound;
mod library;
mod media;
mod names;
mod outgoing;
mod outliving;
mod progress;
mod site;
mod socket;
mod tag;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{any, get},
};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    accept::Connections,
    door::Door,
    endpoint::Endpoint,
    health::Pulse,
    inbound::Budget,
    names::Names,
    site::{Answer, Site},
};
use crate::{Metrics, RunComfyMcp, telemetry::Exposition};

pub(crate) use self::{door::Visit, tag::Tag};

/// Whether a message is answered without MCP's library.
#[cfg(feature = "bench")]
pub(crate) fn reads_directly(headers: &http::HeaderMap, message: &[u8]) -> bool {
    media::Media::accepted(headers)
        .and_then(|media| direct::read(headers, message, media))
        .is_some()
}

/// Who may reach the server by which name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Names that a `Host` header may carry; a name without a port allows every port.
    pub allowed_hosts: Vec<String>,
    /// Web pages that may call, as `scheme://host:port`; `*` as port allows every port.
    pub allowed_origins: Vec<String>,
}

impl Default for HttpOptions {
    /// This machine only.
    fn default() -> Self {
        let own = |list: [&str; 3]| list.map(str::to_owned).to_vec();
        Self {
            allowed_hosts: own(["localhost", "127.0.0.1", "[::1]"]),
            allowed_origins: own(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"]),
        }
    }
}

/// Serves on `listener` until `shutdown` fires; then goes on for as long as load balancers need to notice,
/// and lets calls and writes under way finish.
///
/// # Errors
/// None so far: a failure to accept passes, or is waited out.
pub async fn serve(
    server: RunComfyMcp,
    options: HttpOptions,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve_with(server, options, listener, None, shutdown).await
}

/// The same, with figures for Prometheus on an address of their own, to the very end.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    server: RunComfyMcp,
    options: HttpOptions,
    listener: TcpListener,
    exposition: Option<Exposition>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let direct = Some(Arc::new(server.clone()));
    serve_either(server.clone(), direct, server, options, listener, exposition, shutdown).await
}

/// The same for another handler of MCP's methods, behind the doors and within the bounds of `server`: how a
/// conformance suite gets at the transport with tools of its own.
///
/// # Errors
/// As [`serve`].
pub async fn serve_handler(
    handler: impl ServerHandler + Clone,
    server: RunComfyMcp,
    options: HttpOptions,
    listener: TcpListener,
    exposition: Option<Exposition>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve_either(handler, None, server, options, listener, exposition, shutdown).await
}

/// `direct` answers calls without MCP's library, where `handler` is the server itself.
async fn serve_either(
    handler: impl ServerHandler + Clone,
    direct: Option<Arc<RunComfyMcp>>,
    server: RunComfyMcp,
    options: HttpOptions,
    listener: TcpListener,
    exposition: Option<Exposition>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (streams, pulse) = (CancellationToken::new(), Pulse::new());
    let budget = Budget::new(server.settings().connections.body_bytes_in_flight);
    let door = Door::new(server.clone(), budget.clone());
    let app = site(handler, direct, door, &options, &streams, pulse.clone());
    let settings = server.settings();
    let connections = Connections::new(app, settings.connections.clone());
    let stop = async {
        shutdown.cancelled().await;
        server.ending().cancel();
        tokio::time::sleep(settings.linger).await;
    };
    let exposition = exposition.map(|exposition| {
        let (places, draining) = (connections.places(), server.ending().clone());
        let (calls, waits, polls) = (server.clone(), server.clone(), server.waits().clone());
        let pollers = polls.clone();
        let replay = Arc::clone(server.replay());
        let runtime = tokio::runtime::Handle::current();
        exposition
            .gauge("connections", "Open connections", move || places.taken())
            .gauge("inflight_bytes", "Bytes of messages in memory", move || budget.taken())
            .gauge("inflight_calls", "Calls under way, waits aside", move || calls.gate().calls())
            .gauge("waits_active", "Calls that wait for a run", move || waits.gate().waits())
            .gauge("pollers_active", "Runs that are looked at", move || pollers.pollers() as u64)
            .counter("polls", "How often runs were looked at", move || polls.polls())
            .gauge("idempotency_keys", "Outcomes under a key in memory", move || replay.keys())
            .gauge("draining", "1 once the server is ending", move || {
                draining.is_cancelled().into()
            })
            .gauge("tasks", "Tasks of the runtime", move || {
                runtime.metrics().num_alive_tasks() as u64
            })
    });
    let figures = figures::serve(exposition, Arc::clone(server.metrics()));
    let serving = async {
        connections.accept(listener, stop).await;
        tokio::join!(connections.end(settings.drain), server.drain());
    };
    tokio::select! {
        () = serving => {}
        () = pulse.beat() => {}
        () = figures => {}
    }
    streams.cancel();
    Ok(())
}

/// Everything behind the socket. `streams` ends open answers when it fires.
pub fn router(server: RunComfyMcp, options: &HttpOptions, streams: &CancellationToken) -> Router {
    let budget = Budget::new(server.settings().connections.body_bytes_in_flight);
    let (direct, door) = (Some(Arc::new(server.clone())), Door::new(server.clone(), budget));
    site(server, direct, door, options, streams, Pulse::new()).into_router()
}

fn site(
    handler: impl ServerHandler + Clone,
    direct: Option<Arc<RunComfyMcp>>,
    door: Door,
    options: &HttpOptions,
    streams: &CancellationToken,
    pulse: Pulse,
) -> Site {
    let server = door.server();
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false) // any replica answers any request
        .with_json_response(true)
        .with_max_request_body_bytes(server.settings().max_body_bytes)
        .with_cancellation_token(streams.child_token())
        .with_allowed_hosts(options.allowed_hosts.clone())
        .with_allowed_origins(options.allowed_origins.clone())
        .enforce_origin_validation(); // rmcp serves any web page otherwise
    let names = Arc::new(Names::new(options));
    let draining = server.ending().clone();
    let metrics = Arc::clone(server.metrics());
    let mcp = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let cors = names::cors(Arc::clone(&names));
    let endpoint = Arc::new(Endpoint { names, cors, door, mcp, direct, streams: streams.clone() });
    let counted = Arc::clone(&metrics);
    let mcp = move |mut request: Request| -> Answer {
        let (endpoint, metrics) = (Arc::clone(&endpoint), Arc::clone(&counted));
        Box::pin(async move {
            let name = tag::name(&mut request);
            let mut response = endpoint.answer(request).await;
            figures::count(&metrics, &response);
            tag::say(name, &mut response);
            response
        })
    };
    let rest = Router::new()
        .route(health::PATHS[0], get(move || async move { pulse.health() }))
        .route(
            health::PATHS[1],
            get(move || async move { health::readiness(draining.is_cancelled()) }),
        )
        .route("/.well-known/{*rest}", any(async || answer::no_sign_in()))
        .route("/register", any(async || answer::no_sign_in()))
        .layer(middleware::from_fn_with_state(metrics, around));
    Site::new(mcp, rest)
}

/// What is done around every request that is not for MCP.
async fn around(State(metrics): State<Arc<Metrics>>, mut request: Request, next: Next) -> Response {
    let name = tag::name(&mut request);
    let is_probe = health::PATHS.contains(&request.uri().path());
    let mut response = next.run(request).await;
    if !is_probe {
        figures::count(&metrics, &response);
    }
    tag::say(name, &mut response);
    response
}
