//! `runcomfy-mcp doctor`

use std::env;

use runcomfy_core::{RunComfyApi, deployment::ListDeployments, error::Operation};

use super::{backend::Backend, credentials, exit, options::Options, terminal::Answer};
use crate::result::{FILL_IN, hint};

pub(super) async fn run(options: &Options) -> anyhow::Result<u8> {
    let mut answer = Answer::default();
    answer.say(&format!("runcomfy-mcp {}", env!("CARGO_PKG_VERSION")));
    let backend = match Backend::single(options, None).await {
        Ok(backend) => backend,
        Err(error) => {
            answer.say(&format!("settings     not usable: {error:#}"));
            return Ok(answer.end(exit::USAGE));
        }
    };
    match backend.emulator_url() {
        Some(url) => answer.say(&format!("service      the built-in emulator at {url}")),
        None => answer.say(&format!(
            "service      {} (queue paths {:?})",
            options.base_url, options.queue_api
        )),
    }
    answer.say(&format!("proxy        {}", proxy(&backend)));
    match &backend.source {
        Some(source) if backend.not_filled_in => {
            answer.say(&format!(
                "token        from {source} (not shown): looks like a placeholder that was not filled in"
            ));
            answer.say("connection   not tried");
            answer.say(&format!("             {FILL_IN}"));
            return Ok(answer.end(exit::code("unauthenticated")));
        }
        Some(source) => answer.say(&format!("token        from {source} (not shown)")),
        None if options.emulator => answer.say("token        none needed"),
        None => answer.say(&format!("token        none: set {}", credentials::VARIABLES[0])),
    }
    let manager = if options.allow_manager_routes { "allowed" } else { "refused" };
    answer.say(&format!("limits       ComfyUI-Manager's routes are {manager}"));
    match backend.api.list_deployments(&ListDeployments::all()).await {
        Ok(found) => {
            let paused =
                found.iter().filter(|deployment| deployment.is_enabled == Some(false)).count();
            let warm: u64 = found
                .iter()
                .filter(|d| d.is_enabled != Some(false))
                .filter_map(|d| d.min_instances)
                .sum();
            answer.say(&format!(
                "connection   works: {} deployment(s), {paused} paused",
                found.len()
            ));
            if warm > 0 {
                answer.say(&format!(
                    "cost         {warm} instance(s) are kept warm and billed with nothing to do"
                ));
            }
            answer.say("All is well. Connect a client: see the README, or `runcomfy-mcp demo`.");
            Ok(answer.end(0))
        }
        Err(error) => {
            answer.say(&format!("connection   does not work: {error}"));
            let mut cause = std::error::Error::source(&error);
            while let Some(beneath) = cause {
                answer.say(&format!("             because: {beneath}"));
                cause = beneath.source();
            }
            answer.say(&format!(
                "             {}",
                hint(
                    error.kind(),
                    Operation::ListDeployments,
                    error.outcome(),
                    error.status_code()
                )
            ));
            Ok(answer.end(exit::code(error.kind().as_str())))
        }
    }
}

/// The proxy on the way to the service, or why there is none.
fn proxy(backend: &Backend) -> String {
    if let Some(proxy) = backend.api.outbound_proxy() {
        return proxy.to_string();
    }
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let named = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(is_set);
    let plain = ["HTTP_PROXY", "http_proxy"].into_iter().find(is_set);
    if backend.api.base_url().scheme() == "http" {
        return "none: the service is on this machine".to_owned();
    }
    match (named, plain) {
        (Some(name), _) => format!("none: NO_PROXY lists this host, so that {name} is not used"),
        (None, Some(name)) => {
            format!("none: {name} is for http only; name it in HTTPS_PROXY or ALL_PROXY")
        }
        (None, None) => "none".to_owned(),
    }
}
