//! Requests: what is submitted, and what the service answers to that.

use std::fmt;

use serde::{Deserialize, Serialize, ser::SerializeMap as _};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    id::{DeploymentId, RequestId},
    json::{NonFinite, object},
    workflow::{Overrides, Workflow},
};

/// A run to submit. With nothing set, the deployment's workflow runs as it was saved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InferenceRequest {
    /// The deployment to run on.
    pub deployment_id: DeploymentId,
    /// Changes laid over its workflow for this run.
    pub overrides: Option<Overrides>,
    /// Another workflow to run in place of the deployment's own, for this run only.
    pub workflow_api_json: Option<Workflow>,
    /// Passed on to ComfyUI, such as the key of ComfyUI's paid nodes.
    pub extra_data: Option<ExtraData>,
    /// Where the service reports the run's end.
    pub webhook: Option<Webhook>,
}

impl InferenceRequest {
    /// A run of the deployment's workflow as it was saved.
    #[must_use]
    pub fn new(deployment_id: DeploymentId) -> Self {
        Self {
            deployment_id,
            overrides: None,
            workflow_api_json: None,
            extra_data: None,
            webhook: None,
        }
    }

    /// Changes laid over the deployment's workflow.
    #[must_use]
    pub fn overrides(mut self, overrides: Overrides) -> Self {
        self.overrides = Some(overrides);
        self
    }

    /// Runs this workflow in place of the deployment's own.
    #[must_use]
    pub fn workflow_api_json(mut self, workflow: Workflow) -> Self {
        self.workflow_api_json = Some(workflow);
        self
    }

    /// Passes these on to ComfyUI.
    #[must_use]
    pub fn extra_data(mut self, extra_data: ExtraData) -> Self {
        self.extra_data = Some(extra_data);
        self
    }

    /// Has the service report to this address.
    #[must_use]
    pub fn webhook(mut self, webhook: Webhook) -> Self {
        self.webhook = Some(webhook);
        self
    }
}

#[cfg(feature = "http")]
impl InferenceRequest {
    /// Texts in it that nobody should see who sees what came of it: keys, and what a webhook's address
    /// has behind the `?`.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        /// Shorter ones are words.
        const LEAST: usize = 8;
        let mut secrets = Vec::new();
        for value in self.extra_data.iter().flat_map(|data| data.0.values()) {
            texts(value, &mut secrets);
        }
        if let Some(query) = self.webhook.as_ref().and_then(|webhook| webhook.url.query()) {
            // As a whole, and each value: what repeats it may have cut it.
            secrets.push(query);
            secrets.extend(query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1)));
        }
        secrets.retain(|secret| secret.len() >= LEAST);
        secrets
    }
}

#[cfg(feature = "http")]
fn texts<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(map) => map.values().for_each(|item| texts(item, into)),
        _ => {}
    }
}

/// Data for ComfyUI itself, such as `api_key_comfy_org`. It may hold keys, so `Debug` prints only names.
#[derive(Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct ExtraData(pub Map<String, Value>);

impl ExtraData {
    /// With this under `name`.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

impl fmt::Debug for ExtraData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtraData").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

/// Where the service reports to. The address may hold a secret, so `Debug` prints only its host.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Webhook {
    /// The address.
    pub url: Url,
    /// Whether it also reports every change on the way; the service's default is no.
    pub intermediate_status: Option<bool>,
}

impl Webhook {
    /// Reports the run's end to this address.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url, intermediate_status: None }
    }

    /// Whether to report every change on the way.
    #[must_use]
    pub fn intermediate_status(mut self, wanted: bool) -> Self {
        self.intermediate_status = Some(wanted);
        self
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.url.host_str())
            .field("intermediate_status", &self.intermediate_status)
            .finish()
    }
}

/// What the service answers to a submit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Submission {
    /// The run's id; all further questions name it.
    pub request_id: RequestId,
    /// Where the service says its status is. This library builds its own addresses from the ids.
    pub status_url: Option<String>,
    /// Where the service says its result is.
    pub result_url: Option<String>,
    /// Where the service says it is cancelled.
    pub cancel_url: Option<String>,
    /// Every other field of the response.
    pub extra: Map<String, Value>,
    /// Where the response had numbers that JSON does not have; they are null in the other fields.
    pub non_finite: Option<NonFinite>,
}

