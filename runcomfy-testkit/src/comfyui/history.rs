//! Reads the outcome of a job from its history entry.

use std::time::Duration;

use serde_json::{Map, Value};

use super::failure;

/// The outcome of a job.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HistoryOutcome {
    Failed(Value),
    Interrupted,
    Succeeded,
}

/// The outcome in an entry. Only the messages tell an interrupted job from a failed one: both have the status
/// "error".
pub(super) fn outcome(entry: &Value) -> HistoryOutcome {
    let messages = entry.pointer("/status/messages").and_then(Value::as_array);
    for message in messages.into_iter().flatten() {
        match message.get(0).and_then(Value::as_str) {
            Some("execution_error") => {
                let data = message.get(1).unwrap_or(&Value::Null);
                return HistoryOutcome::Failed(failure::of_execution(data));
            }
            Some("execution_interrupted") => return HistoryOutcome::Interrupted,
            _ => {}
        }
    }
    match entry.pointer("/status/status_str").and_then(Value::as_str) {
        Some("error") => HistoryOutcome::Failed(failure::without_a_cause()),
        _ => HistoryOutcome::Succeeded,
    }
}

/// How long the job ran by the server's clock, without its time in the queue.
pub(super) fn ran(entry: &Value) -> Option<Duration> {
    let messages = entry.pointer("/status/messages").and_then(Value::as_array)?;
    let times = messages.iter().filter_map(|message| message.pointer("/1/timestamp")?.as_u64());
    let (first, last) = (times.clone().min()?, times.max()?);
    Some(Duration::from_millis(last - first))
}

/// The outputs, in the order in which nodes produced them.
pub(super) fn outputs(entry: &mut Value) -> Map<String, Value> {
    match entry.get_mut("outputs").map(Value::take) {
        Some(Value::Object(outputs)) => outputs,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_takes_from_its_first_message_to_its_last() {
        let entry = |messages| json!({"status": {"messages": messages}});
        let at = |time| json!(["x", {"timestamp": time}]);
        for (messages, expected) in [
            (json!([at(1000), at(1001), at(2500)]), Some(1500)),
            (json!([at(1000)]), Some(0)),
            (json!([["x", {}]]), None),
            (json!([]), None),
        ] {
            let expected = expected.map(Duration::from_millis);
            assert_eq!(ran(&entry(messages.clone())), expected, "{messages}");
        }
        assert_eq!(ran(&json!({})), None);
    }
}
