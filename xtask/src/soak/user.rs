//! Somebody with an assistant, for as long as the server is there.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::peer::Peer;

/// In the emulator, everyone's first deployment.
const DEPLOYMENT: &str = "a1b2c3d4-0000-4000-8000-000000000001";

/// Idempotency keys of one user.
const KEYS: usize = 40;

/// What all users did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) calls: AtomicU64,
    pub(super) paid: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Broken off by the user.
    pub(super) left: AtomicU64,
    /// Broken off by the server's end.
    pub(super) unanswered: AtomicU64,
}

pub(super) struct User {
    number: usize,
    place: watch::Receiver<Option<SocketAddr>>,
    done: Arc<Done>,
    random: fastrand::Rng,
    runs: Vec<String>,
}

impl User {
    pub(super) fn new(
        number: usize,
        place: watch::Receiver<Option<SocketAddr>>,
        done: Arc<Done>,
    ) -> Self {
        let random = fastrand::Rng::with_seed(number as u64);
        Self { number, place, done, random, runs: Vec::new() }
    }

    pub(super) async fn live(mut self) -> anyhow::Result<()> {
        loop {
            let Ok(address) = self.place.wait_for(Option::is_some).await.map(|place| *place) else {
                return Ok(());
            };
            let Some(address) = address else { return Ok(()) };
            let mut peer = Peer::new(address, format!("user-{:02}", self.number));
            while *self.place.borrow() == Some(address) {
                if !self.act(&mut peer).await? {
                    break; // a new connection
                }
                sleep(Duration::from_millis(self.random.u64(5..150))).await;
            }
            if self.place.has_changed().is_err() {
                return Ok(());
            }
        }
    }

    /// One call; whether its connection is still good.
    async fn act(&mut self, peer: &mut Peer) -> anyhow::Result<bool> {
        let (tool, arguments) = self.wish();
        let paid = tool == "submit_request";
        self.done.calls.fetch_add(1, Ordering::Relaxed);
        if paid {
            self.done.paid.fetch_add(1, Ordering::Relaxed);
        }
        // Now and then somebody closes the window.
        let patience = match self.random.u8(..100) {
            0..2 => Duration::from_millis(self.random.u64(1..300)),
            _ => Duration::from_secs(80),
        };
        let Ok(answer) = timeout(patience, peer.call(tool, arguments)).await else {
            self.done.left.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        };
        let Ok(answer) = answer else {
            anyhow::ensure!(
                self.place.has_changed().unwrap_or(true) || self.place.borrow().is_none(),
                "{tool} of {}: {answer:?}",
                self.number
            );
            self.done.unanswered.fetch_add(1, Ordering::Relaxed);
            return Ok(false);
        };
        if let Some(id) = answer["request_id"].as_str().filter(|_| paid) {
            self.runs.push(id.to_owned());
            // Nobody remembers them all.
            if self.runs.len() > 20 {
                self.runs.remove(0);
            }
        }
        if answer["outcome"] == "unknown" {
            self.done.unknown.fetch_add(1, Ordering::Relaxed);
        } else if answer["ok"] == false {
            self.done.refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }

    fn wish(&mut self) -> (&'static str, Value) {
        let run = self.random.choice(&self.runs).cloned().unwrap_or_else(|| "none".to_owned());
        let about = json!({"deployment_id": DEPLOYMENT, "request_id": run});
        match self.random.u8(..100) {
            0..15 => ("list_deployments", json!({"includes": "payload"})),
            15..25 => {
                ("get_deployment", json!({"deployment_id": DEPLOYMENT, "include_payload": true}))
            }
            25..30 => {
                ("get_deployment", json!({"deployment": DEPLOYMENT, "x": "y".repeat(10_000)}))
            }
            30..50 => ("get_request_status", about),
            50..65 => ("get_request_result", about),
            65..70 => ("cancel_request", about),
            70..75 => ("update_deployment", json!({"deployment_id": DEPLOYMENT, "queue_size": 10})),
            number => {
                // Few keys, as each is kept for an hour, and the same words under the same key.
                let key = (number % 2 == 0).then(|| self.random.usize(..KEYS));
                let length = key.map_or_else(|| self.random.usize(10..20_000), |key| key * 400);
                let text = "a".repeat(length);
                let mut submit = json!({
                    "deployment_id": DEPLOYMENT,
                    "overrides": {"6": {"inputs": {"text": text}}},
                });
                if number < 85 {
                    submit["wait_for_completion"] = true.into();
                    submit["timeout_seconds"] = self.random.u64(..4).into();
                }
                if let Some(key) = key {
                    submit["idempotency_key"] = key.to_string().into();
                }
                ("submit_request", submit)
            }
        }
    }
}
