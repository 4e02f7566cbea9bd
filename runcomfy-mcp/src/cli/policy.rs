//! What the server lets tools do.

use clap::Args;

use crate::{ProxyLevel, Settings, WebhookHosts};

#[derive(Args, Clone, Debug)]
pub(super) struct Policy {
    /// Which routes of an instance's ComfyUI call_instance_proxy may call [default: any; safe where
    /// callers of `serve` come with tokens of their own]
    #[arg(long, global = true, value_name = "LEVEL", env = "RUNCOMFY_MCP_PROXY_LEVEL")]
    proxy_level: Option<ProxyLevel>,

    /// A host that webhook_url may name; repeat for more [default: any host of the internet; none where
    /// callers of `serve` come with tokens of their own]
    #[arg(
        long = "webhook-host",
        global = true,
        value_name = "HOST",
        env = "RUNCOMFY_MCP_WEBHOOK_HOSTS",
        value_delimiter = ','
    )]
    webhook_hosts: Vec<String>,
}

impl Policy {
    pub(super) fn apply(&self, settings: &mut Settings) {
        settings.proxy_level = self.proxy_level;
        if !self.webhook_hosts.is_empty() {
            settings.webhook_hosts = Some(WebhookHosts::Only(self.webhook_hosts.clone()));
        }
    }
}
