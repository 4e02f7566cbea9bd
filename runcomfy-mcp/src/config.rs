//! Sizes, times and limits of the server, with their defaults.

mod limits;
mod policies;

use std::time::Duration;

pub use limits::{Limits, Rate};
pub use policies::{Confirm, ProxyLevel, WebhookHosts};
pub use runcomfy_http_edge::ConnectionSettings;

/// What an operator may set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The most bytes of JSON in each copy of a result, text and structured content alike: what all clients
    /// pass on to their model uncut. A deployment's payload and the rows of a list of deployments are whole
    /// in the structured content, however long.
    pub result_limit_bytes: usize,
    /// While a call waits, it says so at least this often.
    pub heartbeat: Duration,
    /// Whether `call_instance_proxy` may reach ComfyUI-Manager's routes, which install code on the
    /// instance and restart it.
    pub allow_manager_routes: bool,
    /// Which routes `call_instance_proxy` may call. `None`: any where one account is served,
    /// [`Safe`](ProxyLevel::Safe) where callers come with tokens of their own.
    pub proxy_level: Option<ProxyLevel>,
    /// Where `webhook_url` may lead. `None`: to the internet at large where one account is served, nowhere
    /// where callers come with tokens of their own.
    pub webhook_hosts: Option<WebhookHosts>,
    /// What is done about `delete_deployment`, and about a create or update that keeps machines on, where
    /// the client can't ask the person.
    pub confirm: Confirm,
    /// The longest that a call may wait for a run; a call that asks for more is answered then, with the
    /// ids of the run, which goes on. 240 s by default: several clients end every call after 300 s,
    /// whatever they hear meanwhile, and their model then has no id of a billed run.
    pub longest_wait: Duration,
    /// Whether a `submit_request` that waits takes its run with it when the client cancels the call or hangs
    /// up. Not by default: clients give up for reasons of their own, and the run can be asked for.
    pub cancel_abandoned: bool,
    /// How often and how soon a wait looks.
    pub wait: runcomfy_core::wait::WaitPolicy,
    /// The largest message over HTTP, in bytes.
    pub max_body_bytes: usize,
    /// The largest message over stdio, in bytes.
    pub max_line_bytes: usize,
    /// How long shutdown lets writes finish.
    pub drain: Duration,
    /// How long shutdown lets calls finish that only read.
    pub drain_reads: Duration,
    /// How long a server that is told to end goes on listening, so that load balancers see `/readyz`
    /// and stop sending.
    pub linger: Duration,
    /// How long connections may take, and how many there may be.
    pub connections: ConnectionSettings,
    /// What a caller, and all of them, may ask for at once. `None`: as fits who calls, see [`Limits`].
    pub limits: Option<Limits>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            result_limit_bytes: 10 * 1024,
            heartbeat: Duration::from_secs(10),
            allow_manager_routes: false,
            proxy_level: None,
            webhook_hosts: None,
            confirm: Confirm::Require,
            longest_wait: Duration::from_secs(240),
            cancel_abandoned: false,
            wait: runcomfy_core::wait::WaitPolicy::default(),
            max_body_bytes: 8 * 1024 * 1024,
            max_line_bytes: 64 * 1024 * 1024,
            drain: Duration::from_secs(30),
            drain_reads: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            connections: ConnectionSettings::default(),
            limits: None,
        }
    }
}

impl Settings {
    /// The same for a command at a terminal: waits as long as asked, which is four hours at the most.
    pub(crate) fn for_terminal(mut self) -> Self {
        self.longest_wait = Duration::from_secs(4 * 60 * 60);
        self
    }
}
