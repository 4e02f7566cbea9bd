//! A list of deployments whose payloads have a given size.

use std::fmt::Write as _;

/// So many deployments, with payloads of exactly so many bytes each. Numbers are whole and texts are plain ASCII,
/// so that whoever parses and writes it again writes the same bytes.
pub(super) fn deployments(count: usize, payload_bytes: Option<usize>) -> String {
    let mut list = String::from("[");
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            list,
            r#"{comma}{{"id":"a1b2c3d4-0000-4000-8000-{number:012}","name":"deployment-{number}","workflow_id":"5eed0000-0000-4000-8000-{number:012}","workflow_version":"v1","hardware":["AMPERE_48"],"min_instances":0,"max_instances":1,"queue_size":1,"keep_warm_duration_in_seconds":60,"status":"standby","is_enabled":true,"created_at":"2026-04-16T03:40:52.093Z","updated_at":"2026-04-16T03:40:52.093Z""#
        );
        if let Some(bytes) = payload_bytes {
            list.push_str(r#","payload":"#);
            list.push_str(&payload(number, bytes));
        }
        list.push('}');
    }
    list.push(']');
    list
}

/// A graph of nodes as ComfyUI has them, filled up to the byte.
fn payload(number: usize, bytes: usize) -> String {
    const TAIL: &str = r#""}}}}"#;
    let mut payload = String::from(r#"{"workflow_api_json":{"#);
    let mut node = 0;
    loop {
        let mut one = String::new();
        let _ = write!(
            one,
            r#""{node}":{{"class_type":"KSampler","inputs":{{"seed":{seed},"steps":20,"sampler_name":"euler","positive":["{node}",0],"text":"a lighthouse on a rocky shore, number {node} of deployment {number}"}},"_meta":{{"title":"Sampler {node}"}}}},"#,
            seed = 1_000_000 + node * 7919
        );
        if payload.len() + one.len() + 64 > bytes {
            break;
        }
        payload.push_str(&one);
        node += 1;
    }
    payload.push_str(r#""last":{"class_type":"Note","inputs":{"text":""#);
    while payload.len() + TAIL.len() < bytes {
        payload.push('x');
    }
    payload.push_str(TAIL);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_is_json_that_is_written_as_it_was() {
        for bytes in [1_000, 100_000] {
            assert_eq!(payload(3, bytes).len(), bytes);
            let list = deployments(10, Some(bytes));
            let parsed: serde_json::Value = serde_json::from_str(&list).unwrap();
            assert_eq!(parsed.to_string(), list);
        }
    }
}
