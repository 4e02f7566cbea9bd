//! What the server lets tools do.

use clap::Args;

use crate::{Confirm, ProxyLevel, Settings, WebhookHosts};

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

    /// What to do about delete_deployment, and about a create or update that keeps machines on, for a client
    /// that can't show the user a question (others are always asked) [default: allow; require where callers
    /// of `serve` come with tokens of their own]
    #[arg(long, global = true, value_name = "HOW", env = "RUNCOMFY_MCP_CONFIRM")]
    confirm: Option<Confirm>,

    /// Cancel the run of a submit_request that waits when its client cancels the call or hangs up; otherwise
    /// it goes on, and is billed
    #[arg(
        long,
        global = true,
        env = "RUNCOMFY_MCP_CANCEL_ABANDONED",
        value_name = "YES",
        num_args = 0..=1,
        default_value = "no",
        default_missing_value = "yes",
        require_equals = true,
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    cancel_abandoned: bool,
}

impl Policy {
    pub(super) fn apply(&self, settings: &mut Settings) {
        settings.proxy_level = self.proxy_level;
        settings.confirm = self.confirm;
        settings.cancel_abandoned = self.cancel_abandoned;
        if !self.webhook_hosts.is_empty() {
            settings.webhook_hosts = Some(WebhookHosts::Only(self.webhook_hosts.clone()));
        }
    }
}
