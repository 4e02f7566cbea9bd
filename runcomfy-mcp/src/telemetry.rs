//! Figures for whoever keeps the server running. Labels are words of ours, so that nothing of a caller's
//! shows and their number is bounded.

mod exposition;
mod process;

use std::{fmt, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use runcomfy_core::client::{Attempt, Observer};

pub use exposition::Exposition;
pub(crate) use exposition::{MEDIA_TYPE, Page};

type Labels<const N: usize> = [(&'static str, &'static str); N];
type Times = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// What a server counts. Give it to [`RunComfyMcp::with_metrics`](crate::server::RunComfyMcp::with_metrics) and, so
/// that it counts what RunComfy is asked too, to
/// [`HttpApiBuilder::observer`](runcomfy_core::client::HttpApiBuilder::observer).
pub struct Metrics {
    registry: Registry,
    calls: Family<Labels<3>, Counter>,
    call_seconds: Times,
    outcome_unknown: Family<Labels<1>, Counter>,
    replayed: Counter,
    panics: Counter,
    shortened: Family<Labels<1>, Counter>,
    rejected: Family<Labels<1>, Counter>,
    auth_failures: Family<Labels<1>, Counter>,
    upstream_requests: Family<Labels<2>, Counter>,
    upstream_retries: Family<Labels<2>, Counter>,
    upstream_seconds: Times,
}

/// Before each name.
const PREFIX: &str = "runcomfy_mcp";

/// From a cached answer to a wait of half an hour.
fn seconds() -> Histogram {
    let bounds =
        [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
    Histogram::new(bounds)
}

impl Metrics {
    /// All at nought.
    #[must_use]
    pub fn new() -> Self {
        let times = || Times::new_with_constructor(seconds);
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            calls: Family::default(),
            call_seconds: times(),
            outcome_unknown: Family::default(),
            replayed: Counter::default(),
            panics: Counter::default(),
            shortened: Family::default(),
            rejected: Family::default(),
            auth_failures: Family::default(),
            upstream_requests: Family::default(),
            upstream_retries: Family::default(),
            upstream_seconds: times(),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, .. } = self;
        let calls = "Tool calls that have ended, by what came of them";
        registry.register("calls", calls, self.calls.clone());
        registry.register("call_seconds", "How long tool calls took", self.call_seconds.clone());
        let unknown = "Calls of which nobody knows whether they took effect: look at them by hand";
        registry.register("outcome_unknown", unknown, self.outcome_unknown.clone());
        let replayed = "Calls answered with what came of an earlier, identical one";
        registry.register("replayed", replayed, self.replayed.clone());
        let panics = "Tool calls that broke: each is a bug, with its place in the log";
        registry.register("panics", panics, self.panics.clone());
        let shortened = "Results too large to be shown whole";
        registry.register("response_truncated", shortened, self.shortened.clone());
        let rejected = "HTTP requests that were not let in, by why";
        registry.register("rejected", rejected, self.rejected.clone());
        let failures = "Tokens that were missing, malformed, or refused by RunComfy";
        registry.register("auth_failures", failures, self.auth_failures.clone());
        let requests = "Requests sent to RunComfy, by what came back";
        registry.register("upstream_requests", requests, self.upstream_requests.clone());
        let retries = "Requests that were sent again, by what was known of the one before";
        registry.register("upstream_retries", retries, self.upstream_retries.clone());
        let seconds = "How long RunComfy took to answer";
        registry.register("upstream_seconds", seconds, self.upstream_seconds.clone());
    }

    /// Shows at nought what is to be alarmed about: a series that begins with its first event is no rise.
    fn begin(&self) {
        for what in ["structured", "text"] {
            drop(self.shortened.get_or_create(&[("kind", what)]));
        }
        for at in ["door", "runcomfy"] {
            drop(self.auth_failures.get_or_create(&[("at", at)]));
        }
        for status in [400, 401, 403, 404, 408, 413, 415, 429, 503] {
            if let Ok(status) = http::StatusCode::from_u16(status) {
                drop(self.rejected.get_or_create(&[("reason", reason(status))]));
            }
        }
    }

    /// Shows these tools at nought, for the same reason: they change something, so that the outcome of a call may
    /// be unknown.
    pub(crate) fn show_writing_tools(&self, tools: impl Iterator<Item = &'static str>) {
        for tool in tools {
            drop(self.outcome_unknown.get_or_create(&[("tool", tool)]));
        }
    }

    /// A tool call has ended.
    pub(crate) fn called(&self, tool: &'static str, outcome: Ended, took: Duration) {
        let labels = [("tool", tool), ("outcome", outcome.outcome), ("kind", outcome.kind)];
        self.calls.get_or_create(&labels).inc();
        self.call_seconds.get_or_create(&[("tool", tool)]).observe(took.as_secs_f64());
        if outcome.outcome == "unknown" {
            self.outcome_unknown.get_or_create(&[("tool", tool)]).inc();
        }
        if outcome.replayed {
            self.replayed.inc();
        }
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// A result was too large: its `text`, or its structured content too.
    pub(crate) fn shortened(&self, what: &'static str) {
        self.shortened.get_or_create(&[("kind", what)]).inc();
    }

    /// A request was not let in.
    pub(crate) fn rejected(&self, status: http::StatusCode) {
        self.rejected.get_or_create(&[("reason", reason(status))]).inc();
    }

    /// A token was no use: `at` the door, or to RunComfy.
    pub(crate) fn auth_failed(&self, at: &'static str) {
        self.auth_failures.get_or_create(&[("at", at)]).inc();
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// `ok`, or what is known of a failed call's effect.
    pub(crate) outcome: &'static str,
    /// `ok`, or why it failed.
    pub(crate) kind: &'static str,
    /// Whether an earlier call was the one that did it.
    pub(crate) replayed: bool,
}

impl Observer for Metrics {
    fn on_attempt(&self, tried: &Attempt<'_>) {
        let operation = tried.operation.as_str();
        let status = match tried.error {
            None => "2xx",
            Some(error) => match error.status_code() {
                Some(200..=299) => "2xx_unusable",
                Some(300..=399) => "3xx",
                Some(400..=499) => "4xx",
                Some(_) => "5xx",
                None => "none",
            },
        };
        self.upstream_requests.get_or_create(&[("operation", operation), ("status", status)]).inc();
        self.upstream_seconds
            .get_or_create(&[("operation", operation)])
            .observe(tried.took.as_secs_f64());
        if let Some(error) = tried.error.filter(|_| tried.again) {
            let after = error.outcome().as_str();
            self.upstream_retries
                .get_or_create(&[("operation", operation), ("after", after)])
                .inc();
        }
    }
}

/// A word for each way of not being let in.
fn reason(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "malformed",
        401 => "no_token",
        403 | 421 => "host_or_origin",
        404 | 405 => "no_such_route",
        406 | 415 => "media_type",
        408 => "too_slow",
        413 => "too_large",
        429 => "too_fast",
        503 => "overloaded",
        _ => "other",
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
