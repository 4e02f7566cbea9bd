//! Deployments as tools show them.

use runcomfy_core::{
    Workflow,
    deployment::{Deployment, Payload},
    workflow::{Node, WorkflowError},
};
use serde_json::{Map, Value, json};

use crate::{result::ToolResult, view::uri};

/// The thirteen keys of a deployment in short, in the official order; null where unknown.
const COMPACT: [&str; 13] = [
    "id",
    "name",
    "workflow_id",
    "workflow_version",
    "hardware",
    "min_instances",
    "max_instances",
    "queue_size",
    "keep_warm_duration_in_seconds",
    "status",
    "is_enabled",
    "created_at",
    "updated_at",
];

/// A deployment as RunComfy describes it, within `reply`. Its payload, which may be megabytes, goes out as it
/// came.
pub(crate) fn whole(mut deployment: Deployment, reply: &mut ToolResult) -> Value {
    let (id, payload) = (deployment.id.clone(), deployment.payload.take());
    let mut whole = json!(deployment);
    if let Some(payload) = payload {
        whole["payload"] = reply.defer(payload.into_json(), uri::workflow(&id));
    }
    whole
}

/// A deployment in short.
pub(crate) fn compact(mut deployment: Deployment) -> Value {
    deployment.payload = None;
    let mut all = json!(deployment);
    let short: Map<String, Value> = COMPACT
        .iter()
        .map(|key| ((*key).to_owned(), all.get_mut(*key).map(Value::take).unwrap_or_default()))
        .collect();
    Value::Object(short)
}

/// What stays billed while nothing runs, in a sentence; empty where nothing does.
pub(crate) fn standing_cost(deployment: &Deployment) -> String {
    match deployment.min_instances {
        Some(kept @ 1..) if deployment.is_enabled != Some(false) => {
            format!(
                " {kept} instance(s) stay up and are billed with nothing to do (min_instances)."
            )
        }
        _ => String::new(),
    }
}

/// What stays billed while nothing runs, in the words of a question's end; `None` where that is little.
pub(crate) fn kept_on(min_instances: u64, keep_warm_seconds: u64) -> Option<String> {
    const HOUR: u64 = 60 * 60;
    if min_instances > 0 {
        let machines = if min_instances == 1 { "machine" } else { "machines" };
        Some(format!(
            "keeps {min_instances} {machines} on around the clock, billed with nothing to do?"
        ))
    } else if keep_warm_seconds > HOUR {
        let hours = keep_warm_seconds as f64 / HOUR as f64;
        Some(format!("keeps each machine on for {hours:.1} hours after its last request, billed?"))
    } else {
        None
    }
}

/// How many saved overrides a summary names at most, as the official server does.
const MOST_OVERRIDES: usize = 100;
/// How much of a title or a current value a summary shows, in characters; of a value, where there are many.
const CLIP: usize = 120;
const CLIP_OF_MANY: usize = 40;
/// What the nodes of a summary may take, in bytes of JSON: with all that is beside them, an answer stays
/// short enough for every client.
const MOST_BYTES: usize = 7 * 1024;

/// What a payload holds, at a glance: which nodes there are and what can be set on them.
pub(crate) fn payload_summary(payload: &Payload) -> Value {
    let Ok(Value::Object(parts)) = payload.as_json().to_value() else {
        return json!({ "payload_keys": [] });
    };
    let mut keys: Vec<_> = parts.keys().cloned().collect();
    keys.sort_unstable();
    let mut overridden: Vec<_> = parts
        .get("overrides")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(id, _)| id.clone())
        .collect();
    overridden.sort_unstable();
    overridden.truncate(MOST_OVERRIDES);
    let mut summary = json!({
        "payload_keys": keys,
        "has_object_info_url": payload.object_info_url().is_some(),
        "default_override_node_ids": overridden,
    });
    match payload.workflow() {
        Ok(Some(workflow)) => {
            let (nodes, left_out) = nodes(&workflow);
            summary["workflow_node_summary"] = nodes.into();
            if left_out > 0 {
                summary["nodes_left_out"] = left_out.into();
            }
        }
        Ok(None) => summary["workflow_node_summary"] = json!([]),
        Err(error) => {
            summary["workflow_node_summary"] = json!([]);
            summary["workflow_error"] = json!(describe(&error));
        }
    }
    summary
}

