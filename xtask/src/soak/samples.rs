//! What the server holds, every few seconds.

use std::{fmt, net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};

use crate::peer::Peer;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) memory: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) tasks: u64,
    pub(super) connections: u64,
    pub(super) calls: u64,
    pub(super) waits: u64,
    pub(super) pollers: u64,
    pub(super) bytes: u64,
    pub(super) panics: u64,
}

impl Sample {
    pub(super) async fn take(figures: SocketAddr) -> anyhow::Result<Self> {
        let answer =
            Peer::new(figures, "nobody").send(Method::GET, "/metrics", Bytes::new()).await?;
        ensure!(answer.status == StatusCode::OK, "/metrics: {}", answer.status);
        let page = std::str::from_utf8(&answer.body)?;
        let figure = |name: &str| {
            let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.and_then(|value| value.parse().ok()).with_context(|| format!("no {name}"))
        };
        let own = |name: &str| figure(&format!("runcomfy_mcp_{name}"));
        Ok(Self {
            memory: figure("process_resident_memory_bytes")?,
            descriptors: figure("process_open_fds")?,
            threads: figure("process_threads")?,
            tasks: own("tasks")?,
            connections: own("connections")?,
            calls: own("inflight_calls")?,
            waits: own("waits_active")?,
            pollers: own("pollers_active")?,
            bytes: own("inflight_bytes")?,
            panics: own("panics_total")?,
        })
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.2} MiB {:>4} descriptors {:>3} threads {:>4} tasks {:>3} connections {:>3} calls {:>3} waits \
             {:>3} pollers",
            mib(self.memory),
            self.descriptors,
            self.threads,
            self.tasks,
            self.connections,
            self.calls,
            self.waits,
            self.pollers
        )
    }
}

/// Those of one life of the server.
#[derive(Default)]
pub(super) struct Samples(Vec<(Duration, Sample)>);

impl Samples {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one; how many there are.
    pub(super) fn push(&mut self, at: Duration, sample: Sample) -> usize {
        self.0.push((at, sample));
        self.0.len()
    }

    /// The slope of memory by least squares, after `warm_up`.
    pub(super) fn growth_mib_in_ten_minutes(&self, warm_up: Duration) -> Option<f64> {
        let points: Vec<(f64, f64)> = self
            .0
            .iter()
            .filter(|(at, _)| *at >= warm_up)
            .map(|(at, sample)| (at.as_secs_f64(), mib(sample.memory)))
            .collect();
        slope(&points).map(|per_second| per_second * 600.0)
    }
}

fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 5 {
        return None;
    }
    let mean =
        |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let product: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (square > 0.0).then(|| product / square)
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_slope_is_that_of_the_line_through_the_points() {
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 7.0 + 0.5 * f64::from(x))).collect();
        assert!(slope(&line).is_some_and(|slope| (slope - 0.5).abs() < 1e-9));
        assert!(slope(&line[..4]).is_none());
    }
}
