//! What the server lets tools do.

use std::time::Duration;

use clap::Args;

use crate::config::{Confirm, ProxyLevel, Settings, WebhookHosts};

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
    /// that can't show the user a question (others are always asked); `call` does it without
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        env = "RUNCOMFY_MCP_CONFIRM",
        value_enum,
        default_value_t = Confirm::Require
    )]
    confirm: Confirm,

    /// The longest that a call may wait for a run, in seconds (1 to 14400); a call that asks for more is
    /// answered then, and its run goes on. `call` and `demo` wait as long as asked
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "RUNCOMFY_MCP_LONGEST_WAIT",
        default_value = "240",
        value_parser = clap::value_parser!(u16).range(1..=14_400)
    )]
    longest_wait: u16,

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
        settings.longest_wait = Duration::from_secs(self.longest_wait.into());
        settings.cancel_abandoned = self.cancel_abandoned;
        if !self.webhook_hosts.is_empty() {
            settings.webhook_hosts = Some(WebhookHosts::Only(self.webhook_hosts.clone()));
        }
    }
}
