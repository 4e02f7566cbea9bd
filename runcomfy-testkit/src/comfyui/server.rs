//! `Server`: a ComfyUI server.

use serde_json::Value;
use url::Url;

use super::{
    api::Api,
    error::{ComfyError, ComfyErrorKind},
    options::ComfyOptions,
    staging::Fetcher,
};

/// A ComfyUI server with its options.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) api: Api,
    pub(super) fetcher: Fetcher,
}

/// The server's description of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// ComfyUI's version, if it reports one.
    pub(crate) version: Option<String>,
    /// The first device, such as `cuda:0 NVIDIA GeForce RTX 4090`.
    pub(crate) device: Option<String>,
}

impl Server {
    /// A server at `url`, which is `http` or `https` and may have a path.
    ///
    /// # Errors
    /// For any other URL, and for `https` if the platform's certificates cannot be read.
    pub(crate) fn new(url: Url, options: ComfyOptions) -> Result<Self, ComfyError> {
        let api = Api::new(url, &options)?;
        let fetcher = Fetcher::new(&options);
        Ok(Self { api, fetcher })
    }

    /// The server's URL without credentials.
    pub(crate) fn name(&self) -> &str {
        self.api.name()
    }

    /// Checks that the server is a ComfyUI.
    pub(crate) async fn check(&self) -> Result<About, ComfyError> {
        let stats = self.api.get(&["system_stats"]).await?;
        let Some(system) = stats.get("system").filter(|system| system.is_object()) else {
            return Err(self
                .api
                .error(ComfyErrorKind::Unusable, "its /system_stats are not ComfyUI's"));
        };
        let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let device = stats.pointer("/devices/0").and_then(|device| text(device, "name"));
        Ok(About { version: text(system, "comfyui_version"), device })
    }

    /// The node classes, as JSON of a few megabytes.
    pub(crate) async fn object_info(&self) -> Result<Vec<u8>, ComfyError> {
        self.api.get_bytes(&["object_info"]).await
    }
}
