//! Callers who ask again and again for a while, and what their answers took.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Barrier;

use super::{
    message::{Message, Verdict},
    wire::Line,
};
use crate::measure;

/// What some calls took.
#[derive(Default)]
pub(super) struct Pace {
    /// Of each right answer, in microseconds, the quickest first.
    pub(super) latencies: Vec<f64>,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    /// Answers that were not whole, by their own word.
    pub(super) cut_short: usize,
    pub(super) wrong: usize,
    pub(super) first_wrong: Option<String>,
}

impl Pace {
    pub(super) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// Whether it is no measure of what was asked for.
    pub(super) fn is_flawed(&self) -> bool {
        self.wrong > 0 || self.cut_short > 0 || self.latencies.is_empty()
    }

    /// The time within which this share was answered, in microseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.cut_short += other.cut_short;
        self.wrong += other.wrong;
        if self.first_wrong.is_none() {
            self.first_wrong = other.first_wrong;
        }
    }
}

pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Has each message asked on a connection of its own for so long, after one answer that does not count.
/// `cpu` tells what CPU time the server has used so far.
pub(super) async fn load(
    address: SocketAddr,
    messages: Vec<Message>,
    over: Duration,
    cpu: impl Fn() -> f64,
) -> anyhow::Result<Pace> {
    // They begin together, and so does the clock.
    let ready = Arc::new(Barrier::new(messages.len() + 1));
    let begin = Arc::new(Barrier::new(messages.len() + 1));
    let callers: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let (ready, begin) = (Arc::clone(&ready), Arc::clone(&begin));
            tokio::spawn(async move {
                let (mut line, mut message) = (Line::new(address), message);
                // A wrong one is met again below, and counted there.
                let _ = line.exchange(message.next()).await;
                ready.wait().await;
                begin.wait().await;
                call(line, message, over).await
            })
        })
        .collect();
    ready.wait().await;
    let (used, begun) = (cpu(), measure::now());
    begin.wait().await;
    let mut pace = Pace::default();
    for caller in callers {
        pace.add(caller.await?);
    }
    pace.seconds = begun.elapsed().as_secs_f64();
    pace.cpu_seconds = cpu() - used;
    pace.latencies.sort_unstable_by(f64::total_cmp);
    Ok(pace)
}

async fn call(mut line: Line, mut message: Message, over: Duration) -> Pace {
    let (mut pace, begun) = (Pace::default(), measure::now());
    while begun.elapsed() < over {
        let asked = measure::now();
        match one(&mut line, &mut message, asked).await {
            Ok((Verdict::Whole, took)) => pace.latencies.push(took),
            Ok((Verdict::CutShort, took)) => {
                pace.cut_short += 1;
                pace.latencies.push(took);
            }
            Err(error) => {
                pace.wrong += 1;
                pace.first_wrong.get_or_insert(format!("{error:#}"));
                // One that refuses at once is not asked a million times.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    pace
}

async fn one(
    line: &mut Line,
    message: &mut Message,
    asked: Instant,
) -> anyhow::Result<(Verdict, f64)> {
    let answer = line.exchange(message.next()).await?;
    let took = asked.elapsed().as_secs_f64() * 1e6;
    Ok((message.check(&answer)?, took))
}
