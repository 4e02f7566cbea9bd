//! MCP over Streamable HTTP at `/mcp`: stateless, each call with its caller's own token.

// From the lowest to the highest: each module uses only those before it.
mod options;
mod refusals;

mod complete;
mod media;

mod admission;
mod events;
mod fast_path;
mod metrics;
mod rmcp_path;

mod endpoint;

#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::any,
};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use runcomfy_http_edge::{
    HttpRequestId, Liveness, MemoryBudget, ResponseFuture, Server, Service, health_routes,
    is_health_path,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::options::HttpOptions;
use self::{admission::Admission, endpoint::Endpoint};
use crate::{
    server::RunComfyMcp,
    telemetry::{Exposition, Metrics},
};

/// Whether a message takes the fast path.
#[cfg(feature = "bench")]
pub(crate) fn takes_fast_path(headers: &http::HeaderMap, message: &[u8]) -> bool {
    media::Media::accepted(headers)
        .and_then(|media| fast_path::read(headers, message, media))
        .is_some()
}

const MCP_PATH: &str = "/mcp";

/// A server of MCP over HTTP that has not started yet.
///
/// ```no_run
/// # async fn run(server: runcomfy_mcp::RunComfyMcp) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// runcomfy_mcp::transport::http::HttpServer::new(server).serve(listener).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct HttpServer<H = RunComfyMcp> {
    handler: H,
    /// Whether `handler` is the server itself, so that tool calls can bypass rmcp.
    fast_path: bool,
    server: RunComfyMcp,
    options: HttpOptions,
    exposition: Option<Exposition>,
    shutdown: CancellationToken,
}

impl HttpServer {
    /// Serves this server's tools to this machine, without metrics, until the process ends.
    #[must_use]
    pub fn new(server: RunComfyMcp) -> Self {
        Self {
            handler: server.clone(),
            fast_path: true,
            server,
            options: HttpOptions::default(),
            exposition: None,
            shutdown: CancellationToken::new(),
        }
    }
}

impl<H: ServerHandler + Clone> HttpServer<H> {
    /// Who may reach the server by which name.
    #[must_use]
    pub fn options(mut self, options: HttpOptions) -> Self {
        self.options = options;
        self
    }

    /// Serves Prometheus metrics on an address of their own until the server has ended.
    #[must_use]
    pub fn exposition(mut self, exposition: impl Into<Option<Exposition>>) -> Self {
        self.exposition = exposition.into();
        self
    }

    /// Starts a graceful shutdown once this is cancelled: the server keeps accepting for `Settings::linger`, so
    /// that load balancers notice, then finishes calls and writes in progress.
    #[must_use]
    pub fn shutdown(mut self, shutdown: CancellationToken) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Another handler of MCP's methods in place of the server, with the server's admission and limits: a
    /// conformance suite tests the transport with tools of its own.
    #[must_use]
    pub fn handler<G: ServerHandler + Clone>(self, handler: G) -> HttpServer<G> {
        let Self { server, options, exposition, shutdown, .. } = self;
        HttpServer { handler, fast_path: false, server, options, exposition, shutdown }
    }

    /// Serves on this listener until the shutdown is complete. An accept that fails is tried again.
    pub async fn serve(self, listener: TcpListener) {
        let (streams, liveness) = (CancellationToken::new(), Liveness::default());
        let server = self.server.clone();
        let settings = server.settings();
        let budget = MemoryBudget::new(settings.connections.body_bytes_in_flight);
        let service = self.service(budget.clone(), &streams, liveness.clone());
        let accepting = CancellationToken::new();
        let stop = {
            let (shutdown, ending) = (self.shutdown, server.ending().clone());
            let (linger, accepting) = (settings.linger, accepting.clone());
            async move {
                shutdown.cancelled().await;
                ending.cancel();
                tokio::time::sleep(linger).await;
                accepting.cancel();
            }
        };
        let edge = Server::builder(listener, service)
            .settings(settings.connections.clone())
            .shutdown(stop)
            .drain_timeout(settings.drain)
            .build();
        let exposition = self.exposition.map(|exposition| {
            metrics::add_gauges(exposition, &server, edge.open_connections(), budget)
        });
        let metrics_page = metrics::serve(exposition, Arc::clone(server.metrics()));
        let drain = async {
            accepting.cancelled().await;
            server.drain().await;
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(edge.run(), drain) } => {}
            () = liveness.run() => {}
            () = metrics_page => {}
        }
        streams.cancel();
    }

    /// All routes as a router, without the limits of connections. Responses that are streamed end when the
    /// shutdown starts.
    pub fn into_router(self) -> Router {
        let budget = MemoryBudget::new(self.server.settings().connections.body_bytes_in_flight);
        self.service(budget, &self.shutdown, Liveness::default()).into_router()
    }

    /// `streams` ends streamed responses.
    fn service(
        &self,
        budget: MemoryBudget,
        streams: &CancellationToken,
        liveness: Liveness,
    ) -> Service {
        let server = &self.server;
        let config = StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false) // any replica can answer any request
            .with_json_response(true)
            .with_max_request_body_bytes(server.settings().max_body_bytes)
            .with_cancellation_token(streams.child_token())
            .with_allowed_hosts(self.options.allowed_hosts.clone())
            .with_allowed_origins(self.options.allowed_origins.clone())
            .enforce_origin_validation(); // by default rmcp accepts every origin
        let handler = self.handler.clone();
        let rmcp = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(NeverSessionManager::default()),
            config,
        );
        let host_policy = Arc::new(self.options.host_policy());
        let endpoint = Arc::new(Endpoint {
            cors: endpoint::cors(Arc::clone(&host_policy)),
            host_policy,
            admission: Admission::new(server.clone(), budget),
            fast_path: self.fast_path.then(|| Arc::new(server.clone())),
            rmcp,
            streams: streams.clone(),
        });
        let metrics = Arc::clone(server.metrics());
        let mcp = move |mut request: Request| -> ResponseFuture {
            let (endpoint, metrics) = (Arc::clone(&endpoint), Arc::clone(&metrics));
            Box::pin(async move {
                let id = HttpRequestId::assign(&mut request);
                let mut response = endpoint.answer(request).await;
                metrics::count_refusal(&metrics, &response);
                HttpRequestId::set_on(&mut response, id);
                response
            })
        };
        let others = Router::new()
            .merge(health_routes(liveness, server.ending().clone()))
            .route("/.well-known/{*rest}", any(async || refusals::no_oauth()))
            .route("/register", any(async || refusals::no_oauth()))
            .layer(middleware::from_fn_with_state(Arc::clone(server.metrics()), around));
        Service::new(MCP_PATH, mcp, others)
    }
}

/// Middleware of all paths but `/mcp`: the request id and the count of refusals.
async fn around(State(metrics): State<Arc<Metrics>>, mut request: Request, next: Next) -> Response {
    let id = HttpRequestId::assign(&mut request);
    let counts = !is_health_path(request.uri().path());
    let mut response = next.run(request).await;
    if counts {
        metrics::count_refusal(&metrics, &response);
    }
    HttpRequestId::set_on(&mut response, id);
    response
}
