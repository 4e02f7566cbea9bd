//! Decodes WebSocket messages about one job.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The relevant messages.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JobEvent {
    /// The job is over and its history entry exists.
    Ended,
    Node(String),
    Started,
    Step {
        node: String,
        value: f64,
        max: f64,
    },
}

/// Decoded in two steps, because most messages are large `progress_state` ones.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The fields of all relevant messages; each message has some of them.
#[derive(Deserialize)]
struct Data {
    prompt_id: Option<String>,
    node: Option<String>,
    value: Option<f64>,
    max: Option<f64>,
}

/// The event in a message about this job, if there is one.
pub(super) fn read(text: &str, prompt_id: &str) -> Option<JobEvent> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    if !matches!(&*message.kind, "executing" | "execution_start" | "progress") {
        return None;
    }
    let data: Data = serde_json::from_str(message.data?.get()).ok()?;
    // A client that connects during its job's run gets the current node without the prompt id.
    if data.prompt_id.is_some_and(|id| id != prompt_id) {
        return None;
    }
    match (&*message.kind, data.node) {
        ("execution_start", _) => Some(JobEvent::Started),
        ("executing", Some(node)) => Some(JobEvent::Node(node)),
        ("executing", None) => Some(JobEvent::Ended),
        (_, Some(node)) => Some(JobEvent::Step { node, value: data.value?, max: data.max? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_about_this_job_or_nothing() {
        let step = JobEvent::Step { node: "52:42".into(), value: 3.0, max: 20.0 };
        let cases = [
            (
                r#"{"type":"execution_start","data":{"prompt_id":"p","timestamp":1}}"#,
                Some(JobEvent::Started),
            ),
            (r#"{"type":"execution_start","data":{"prompt_id":"q","timestamp":1}}"#, None),
            (
                r#"{"type":"executing","data":{"node":"1","prompt_id":"p"}}"#,
                Some(JobEvent::Node("1".into())),
            ),
            (r#"{"type":"executing","data":{"node":"1"}}"#, Some(JobEvent::Node("1".into()))),
            (r#"{"type":"executing","data":{"node":null,"prompt_id":"p"}}"#, Some(JobEvent::Ended)),
            (r#"{"type":"executing","data":{"node":null,"prompt_id":"q"}}"#, None),
            (
                r#"{"data":{"value":3,"max":20,"prompt_id":"p","node":"52:42"},"type":"progress"}"#,
                Some(step),
            ),
            // Too early, because the history entry may not exist yet.
            (r#"{"type":"execution_success","data":{"prompt_id":"p","timestamp":1}}"#, None),
            (r#"{"type":"progress_state","data":{"prompt_id":"p","nodes":{}}}"#, None),
            (
                r#"{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"s"}}"#,
                None,
            ),
            (r#"{"type":"executing"}"#, None),
            (r#"{"type":7}"#, None),
            ("not json", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text, "p"), expected, "{text}");
        }
    }
}
