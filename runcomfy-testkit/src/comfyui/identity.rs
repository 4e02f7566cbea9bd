//! Which of the jobs in a ComfyUI is the one that was handed over.
//!
//! ComfyUI keeps the history of every id that it has seen, takes an id a second time, and may be shared
//! with other emulators. An id alone does not say whose job it is.

use serde_json::Value;

/// A job as ComfyUI lists it, in its queue and in its history alike.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    /// How many it had taken before.
    pub(super) number: Option<f64>,
    pub(super) prompt_id: String,
    pub(super) client_id: Option<String>,
}

impl Listed {
    /// Reads `[number, id, graph, extra_data, …]`.
    pub(super) fn read(job: &Value) -> Option<Self> {
        let client_id = job.pointer("/3/client_id").and_then(Value::as_str);
        Some(Self {
            number: job.get(0).and_then(Value::as_f64),
            prompt_id: job.get(1)?.as_str()?.to_owned(),
            client_id: client_id.map(str::to_owned),
        })
    }
}

/// What is known of a job that was handed over.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) prompt_id: String,
    /// The client that it was handed over as: another one each time.
    pub(super) client_id: String,
    /// The one that the server answered with, where that is known.
    pub(super) number: Option<f64>,
}

impl Identity {
    /// Whether this is the job: all that both sides tell must be the same.
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
