//! What a deployment runs, kept as the text it came as.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    json::RawJson,
    workflow::{Overrides, Workflow, WorkflowError},
};

/// What a deployment runs: its workflow, the saved overrides and where its nodes are described.
///
/// Kept as the JSON it came as, and read on demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(RawJson);

/// The parts of a payload, each still text.
#[derive(Deserialize)]
struct PayloadParts {
    #[serde(default)]
    workflow_api_json: Option<RawJson>,
    #[serde(default)]
    overrides: Option<RawJson>,
    #[serde(default)]
    object_info_url: Option<Value>,
}

impl Payload {
    /// A payload of this workflow, with saved overrides and the address of its node descriptions where
    /// there are any.
    ///
    /// # Errors
    /// None in practice: all parts are JSON already.
    pub fn new(
        workflow: &Workflow,
        overrides: Option<&Overrides>,
        object_info_url: Option<&str>,
    ) -> Result<Self, serde_json::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            workflow_api_json: &'a Workflow,
            overrides: Option<&'a Overrides>,
            object_info_url: Option<&'a str>,
        }
        RawJson::new(&Written { workflow_api_json: workflow, overrides, object_info_url }).map(Self)
    }

    /// The payload as it came.
    #[must_use]
    pub fn as_json(&self) -> &RawJson {
        &self.0
    }

    /// The payload as it came, without a copy.
    #[must_use]
    pub fn into_json(self) -> RawJson {
        self.0
    }

    /// The workflow's graph, whose node ids and input names are what overrides refer to; `None` where
    /// the payload has none.
    ///
    /// # Errors
    /// [`WorkflowError`] where what came is no graph in API format.
    pub fn workflow(&self) -> Result<Option<Workflow>, WorkflowError> {
        match self.parts().and_then(|parts| parts.workflow_api_json) {
            Some(raw) => {
                let value = raw.to_value().map_err(|_| WorkflowError::Unreadable)?;
                Workflow::from_value(value).map(Some)
            }
            None => Ok(None),
        }
    }

    /// The overrides saved with the deployment; `None` where there are none or they are not an object
    /// of objects.
    #[must_use]
    pub fn overrides(&self) -> Option<Overrides> {
        let raw = self.parts()?.overrides?;
        Overrides::from_value(raw.to_value().ok()?).ok()
    }

    /// Where ComfyUI's description of every node class can be read. Never send the token there.
    #[must_use]
    pub fn object_info_url(&self) -> Option<String> {
        match self.parts()?.object_info_url? {
            Value::String(url) => Some(url),
            _ => None,
        }
    }

    fn parts(&self) -> Option<PayloadParts> {
        self.0.parse().ok()
    }
}

impl From<RawJson> for Payload {
    fn from(json: RawJson) -> Self {
        Self(json)
    }
}
