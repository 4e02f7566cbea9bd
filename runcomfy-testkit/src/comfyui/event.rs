//! What the messages of the WebSocket say about one job.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// What matters of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JobEvent {
    /// Nothing more will come of the job: its history is there.
    Ended,
    Node(String),
    Started,
    Step {
        node: String,
        value: f64,
        max: f64,
    },
}

/// Read by halves: most messages are `progress_state`, and large.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The fields of all the messages that are read; each has some of them.
#[derive(Deserialize)]
struct Data {
    prompt_id: Option<String>,
    node: Option<String>,
    value: Option<f64>,
    max: Option<f64>,
}

/// What a message says about a job, if anything.
pub(super) fn read(text: &str, prompt_id: &str) -> Option<JobEvent> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    if !matches!(&*message.kind, "executing" | "execution_start" | "progress") {
        return None;
    }
    let data: Data = serde_json::from_str(message.data?.get()).ok()?;
    // Who connects while the client's job runs is told the node, without the id.
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
            // Too early to read the history.
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
