//! `/metrics`, on an address of its own.

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

use super::{HttpOptions, accept::Connections, names};
use crate::{
    ConnectionSettings, Metrics,
    telemetry::{Exposition, MEDIA_TYPE, Page},
};

/// Shows figures for as long as it is polled; for ever nothing, where nobody wants any.
pub(super) async fn serve(exposition: Option<Exposition>, metrics: Arc<Metrics>) {
    let Some(exposition) = exposition else { return std::future::pending().await };
    let loopback_only = exposition.address().ip().is_loopback();
    let (listener, page) = exposition.page(metrics);
    let settings = ConnectionSettings { most: SCRAPERS, ..ConnectionSettings::default() };
    let connections = Connections::new(router(page, loopback_only).into(), settings);
    connections.accept(listener, std::future::pending()).await;
}

/// Who may look at once: few, as each look takes a moment.
const SCRAPERS: usize = 16;

/// Counts what was not let in.
pub(super) fn count(metrics: &Metrics, response: &Response) {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        metrics.rejected(status);
        if status == StatusCode::UNAUTHORIZED {
            metrics.auth_failed("door");
        }
    }
}

/// Shows the page. Where it is for this machine only, a web page that has had its own name lead here is
/// not served.
fn router(page: Page, loopback_only: bool) -> Router {
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(page));
    if !loopback_only {
        return router;
    }
    let names = Arc::new(names::Names::new(&HttpOptions::default()));
    router.layer(middleware::from_fn_with_state(names, names::check_names))
}

async fn show(State(page): State<Arc<Page>>) -> Response {
    match page.text() {
        Ok(text) => {
            ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
