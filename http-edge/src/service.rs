//! What answers requests: one path with a handler of its own, and a router for all others.

use std::{pin::Pin, sync::Arc};

use axum::{Router, extract::Request, response::Response, routing::any};
use tower::ServiceExt as _;

/// A response that is being made.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

type Handler = dyn Fn(Request) -> ResponseFuture + Send + Sync;

/// Answers every request of a server. Cheap to clone.
///
/// A router copies its layers for each request. A path that gets nearly all requests is faster without one.
#[derive(Clone)]
pub struct Service {
    direct: Option<(&'static str, Arc<Handler>)>,
    router: Router,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.direct.as_ref().map(|(path, _)| path);
        f.debug_struct("Service").field("direct", &path).finish_non_exhaustive()
    }
}

impl Service {
    /// `handler` answers requests for exactly `path`, `router` all others.
    pub fn new(
        path: &'static str,
        handler: impl Fn(Request) -> ResponseFuture + Send + Sync + 'static,
        router: Router,
    ) -> Self {
        Self { direct: Some((path, Arc::new(handler))), router }
    }

    /// Answers a request.
    pub fn call(&self, request: Request) -> ResponseFuture {
        match &self.direct {
            Some((path, handler)) if request.uri().path() == *path => handler(request),
            _ => {
                let router = self.router.clone();
                Box::pin(async move {
                    let Ok(response) = router.oneshot(request).await;
                    response
                })
            }
        }
    }

    /// The same as one router, which can be merged into another.
    pub fn into_router(self) -> Router {
        match self.direct {
            Some((path, handler)) => self.router.route(path, any(move |request| handler(request))),
            None => self.router,
        }
    }
}

impl From<Router> for Service {
    fn from(router: Router) -> Self {
        Self { direct: None, router }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};

    use super::*;

    #[tokio::test]
    async fn only_the_path_itself_goes_to_the_handler_also_as_a_router() {
        let handler = |_| -> ResponseFuture { Box::pin(async { Response::new("handler".into()) }) };
        let router = Router::new().fallback(async || "router");
        let service = Service::new("/api", handler, router);
        let as_router = Service::from(service.clone().into_router());
        for (path, answers) in
            [("/api", "handler"), ("/api?q", "handler"), ("/api/", "router"), ("/", "router")]
        {
            for service in [&service, &as_router] {
                let request = Request::get(path).body(Body::empty()).unwrap();
                let body = to_bytes(service.call(request).await.into_body(), 100).await.unwrap();
                assert_eq!(body, answers, "{path}");
            }
        }
    }
}
