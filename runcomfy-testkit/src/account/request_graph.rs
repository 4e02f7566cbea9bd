//! The graph of a request, stored compactly because an account may keep many thousands of requests.

use std::sync::Arc;

use runcomfy_core::{InferenceRequest, Overrides, Workflow};
use serde::{Serialize, de::DeserializeOwned};

/// A graph and its overrides. They were checked against each other when the request was accepted.
#[derive(Debug)]
pub(super) struct RequestGraph {
    graph: GraphSource,
    overrides: Option<Packed<Overrides>>,
}

#[derive(Debug)]
enum GraphSource {
    /// The deployment's graph.
    Shared(Arc<Workflow>),
    Own(Packed<Workflow>),
}

/// A value stored as JSON, which needs a fraction of the memory.
#[derive(Debug)]
enum Packed<T> {
    Json(Box<str>),
    /// A value that JSON does not reproduce, for example because it is nested too deeply.
    Whole(T),
}

impl RequestGraph {
    /// The graph of a request to a deployment with the graph `deployed`.
    pub(super) fn new(request: &InferenceRequest, deployed: &Arc<Workflow>) -> Self {
        let own = request.workflow_api_json.as_ref();
        let graph = own.map_or_else(
            || GraphSource::Shared(deployed.clone()),
            |own| GraphSource::Own(Packed::new(own)),
        );
        let overrides = request.overrides.as_ref().filter(|overrides| !overrides.is_empty());
        Self { graph, overrides: overrides.map(Packed::new) }
    }

    /// The overrides as they were sent.
    pub(super) fn overrides(&self) -> Option<Overrides> {
        self.overrides.as_ref()?.value()
    }

    /// The graph with the overrides applied. Always `Some`, because the overrides were checked before.
    pub(super) fn with_overrides(&self) -> Option<Arc<Workflow>> {
        let graph = match &self.graph {
            GraphSource::Shared(graph) => graph.clone(),
            GraphSource::Own(packed) => Arc::new(packed.value()?),
        };
        let Some(overrides) = &self.overrides else { return Some(graph) };
        Arc::unwrap_or_clone(graph).with_overrides(&overrides.value()?).ok().map(Arc::new)
    }
}

impl<T: Clone + PartialEq + Serialize + DeserializeOwned> Packed<T> {
    fn new(value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(json) if serde_json::from_str(&json).is_ok_and(|read: T| read == *value) => {
                Self::Json(json.into())
            }
            Ok(_) | Err(_) => Self::Whole(value.clone()),
        }
    }

    fn value(&self) -> Option<T> {
        match self {
            Self::Json(json) => serde_json::from_str(json).ok(),
            Self::Whole(value) => Some(value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use runcomfy_core::DeploymentId;
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(request: InferenceRequest, packed: bool) {
        let deployed = Workflow::from_value(json!({"1": {"class_type": "A", "inputs": {"a": 0}}}));
        let deployed = Arc::new(deployed.unwrap());
        let graph = request.workflow_api_json.clone().unwrap_or_else(|| (*deployed).clone());
        let expected = graph.with_overrides(&request.overrides.clone().unwrap_or_default());
        let work = RequestGraph::new(&request, &deployed);
        assert_eq!(*work.with_overrides().unwrap(), expected.unwrap());
        let whole = matches!(work.graph, GraphSource::Own(Packed::Whole(_)))
            || matches!(work.overrides, Some(Packed::Whole(_)));
        assert_eq!(whole, !packed);
    }

    #[test]
    fn a_request_runs_what_it_asked_for_however_it_is_kept() {
        let request = || InferenceRequest::new(DeploymentId::new("dep_1").unwrap());
        let own = |inputs: Value| {
            let graph = json!({"2": {"class_type": "B", "inputs": inputs}, "1": {"class_type": "A",
                "inputs": {"b": ["2", 0]}}});
            request().workflow_api_json(Workflow::from_value(graph).unwrap())
        };
        let overrides = |value: Value| Overrides::new().set("1", "a", value);
        check(request(), true);
        check(request().overrides(overrides(json!(u64::MAX))), true);
        check(
            own(json!({"b": 0.1, "c": "\u{0}\u{1f600}"})).overrides(overrides(json!(-0.5))),
            true,
        );
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        check(own(json!({"b": deep})), false);
        check(request().overrides(overrides(deep)), false);
    }
}
