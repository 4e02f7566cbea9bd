//! All that is served at one address: `/mcp`, which is nearly all that is asked for, without a router before it.

use std::{pin::Pin, sync::Arc};

use axum::{Router, extract::Request, response::Response, routing::any};
use tower::ServiceExt as _;

/// An answer on its way.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// What answers to each request.
#[derive(Clone)]
pub(super) struct Site {
    mcp: Option<Arc<dyn Fn(Request) -> Answer + Send + Sync>>,
    rest: Router,
}

/// Where MCP is spoken.
const MCP: &str = "/mcp";

impl Site {
    /// `mcp` answers there, `rest` everywhere else.
    pub(super) fn new(
        mcp: impl Fn(Request) -> Answer + Send + Sync + 'static,
        rest: Router,
    ) -> Self {
        Self { mcp: Some(Arc::new(mcp)), rest }
    }

    pub(super) fn answer(&self, request: Request) -> Answer {
        match &self.mcp {
            Some(mcp) if request.uri().path() == MCP => mcp(request),
            _ => {
                let rest = self.rest.clone();
                Box::pin(async move {
                    let Ok(response) = rest.oneshot(request).await;
                    response
                })
            }
        }
    }

    /// The same as a router, to stand beside others.
    pub(super) fn into_router(self) -> Router {
        match self.mcp {
            Some(mcp) => self.rest.route(MCP, any(move |request| mcp(request))),
            None => self.rest,
        }
    }
}

impl From<Router> for Site {
    fn from(rest: Router) -> Self {
        Self { mcp: None, rest }
    }
}
