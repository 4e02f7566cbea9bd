//! Simulates the ComfyUI routes of a live instance behind the instance proxy.

use std::time::Duration;

use runcomfy_core::{
    Error, ErrorKind,
    error::Operation,
    instance::{ProxyCall, ProxyReply},
};
use serde_json::json;

use super::{Account, service_error};
use crate::ids::Named;

/// Routes that answer a POST with an empty body.
const SILENT: [&str; 4] = ["free", "history", "interrupt", "queue"];

/// ComfyUI routes that do not accept POST.
const GET_ONLY: [&str; 9] = [
    "embeddings",
    "extensions",
    "features",
    "jobs",
    "models",
    "object_info",
    "system_stats",
    "view",
    "view_metadata",
];

impl Account {
    pub(crate) fn call_instance_proxy(
        &mut self,
        now: Duration,
        call: &ProxyCall,
    ) -> Result<ProxyReply, Error> {
        const OPERATION: Operation = Operation::CallInstanceProxy;
        let ids = self.ids;
        let entry = self.entry(now, OPERATION, &call.deployment_id)?;
        let live = entry
            .queue
            .live_instances()
            .any(|instance| entry.instance_id(ids, instance).as_ref() == Some(&call.instance_id));
        if !live {
            return Err(service_error::instance_not_found(&call.instance_id)
                .with_deployment_id(call.deployment_id.clone()));
        }
        if let Some(reply) = self.proxy_replies.pop_front() {
            return Ok(reply);
        }
        // ComfyUI also serves each route under `api/`.
        let path = call.path.as_str();
        let path = path.strip_prefix("api/").unwrap_or(path);
        let route = path.split('/').next().unwrap_or_default();
        let comfyui_says =
            |kind, status: u16| Err(Error::new(OPERATION, kind).with_status_code(status));
        match route {
            "prompt" if path == "prompt" => {
                if call.body.get("prompt").is_none_or(|prompt| !prompt.is_object()) {
                    return comfyui_says(ErrorKind::InvalidRequest, 400)
                        .map_err(|error: Error| error.with_message("No prompt provided"));
                }
                self.prompts += 1;
                Ok(ProxyReply::Json(json!({
                    "prompt_id": ids.uuid(Named::Prompt, self.prompts),
                    "number": self.prompts,
                    "node_errors": {},
                })))
            }
            _ if SILENT.contains(&path) => Ok(ProxyReply::Empty),
            _ if SILENT.contains(&route) || GET_ONLY.contains(&route) => {
                comfyui_says(ErrorKind::Refused, 405)
            }
            _ => comfyui_says(ErrorKind::NotFound, 404),
        }
    }
}
