//! `/metrics` on an address of its own, and the metrics of the HTTP server.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use runcomfy_http_edge::{
    ConnectionSettings, MemoryBudget, OpenConnections, Server, enforce_host_policy,
};

use super::options::HttpOptions;
use crate::{
    server::RunComfyMcp,
    telemetry::{Exposition, MEDIA_TYPE, Metrics, Page},
};

/// Adds the values that are read when the page is requested.
pub(super) fn add_gauges(
    exposition: Exposition,
    server: &RunComfyMcp,
    connections: OpenConnections,
    budget: MemoryBudget,
) -> Exposition {
    let draining = server.ending().clone();
    let (calls, waits, polls) = (server.clone(), server.clone(), server.waits().clone());
    let pollers = polls.clone();
    let replay = Arc::clone(server.idempotency());
    let runtime = tokio::runtime::Handle::current();
    exposition
        .gauge("connections", "Open connections", move || connections.count())
        .gauge("inflight_bytes", "Bytes of messages in memory", move || budget.used_bytes())
        .gauge("inflight_calls", "Calls under way, waits aside", move || calls.limits().calls())
        .gauge("waits_active", "Calls that wait for a run", move || waits.limits().waits())
        .gauge("pollers_active", "Runs that are looked at", move || pollers.pollers() as u64)
        .counter("polls", "How often runs were looked at", move || polls.polls())
        .gauge("idempotency_keys", "Outcomes under a key in memory", move || replay.keys())
        .gauge("draining", "1 once the server is ending", move || draining.is_cancelled().into())
        .gauge("tasks", "Tasks of the runtime", move || runtime.metrics().num_alive_tasks() as u64)
}

/// Serves the page while it is polled. Without an exposition it serves nothing and never returns.
pub(super) async fn serve(exposition: Option<Exposition>, metrics: Arc<Metrics>) {
    let Some(exposition) = exposition else { return std::future::pending().await };
    let loopback_only = exposition.address().ip().is_loopback();
    let (listener, page) = exposition.page(metrics);
    let mut settings = ConnectionSettings::default();
    settings.most = MAX_CONNECTIONS;
    Server::builder(listener, router(page, loopback_only)).settings(settings).build().run().await;
}

/// Few, because each page takes a moment to write.
const MAX_CONNECTIONS: usize = 16;

/// Counts a response that refuses its request.
pub(super) fn count_refusal(metrics: &Metrics, response: &Response) {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        metrics.rejected(status);
        if status == StatusCode::UNAUTHORIZED {
            metrics.auth_failed("door");
        }
    }
}

/// A page for this machine only checks the host policy, because a web page can point its own name at this address.
fn router(page: Page, loopback_only: bool) -> Router {
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(page));
    if !loopback_only {
        return router;
    }
    let policy = Arc::new(HttpOptions::default().host_policy());
    router.layer(middleware::from_fn_with_state(policy, enforce_host_policy))
}

async fn show(State(page): State<Arc<Page>>) -> Response {
    match page.text() {
        Ok(text) => {
            ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
