//! The JSON summary of an account for the emulator's page.

use std::time::Duration;

use runcomfy_core::RequestId;
use serde_json::{Map, Value, json};

use super::{Account, DeploymentState, Request};
use crate::lifecycle::RunState;

/// The most requests that an overview lists, newest first.
const MOST_REQUESTS: usize = 50;

impl Account {
    /// The number of runs by outcome, and the money.
    pub(crate) fn summary(&mut self, now: Duration) -> Map<String, Value> {
        self.advance(now);
        let mut summary = Map::new();
        summary.insert("runs_started".to_owned(), json!(self.submitted));
        // Runs of deleted deployments are counted in neither.
        summary.insert("runs_completed".to_owned(), json!(self.completed));
        summary.insert("runs_cancelled".to_owned(), json!(self.cancelled));
        summary.insert("balance_usd".to_owned(), dollars(i128::from(self.funds.balance())));
        summary.insert("spent_usd".to_owned(), dollars(i128::from(self.funds.spent())));
        summary.insert("usd_per_hour".to_owned(), dollars(self.per_hour()));
        summary
    }

    /// The summary with deployments, their instances, and the newest requests.
    pub(crate) fn overview(&mut self, now: Duration) -> Map<String, Value> {
        let mut overview = self.summary(now);
        let deployments = self.deployments.iter().map(|entry| self.deployment_overview(entry));
        overview.insert("deployments".to_owned(), deployments.collect());
        let requests = self.newest().into_iter().filter_map(|id| {
            let request = self.requests.get(id)?;
            let entry = self.deployments.iter().find(|one| one.id == request.deployment_id)?;
            Some(self.request_overview(id, request, entry))
        });
        overview.insert("requests".to_owned(), requests.collect());
        overview
    }

    fn newest(&self) -> Vec<&RequestId> {
        let of_each = self.deployments.iter().flat_map(|entry| {
            let newest = entry.requests.iter().rev().take(MOST_REQUESTS);
            newest.filter_map(|id| Some((self.requests.get(id)?.number, id)))
        });
        let mut newest: Vec<_> = of_each.collect();
        newest.sort_unstable_by_key(|(number, _)| std::cmp::Reverse(*number));
        newest.truncate(MOST_REQUESTS);
        newest.into_iter().map(|(_, id)| id).collect()
    }

    fn deployment_overview(&self, entry: &DeploymentState) -> Value {
        let instances = entry.queue.machines().map(|machine| {
            json!({
                "instance_id": entry.instance_id(self.ids, machine.number).map(|id| id.to_string()),
                "state": machine.state,
                "since": self.stamp(machine.since),
            })
        });
        let instances: Vec<_> = instances.collect();
        let busy = instances.iter().filter(|instance| instance["state"] == "busy").count();
        json!({
            "id": entry.id.as_str(),
            "name": entry.name,
            "hardware": entry.hardware,
            "usd_per_hour": dollars(self.settings.prices.of(&entry.hardware).into()),
            "is_enabled": entry.is_enabled,
            "out_of_funds": !entry.is_enabled && self.funds.is_empty(),
            "min_instances": entry.min_instances,
            "max_instances": entry.max_instances,
            "keep_warm_duration_in_seconds": entry.keep_warm_duration_in_seconds,
            "in_queue": entry.queue.waiting(),
            "in_progress": busy,
            "instances": instances,
        })
    }