/// The nodes in rows, and how many have none. Where all would be too much, first those go on which nothing
/// can be set, with the names of linked inputs and the ends of long values; then the last ones.
fn nodes(workflow: &Workflow) -> (Vec<Value>, usize) {
    let all = workflow.nodes().count();
    let rows = within(workflow.nodes().map(|node| node_summary(node, CLIP)));
    if rows.len() == all {
        return (rows, 0);
    }
    let settable = workflow.nodes().filter(|node| node.settable_inputs().next().is_some());
    let rows = within(settable.map(|node| {
        let mut row = node_summary(node, CLIP_OF_MANY);
        row.as_object_mut().and_then(|row| row.shift_remove("input_names"));
        row
    }));
    let left_out = all - rows.len();
    (rows, left_out)
}

/// As many of the first rows as fit.
fn within(rows: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut bytes = 0;
    rows.take_while(|row| {
        bytes += row.to_string().len() + 1;
        bytes <= MOST_BYTES
    })
    .collect()
}

fn node_summary(node: Node<'_>, clip_at: usize) -> Value {
    let mut names: Vec<_> = node.inputs().keys().collect();
    names.sort_unstable();
    let settable: Map<String, Value> = node
        .settable_inputs()
        .map(|(name, value)| (name.to_owned(), clip(value, clip_at)))
        .collect();
    json!({
        "node_id": node.id(),
        "title": node.title().map(|title| clip_text(title, CLIP)),
        "class_type": clip_text(node.class_type(), CLIP),
        "input_names": names,
        "settable_inputs": settable,
    })
}

/// A value short enough for an overview.
fn clip(value: &Value, most: usize) -> Value {
    match value {
        Value::String(text) => Value::from(clip_text(text, most)),
        Value::Array(_) | Value::Object(_) if value.to_string().len() > most => Value::from("…"),
        other => other.clone(),
    }
}

fn clip_text(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is wrong with a workflow, and how to get a right one.
pub(crate) fn describe(error: &WorkflowError) -> String {
    match error {
        WorkflowError::UiFormat => format!(
            "{error}: in ComfyUI, export it with Workflow > Export (API), in older versions Save (API format)"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use runcomfy_core::{DeploymentId, Overrides};

    use super::*;

    #[test]
    fn a_compact_deployment_has_thirteen_keys_null_where_unknown() {
        let mut deployment = Deployment::new(DeploymentId::new("d1").unwrap());
        deployment.hardware = Some(vec!["NEW_GPU".into()]);
        deployment.extra.insert("surprise".into(), json!(1));
        let compact = compact(deployment);
        assert_eq!(compact.as_object().unwrap().keys().collect::<Vec<_>>(), COMPACT);
        assert_eq!(compact["hardware"], json!(["NEW_GPU"]));
        assert_eq!(compact["queue_size"], Value::Null);
    }

    /// A summary of a graph of this many nodes, every second of which has an input that can be set.
    fn summary_of(nodes: usize) -> Value {
        let node = |at: usize| {
            let input = if at.is_multiple_of(2) {
                json!({"text": "x".repeat(100)})
            } else {
                json!({"in": ["0", 0]})
            };
            (at.to_string(), json!({"class_type": "Note", "inputs": input}))
        };
        let graph: Map<String, Value> = (0..nodes).map(node).collect();
        let workflow = Workflow::from_value(Value::Object(graph)).unwrap();
        payload_summary(&Payload::new(&workflow, None, None).unwrap())
    }

    #[test]
    fn a_summary_of_many_nodes_is_short_and_says_how_many_are_left_out() {
        for nodes in [50, 500, 5000] {
            let summary = summary_of(nodes);
            let rows = summary["workflow_node_summary"].as_array().unwrap();
            assert!(summary.to_string().len() < 8 * 1024);
            assert!(rows.iter().all(|row| row["settable_inputs"]["text"].is_string()), "{nodes}");
            assert_eq!(summary["nodes_left_out"], nodes - rows.len());
        }
        assert_eq!(summary_of(20)["nodes_left_out"], Value::Null);
    }

    #[test]
    fn a_payload_summary_tells_which_nodes_and_inputs_can_be_set() {
        let workflow = Workflow::from_value(json!({
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "x".repeat(500), "clip": ["4", 1]}, "_meta": {"title": "T"}},
        }))
        .unwrap();
        let payload =
            Payload::new(&workflow, Some(&Overrides::new().set("6", "text", "a cat")), None)
                .unwrap();
        let summary = payload_summary(&payload);
        assert_eq!(
            summary["payload_keys"],
            json!(["object_info_url", "overrides", "workflow_api_json"])
        );
        assert_eq!(summary["has_object_info_url"], false);
        assert_eq!(summary["default_override_node_ids"], json!(["6"]));
        let node = &summary["workflow_node_summary"][0];
        assert_eq!(node["input_names"], json!(["clip", "text"]));
        assert_eq!(
            node["settable_inputs"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["text"]
        );
        assert_eq!(node["settable_inputs"]["text"].as_str().unwrap().chars().count(), CLIP + 1);
    }
}
