//! The trait over HTTPS.

mod body;
mod config;
mod download;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod gather;
mod locks;
mod observer;
mod pools;
mod proxy;
mod quotas;
mod refusal;
mod retry_after;
mod send;
mod settle;
mod transport;
mod update;
mod url;
mod wire;

use std::{fmt, sync::Arc};

use ::url::Url;
use async_trait::async_trait;
use reqwest::Method;

use self::{
    config::Settings, locks::UpdateLocks, pools::Pools, quotas::Quotas, send::Call, url::Base,
};
pub use self::{
    config::{ConfigError, DEFAULT_BASE_URL, HttpApiBuilder, Limits, QueueApi, Timeouts},
    download::{DownloadError, Downloaded},
    observer::{Observer, Tried},
    proxy::OutboundProxy,
};
use crate::{
    api::RunComfyApi,
    error::{Error, ErrorKind, Operation, Outcome},
    token::Token,
    types::{
        Cancellation, CreateDeployment, Deleted, Deployment, DeploymentId, Include,
        InferenceRequest, ListDeployments, ProxyCall, ProxyReply, RequestId, RequestResult,
        RequestStatus, Submission, UpdateDeployment, Updated,
    },
};

/// RunComfy's Serverless API over HTTPS.
///
/// Cheap to clone: clones share their connections. Made with [`HttpApi::builder`]; nothing is loaded or
/// connected before the first call. It needs a tokio runtime with time and I/O.
///
/// Reads are tried again after a passing failure. An update, a delete or a cancel whose answer is lost is
/// looked up by reading, and sent again only where it shows no effect. A call that may start something
/// billed (submit, create, proxy) goes out on a connection of its own, and again only where the first is
/// certain to have had no effect. Redirects are not followed, and the token goes to the base URL and
/// nowhere else.
///
/// ```
/// use runcomfy_core::{HttpApi, Token};
///
/// let api = HttpApi::builder().token(Token::new("rc_0123456789")?).build()?;
/// assert_eq!(api.base_url().as_str(), "https://api.runcomfy.net/");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HttpApi {
    shared: Arc<Shared>,
    token: Option<Token>,
}

/// What clones have in common.
struct Shared {
    base: Base,
    settings: Settings,
    pools: Pools,
    locks: UpdateLocks,
    quotas: Quotas,
}

impl HttpApi {
    /// Settings for a client, each with its default.
    pub fn builder() -> HttpApiBuilder {
        HttpApiBuilder::default()
    }

    /// The same client acting with another token. Connections are shared, and the quota of retries that
    /// all callers have together; whatever is kept for a caller is kept by the token.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        Self { shared: Arc::clone(&self.shared), token: Some(token) }
    }

    /// Where it calls: scheme, host and port.
    #[must_use]
    pub fn base_url(&self) -> &Url {
        self.shared.base.url()
    }

    /// Whether any text may be a token here, even one that
    /// [looks like a placeholder](Token::looks_like_placeholder): where the base URL's host is a loopback one,
    /// such as an emulator's.
    #[must_use]
    pub fn takes_any_token(&self) -> bool {
        self.shared.base.is_local()
    }

    /// The proxy that calls go through, by [`HttpApiBuilder::proxy`] or the environment. `None` where they
    /// go directly: no proxy is named, or the base URL's host is one that is reached without.
    #[must_use]
    pub fn outbound_proxy(&self) -> Option<&OutboundProxy> {
        self.shared.pools.proxy_to(self.base_url()).ok().flatten().map(|proxy| &proxy.shown)
    }

    /// How many tokens the quota of retries has left that all callers share; see
    /// [`RetryQuota`](crate::RetryQuota). None for long means that the service is down.
    #[must_use]
    pub fn retry_tokens(&self) -> u32 {
        self.shared.quotas.left()
    }

    /// The token, or what a call without a usable one fails with.
    fn token(&self, operation: Operation) -> Result<&Token, Error> {
        let unusable = |why: &str| {
            Error::new(operation, ErrorKind::Unauthenticated)
                .with_outcome(Outcome::NotSent)
                .with_message(why)
        };
        let token = self.token.as_ref().ok_or_else(|| unusable("no token is set"))?;
        if !self.takes_any_token() && Token::looks_like_placeholder(token.expose()) {
            return Err(unusable("the token looks like a placeholder that was not filled in"));
        }
        Ok(token)
    }

    /// Sends `call` with a deadline of its own.
    async fn send<T>(
        &self,
        call: Call<'_>,
        read: impl Fn(&wire::Context<'_>, wire::Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let token = self.token(call.operation).map_err(|error| call.named(error))?;
        self.shared.send(&call, token, self.shared.deadline(call.operation), read).await
    }

    fn deployments_url(&self) -> Url {
        self.shared.base.join(["prod", "v2", "deployments"])
    }

    fn deployment_url(&self, id: &DeploymentId) -> Url {
        self.shared.base.join(["prod", "v2", "deployments", id.as_str()])
    }

    /// Submits, and questions about runs, whose version is a setting.
    fn queue_url(&self, id: &DeploymentId, rest: &[&str]) -> Url {
        let version = self.shared.settings.queue_api.as_str();
        let start = ["prod", version, "deployments", id.as_str()];
        self.shared.base.join(start.iter().chain(rest).copied())
    }
}