impl Submission {
    /// A run that was accepted under this id.
    #[must_use]
    pub fn new(request_id: RequestId) -> Self {
        Self {
            request_id,
            status_url: None,
            result_url: None,
            cancel_url: None,
            extra: Map::new(),
            non_finite: None,
        }
    }
}

/// An optional request id in a [`Submission`] on its way in.
#[derive(Debug)]
struct Accepted {
    request_id: Option<RequestId>,
    status_url: Option<String>,
    result_url: Option<String>,
    cancel_url: Option<String>,
    extra: Map<String, Value>,
    non_finite: Option<NonFinite>,
}

object!(Accepted {
    request_id: request_id,
    status_url: string,
    result_url: string,
    cancel_url: string,
});

impl Submission {
    /// Takes a response apart; `None` where it names no usable request id.
    #[must_use]
    pub fn from_map(map: Map<String, Value>) -> Option<Self> {
        let Accepted { request_id, status_url, result_url, cancel_url, extra, non_finite } =
            map.into();
        Some(Self {
            request_id: request_id?,
            status_url,
            result_url,
            cancel_url,
            extra,
            non_finite,
        })
    }

    /// Puts the answer together again: the fields, and their order, that it is serialised with. The addresses
    /// and all other fields are moved, not copied.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        let Self { request_id, status_url, result_url, cancel_url, extra, .. } = self;
        let mut map = Map::with_capacity(4 + extra.len());
        map.insert("request_id".to_owned(), request_id.as_str().into());
        let urls =
            [("status_url", status_url), ("result_url", result_url), ("cancel_url", cancel_url)];
        for (key, url) in urls {
            if let Some(url) = url {
                map.insert(key.to_owned(), Value::String(url));
            }
        }
        map.extend(extra);
        map
    }
}

impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_map(Map::deserialize(deserializer)?)
            .ok_or_else(|| serde::de::Error::custom("a submission without a usable request_id"))
    }
}

impl Serialize for Submission {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { request_id, status_url, result_url, cancel_url, extra, .. } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("request_id", request_id)?;
        let urls =
            [("status_url", status_url), ("result_url", result_url), ("cancel_url", cancel_url)];
        for (key, url) in urls {
            if let Some(url) = url {
                map.serialize_entry(key, url)?;
            }
        }
        for (key, value) in extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn a_submission_needs_a_usable_request_id() {
        let map = |value: Value| value.as_object().unwrap().clone();
        assert_eq!(Submission::from_map(map(json!({"status_url": "https://x"}))), None);
        assert_eq!(Submission::from_map(map(json!({"request_id": "../x"}))), None);
        let taken =
            Submission::from_map(map(json!({"request_id": "r1", "status": "in_queue"}))).unwrap();
        assert_eq!(to_value(&taken).unwrap(), json!({"request_id": "r1", "status": "in_queue"}));
    }

    #[test]
    fn a_submission_becomes_the_map_that_it_is_serialised_as() {
        for text in [
            r#"{"request_id":"r1"}"#,
            r#"{"request_id":"r1","status_url":"https://s","result_url":"https://r","cancel_url":"https://c"}"#,
            r#"{"request_id":"r1","result_url":"https://r","a":null,"cancel_url":7,"b":[1]}"#,
        ] {
            let taken: Submission = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&taken).unwrap(), text);
            assert_eq!(Value::Object(taken.into_map()).to_string(), text);
        }
    }

    #[test]
    fn debug_shows_no_key_and_no_webhook_secret() {
        let request = InferenceRequest::new("d1".try_into().unwrap())
            .extra_data(ExtraData(
                json!({"api_key_comfy_org": "comfyui-SECRET"}).as_object().unwrap().clone(),
            ))
            .webhook(Webhook::new("https://example.com/hook?sig=SECRET".parse().unwrap()));
        let text = format!("{request:?}");
        assert!(!text.contains("SECRET"), "{text}");
        assert!(text.contains("example.com"), "{text}");
    }
}
