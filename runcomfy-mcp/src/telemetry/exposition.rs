//! Figures as Prometheus reads them: those that are counted, and those that are looked up when asked.

use std::{fmt, net::SocketAddr, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::net::TcpListener;

use super::{
    Metrics, PREFIX,
    process::{self, LiveMetric},
};

/// Where figures are shown: an address of its own, which callers do not reach.
pub struct Exposition {
    listener: TcpListener,
    address: SocketAddr,
    live: Vec<LiveMetric>,
}

impl Exposition {
    /// Shows them on `listener`, at `/metrics`.
    ///
    /// # Errors
    /// Where the listener has no address.
    pub fn new(listener: TcpListener) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener, address, live: Vec::new() })
    }

    /// Where that is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// With a figure that goes up and down.
    #[must_use]
    pub fn gauge(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.live.push(LiveMetric { name, help, counts: false, read: Box::new(read) });
        self
    }

    /// With one that only goes up; `_total` is added to its name.
    #[must_use]
    pub fn counter(
        mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        self.live.push(LiveMetric { name, help, counts: true, read: Box::new(read) });
        self
    }

    /// What there is to show from now on.
    pub(crate) fn page(self, metrics: Arc<Metrics>) -> (TcpListener, Page) {
        let mut live = Registry::with_prefix(PREFIX);
        live.register_collector(Box::new(Live(self.live)));
        let mut process = Registry::with_prefix("process");
        process.register_collector(Box::new(Live(process::sources())));
        (self.listener, Page { metrics, more: [live, process] })
    }
}

/// All figures.
pub(crate) struct Page {
    metrics: Arc<Metrics>,
    more: [Registry; 2],
}

/// What `page` makes is in this format.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Page {
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode_registry(&mut page, self.metrics.registry())?;
        for more in &self.more {
            text::encode_registry(&mut page, more)?;
        }
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

/// Figures that are looked up.
struct Live(Vec<LiveMetric>);

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for LiveMetric { name, help, counts, read } in &self.0 {
            if *counts {
                let metric = ConstCounter::new(read());
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    metric.metric_type(),
                )?)?;
            } else {
                let metric = ConstGauge::new(i64::try_from(read()).unwrap_or(i64::MAX));
                metric.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    metric.metric_type(),
                )?)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|source| source.name)).finish()
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").field("address", &self.address).finish_non_exhaustive()
    }
}