impl fmt::Debug for HttpApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpApi")
            .field("base_url", &self.base_url().as_str())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RunComfyApi for HttpApi {
    async fn list_deployments(&self, query: &ListDeployments) -> Result<Vec<Deployment>, Error> {
        let url = url::with_list_query(self.deployments_url(), query.include, &query.ids);
        self.send(Call::new(Operation::ListDeployments, Method::GET, url), wire::deployments).await
    }

    async fn get_deployment(
        &self,
        deployment_id: &DeploymentId,
        include: Include,
    ) -> Result<Deployment, Error> {
        let url = url::with_list_query(self.deployment_url(deployment_id), include, &[]);
        let call = Call::new(Operation::GetDeployment, Method::GET, url).deployment(deployment_id);
        self.send(call, wire::deployment).await
    }

    async fn create_deployment(&self, request: &CreateDeployment) -> Result<Deployment, Error> {
        self.create(request).await
    }

    async fn update_deployment(
        &self,
        deployment_id: &DeploymentId,
        changes: &UpdateDeployment,
    ) -> Result<Updated, Error> {
        self.update(deployment_id, changes).await
    }

    async fn delete_deployment(&self, deployment_id: &DeploymentId) -> Result<Deleted, Error> {
        self.delete(deployment_id).await
    }

    async fn submit_request(&self, request: &InferenceRequest) -> Result<Submission, Error> {
        let deployment_id = &request.deployment_id;
        let mut url = self.queue_url(deployment_id, &["inference"]);
        if let Some(webhook) = &request.webhook {
            let mut query = url.query_pairs_mut();
            query.append_pair("webhook", webhook.url.as_str());
            if let Some(wanted) = webhook.intermediate_status {
                let wanted = if wanted { "true" } else { "false" };
                query.append_pair("webhook_intermediate_status", wanted);
            }
        }
        let call = Call::new(Operation::SubmitRequest, Method::POST, url)
            .deployment(deployment_id)
            .secrets(request.secrets())
            .body(body::submit(request)?);
        self.send(call, wire::submission).await
    }

    async fn get_request_status(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestStatus, Error> {
        let url = self.queue_url(deployment_id, &["requests", request_id.as_str(), "status"]);
        let call = Call::new(Operation::GetRequestStatus, Method::GET, url)
            .deployment(deployment_id)
            .request(request_id);
        self.send(call, |context, answer| wire::status(context, answer, request_id)).await
    }

    async fn get_request_result(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<RequestResult, Error> {
        let url = self.queue_url(deployment_id, &["requests", request_id.as_str(), "result"]);
        let call = Call::new(Operation::GetRequestResult, Method::GET, url)
            .deployment(deployment_id)
            .request(request_id);
        self.send(call, |context, answer| wire::result(context, answer, request_id)).await
    }

    async fn cancel_request(
        &self,
        deployment_id: &DeploymentId,
        request_id: &RequestId,
    ) -> Result<Cancellation, Error> {
        self.cancel(deployment_id, request_id).await
    }

    async fn call_instance_proxy(&self, call: &ProxyCall) -> Result<ProxyReply, Error> {
        let deployment_id = &call.deployment_id;
        let start = [
            "prod",
            "v2",
            "deployments",
            deployment_id.as_str(),
            "instances",
            call.instance_id.as_str(),
            "proxy",
        ];
        let url = self.shared.base.join(start.into_iter().chain(call.path.as_str().split('/')));
        let sent = Call::new(Operation::CallInstanceProxy, Method::POST, url)
            .deployment(deployment_id)
            .body(body::proxy(call)?);
        self.send(sent, wire::proxy_reply).await
    }
}