    fn request_overview(
        &self,
        id: &RequestId,
        request: &Request,
        entry: &DeploymentState,
    ) -> Value {
        let state = entry.queue.state(request.run);
        let completed = matches!(state, RunState::Completed { .. });
        let made = completed.then(|| self.made(id)).flatten();
        let failure = made.as_ref().and_then(|made| made.failure.as_ref());
        let (mut position, mut finished_at) = (None, None);
        let (status, instance) = match state {
            RunState::Queued { position: ahead } => {
                position = Some(ahead);
                ("in_queue", None)
            }
            RunState::Running { instance } => ("in_progress", Some(instance)),
            RunState::Completed { instance, at } => {
                finished_at = Some(at);
                (if failure.is_some() { "failed" } else { "succeeded" }, Some(instance))
            }
            RunState::Cancelled { instance, at } => {
                finished_at = Some(at);
                ("cancelled", instance)
            }
        };
        let started_at = entry.queue.started_at(request.run);
        let mut overview = json!({
            "request_id": id.as_str(),
            "deployment_id": entry.id.as_str(),
            "deployment": entry.name,
            "status": status,
            "queue_position": position,
            "instance_id": instance
                .and_then(|number| entry.instance_id(self.ids, number))
                .map(|id| id.to_string()),
            "prompt_id": request.prompt_id,
            "created_at": self.stamp(request.created_at),
            "started_at": started_at.map(|at| self.stamp(at)),
            "finished_at": finished_at.map(|at| self.stamp(at)),
            "progress": request
                .progress
                .or_else(|| progress(started_at, entry.queue.ends_at(request.run), self.now)),
            "error": failure.map(one_line),
        });
        if let Some(made) = made.filter(|made| self.shows(id, made)) {
            let (files, texts) = listed(&made.outputs);
            overview["files"] = Value::Array(files);
            overview["texts"] = Value::Array(texts);
        }
        overview
    }
}

fn dollars(microdollars: i128) -> Value {
    json!(microdollars as f64 / 1e6)
}

/// The progress of a run whose end is known.
fn progress(from: Option<Duration>, until: Option<Duration>, now: Duration) -> Option<f64> {
    let (from, until) = (from?, until?);
    let whole = until.checked_sub(from).filter(|whole| !whole.is_zero())?;
    Some((now.saturating_sub(from).as_secs_f64() / whole.as_secs_f64()).min(1.0))
}

/// The files and the texts in a run's outputs.
fn listed(outputs: &Map<String, Value>) -> (Vec<Value>, Vec<Value>) {
    let channels = outputs.values().filter_map(Value::as_object).flatten();
    let (mut files, mut texts) = (Vec::new(), Vec::new());
    for (channel, items) in channels {
        for item in items.as_array().into_iter().flatten() {
            if let Some(filename) = item["filename"].as_str().filter(|_| item["url"].is_string()) {
                files.push(json!({
                    "url": item["url"],
                    "filename": filename,
                    "type": item["type"],
                    "media_type": crate::media::content_type(filename),
                }));
            } else if channel == "text" && item.is_string() {
                texts.push(item.clone());
            }
        }
    }
    (files, texts)
}

/// Shortens an error of any shape to one line: type, message and node.
fn one_line(error: &Value) -> String {
    let one = error.get(0).unwrap_or(error);
    let word = |key: &str| one.get(key).and_then(Value::as_str).map(str::trim);
    let kind = word("type").or_else(|| word("exception_type"));
    let message = word("message").or_else(|| word("error")).or_else(|| word("exception_message"));
    let details = word("details").filter(|details| !details.is_empty());
    let node = one.get("node_id").and_then(Value::as_str).map(|id| match word("node_type") {
        Some(class) => format!("node {id} ({class})"),
        None => format!("node {id}"),
    });
    let line = match (kind, message) {
        (Some(kind), Some(message)) => format!("{kind}: {message}"),
        (Some(word), None) | (None, Some(word)) => word.to_owned(),
        (None, None) => one.as_str().map_or_else(|| one.to_string(), str::to_owned),
    };
    let first =
        |text: &str| text.lines().next().unwrap_or_default().chars().take(300).collect::<String>();
    let parts = [Some(first(&line)), details.map(first), node.as_deref().map(first)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_cause_and_its_node() {
        for (error, expected) in [
            (
                json!({"type": "prompt_outputs_failed_validation", "message": "failed", "details": "Value not in list: x",
                    "node_id": "4", "node_type": "CheckpointLoaderSimple"}),
                "prompt_outputs_failed_validation: failed · Value not in list: x · node 4 (CheckpointLoaderSimple)",
            ),
            (
                json!({"type": "OSError", "message": "Truncated File Read\nand more", "node_id": "3"}),
                "OSError: Truncated File Read · node 3",
            ),
            (json!({"type": "X", "message": "m", "details": ""}), "X: m"),
            (json!([{"errorCode": 1, "error": "e"}]), "e"),
            (json!("said"), "said"),
        ] {
            assert_eq!(one_line(&error), expected);
        }
    }
}
