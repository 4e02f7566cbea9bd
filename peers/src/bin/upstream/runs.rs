//! Runs that are under way from the start, and over when their time is up.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

struct Run {
    created: SystemTime,
    finishes: SystemTime,
}

pub(super) struct Runs {
    time: Duration,
    /// A run is longer or shorter by at most this.
    spread: Duration,
    chance: fastrand::Rng,
    runs: HashMap<String, Run>,
    statuses: u64,
    results: u64,
}

impl Runs {
    pub(super) fn new(time: Duration, spread: Duration, seed: u64) -> Self {
        let chance = fastrand::Rng::with_seed(seed);
        Self { time, spread, chance, runs: HashMap::new(), statuses: 0, results: 0 }
    }

    /// Submits, looks at the status, looks at the result.
    pub(super) fn counted(&self) -> [u64; 3] {
        [self.runs.len() as u64, self.statuses, self.results]
    }

    pub(super) fn submit(&mut self, deployment: &str) -> Bytes {
        let id = format!("5f1ba692-0000-4000-8000-{:012}", self.runs.len());
        let created = SystemTime::now();
        let spread = self.spread.mul_f64(2.0 * self.chance.f64());
        let finishes = created + self.time.saturating_sub(self.spread) + spread;
        let place = format!("/prod/v1/deployments/{deployment}/requests/{id}");
        let answer = format!(
            r#"{{"request_id":"{id}","status_url":"https://api.runcomfy.net{place}/status","result_url":"https://api.runcomfy.net{place}/result","cancel_url":"https://api.runcomfy.net{place}/cancel"}}"#
        );
        self.runs.insert(id, Run { created, finishes });
        answer.into()
    }

    pub(super) fn status(&mut self, deployment: &str, id: &str) -> Option<Bytes> {
        self.statuses += 1;
        let status = if self.runs.get(id)?.is_over() { "completed" } else { "in_progress" };
        let place = format!("/prod/v1/deployments/{deployment}/requests/{id}");
        Some(Bytes::from(format!(
            r#"{{"request_id":"{id}","status":"{status}","queue_position":null,"instance_id":"0570763d-0000-4000-8000-000000000001","status_url":"https://api.runcomfy.net{place}/status","result_url":"https://api.runcomfy.net{place}/result"}}"#
        )))
    }

    pub(super) fn result(&mut self, id: &str) -> Option<Bytes> {
        self.results += 1;
        let run = self.runs.get(id)?;
        let created = stamp(run.created);
        if !run.is_over() {
            return Some(Bytes::from(format!(
                r#"{{"request_id":"{id}","status":"in_progress","created_at":"{created}"}}"#
            )));
        }
        let finished = stamp(run.finishes);
        Some(Bytes::from(format!(
            r#"{{"request_id":"{id}","status":"succeeded","created_at":"{created}","finished_at":"{finished}","outputs":{{"9":{{"images":[{{"url":"https://serverless-api-storage.runcomfy.net/deployment_requests/{id}/output/ComfyUI_00001_.png","filename":"ComfyUI_00001_.png","subfolder":"","type":"output"}}]}}}}}}"#
        )))
    }
}

impl Run {
    fn is_over(&self) -> bool {
        SystemTime::now() >= self.finishes
    }
}

fn stamp(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Millis, true)
}
