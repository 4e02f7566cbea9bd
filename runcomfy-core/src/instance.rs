//! Calls to ComfyUI on a running instance, through the service's proxy.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    id::{DeploymentId, InstanceId},
    json::NonFinite,
};

/// A call to a route of the ComfyUI on a live instance.
///
/// The service documents POST only. The body is a JSON object, empty where none is set.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ProxyCall {
    /// The deployment.
    pub deployment_id: DeploymentId,
    /// The instance, from the status of a run in progress.
    pub instance_id: InstanceId,
    /// The route, such as `api/free`.
    pub path: ProxyPath,
    /// The body.
    pub body: Map<String, Value>,
}

impl ProxyCall {
    /// A call with an empty body.
    #[must_use]
    pub fn new(deployment_id: DeploymentId, instance_id: InstanceId, path: ProxyPath) -> Self {
        Self { deployment_id, instance_id, path, body: Map::new() }
    }

    /// The body to send.
    #[must_use]
    pub fn body(mut self, body: Map<String, Value>) -> Self {
        self.body = body;
        self
    }
}

impl fmt::Debug for ProxyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyCall")
            .field("deployment_id", &self.deployment_id)
            .field("instance_id", &self.instance_id)
            .field("path", &self.path)
            .field("body", &self.body.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A route of ComfyUI that can be put into a URL without changing where it leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProxyPath(String);

/// Text that is no route. Names the rule, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "comfy_backend_path must be 1 to 16 segments of A-Z, a-z, 0-9, '.', '_', '~' and '-', joined by '/', \
     with no segment '.' or '..', no query and no '%'"
)]
pub struct InvalidPath;

impl ProxyPath {
    /// The most segments a path may have.
    pub const MAX_SEGMENTS: usize = 16;
    /// The longest path, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Checks a path. One leading `/` is dropped.
    ///
    /// # Errors
    /// [`InvalidPath`] for anything that could leave the instance's prefix: dot segments, encoded
    /// characters, backslashes, queries, fragments, empty segments, controls.
    pub fn new(path: &str) -> Result<Self, InvalidPath> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let good = |segment: &str| {
            (1..=128).contains(&segment.len())
                && !matches!(segment, "." | "..")
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-'))
        };
        let fits = path.len() <= Self::MAX_BYTES
            && path.split('/').count() <= Self::MAX_SEGMENTS
            && path.split('/').all(good);
        if fits { Ok(Self(path.to_owned())) } else { Err(InvalidPath) }
    }

    /// The path without a leading `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of ComfyUI-Manager's routes that install code, restart the machine or
    /// restore a snapshot: whoever may call those may run anything on it.
    #[must_use]
    pub fn is_manager_route(&self) -> bool {
        let path = self.0.to_ascii_lowercase();
        let mut rest = path.as_str();
        // ComfyUI serves each route again under `api/`, and the Manager has a second version.
        while let Some(inner) = rest.strip_prefix("api/").or_else(|| rest.strip_prefix("v2/")) {
            rest = inner;
        }
        let mut segments = rest.split('/');
        match segments.next() {
            Some("manager" | "customnode" | "snapshot" | "comfyui_manager") => true,
            Some("externalmodel") => segments.next() == Some("install"),
            _ => false,
        }
    }
}

impl fmt::Display for ProxyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What ComfyUI answered through the proxy. It may hold prompts and keys, so `Debug` shows only its size.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ProxyReply {
    /// Bytes that are neither JSON nor text, such as a picture.
    Binary {
        /// The media type, as it was sent.
        content_type: Option<String>,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Nothing, as `/free` and `/interrupt` answer.
    Empty,
    /// Any JSON: an object, a list, a scalar, null.
    Json(Value),
    /// JSON with numbers that JSON does not have, each null here.
    JsonWithNulls {
        /// The JSON.
        value: Value,
        /// Where those numbers were.
        non_finite: NonFinite,
    },
    /// Text that is not JSON.
    Text(String),
}

impl fmt::Debug for ProxyReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary { content_type, bytes } => {
                write!(f, "Binary({content_type:?}, {} bytes)", bytes.len())
            }
            Self::Empty => f.write_str("Empty"),
            Self::Json(value) | Self::JsonWithNulls { value, .. } => {
                write!(f, "Json({} bytes)", value.to_string().len())
            }
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_route_keeps_its_segments_and_drops_one_leading_slash() {
        assert_eq!(ProxyPath::new("api/free").unwrap().as_str(), "api/free");
        assert_eq!(ProxyPath::new("/api/free").unwrap().as_str(), "api/free");
        assert_eq!(
            ProxyPath::new("view_metadata/checkpoints.v1~x-y").unwrap().to_string(),
            "view_metadata/checkpoints.v1~x-y"
        );
    }

    #[test]
    fn what_could_leave_the_prefix_is_refused() {
        let too_many = ["a"; 17].join("/");
        let too_long = format!("{}/{}", "a".repeat(100), vec!["b".repeat(120); 10].join("/"));
        for hostile in [
            "",
            "/",
            "//evil.com/x",
            "https://evil.com/x",
            "../../escape",
            "api/../x",
            "api/./x",
            "api/%2e%2e/x",
            "api/..%2f..",
            "api%2Ffree",
            "api//free",
            "api/free/",
            "api/free?x=1",
            "api/free#x",
            "api\\free",
            "api/free\r\nX: y",
            "api/\0",
            "api/free ",
            "api/✨",
            &too_many,
            &too_long,
        ] {
            assert_eq!(ProxyPath::new(hostile), Err(InvalidPath), "{hostile:?}");
        }
    }

    #[test]
    fn routes_of_the_manager_are_recognised_however_they_are_written() {
        for path in [
            "customnode/install/git_url",
            "Manager/Reboot",
            "api/api/customnode/install",
            "v2/customnode/install/pip",
            "api/v2/manager/queue/start",
            "snapshot/restore",
            "externalmodel/install",
        ] {
            assert!(ProxyPath::new(path).unwrap().is_manager_route(), "{path}");
        }
        for path in ["free", "api/free", "queue", "history", "prompt", "managers/x"] {
            assert!(!ProxyPath::new(path).unwrap().is_manager_route(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_path_stays_below_its_prefix(path in "[a-z./%\\\\?# ~-]{0,40}") {
            if let Ok(path) = ProxyPath::new(&path) {
                let url = url::Url::parse(&format!("https://host/proxy/{path}")).unwrap();
                prop_assert_eq!(url.path(), format!("/proxy/{path}"));
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
