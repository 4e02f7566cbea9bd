//! Recognizes a submitted job in ComfyUI's queue and history.
//!
//! The prompt id is not sufficient, because ComfyUI keeps old entries, accepts an id twice, and may be shared
//! with other emulators.

use serde_json::Value;

/// A job in ComfyUI's queue or history.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// The server's job counter.
    pub(super) number: Option<f64>,
    pub(super) prompt_id: String,
    pub(super) client_id: Option<String>,
}

impl Listed {
    /// Decodes `[number, id, graph, extra_data, …]`.
    pub(super) fn read(job: &Value) -> Option<Self> {
        let client_id = job.pointer("/3/client_id").and_then(Value::as_str);
        Some(Self {
            number: job.get(0).and_then(Value::as_f64),
            prompt_id: job.get(1)?.as_str()?.to_owned(),
            client_id: client_id.map(str::to_owned),
        })
    }
}

/// What identifies a submitted job.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) prompt_id: String,
    /// The client id of the submission, which is new for each job.
    pub(super) client_id: String,
    /// The job counter in the server's response, if known.
    pub(super) number: Option<f64>,
}

impl Identity {
    /// Whether `listed` is this job. Everything that both sides know must be equal.
    pub(super) fn is(&self, listed: &Listed) -> bool {
        let numbers = self.number.zip(listed.number);
        listed.prompt_id == self.prompt_id
            && listed.client_id.as_ref().is_none_or(|client| *client == self.client_id)
            && numbers.is_none_or(|(ours, theirs)| ours == theirs)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_the_same_where_nothing_that_is_known_differs() {
        let identity = Identity { prompt_id: "p".into(), client_id: "c".into(), number: Some(7.0) };
        let unnumbered = Identity { number: None, ..identity.clone() };
        for (job, is, is_unnumbered) in [
            (json!([7, "p", {}, {"client_id": "c"}, []]), true, true),
            (json!([7.0, "p", {}, {"client_id": "c"}]), true, true),
            (json!([8, "p", {}, {"client_id": "c"}, []]), false, true),
            (json!([7, "q", {}, {"client_id": "c"}, []]), false, false),
            (json!([7, "p", {}, {"client_id": "d"}, []]), false, false),
            (json!([7, "p", {}, {}, []]), true, true),
            (json!([8, "p", {}, {}, []]), false, true),
            (json!([null, "p"]), true, true),
        ] {
            let listed = Listed::read(&job).unwrap();
            assert_eq!(
                (identity.is(&listed), unnumbered.is(&listed)),
                (is, is_unnumbered),
                "{job}"
            );
        }
    }

    #[test]
    fn what_has_no_id_is_no_job() {
        for job in [json!(null), json!([]), json!([7]), json!([7, 8]), json!({"1": "p"})] {
            assert_eq!(Listed::read(&job), None, "{job}");
        }
    }
}
